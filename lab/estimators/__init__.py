"""The three learners as scikit-learn estimators, and their kernels for anything that takes a kernel."""

from lab.estimators.gaussian_process import TangentKernel
from lab.estimators.learners import (
    LinearizedRNNClassifier,
    LinearizedRNNRegressor,
    RNNClassifier,
    RNNRegressor,
    TangentKernelClassifier,
    TangentKernelRegressor,
)
from lab.estimators.storage import load, save

__all__ = [
    "LinearizedRNNClassifier",
    "LinearizedRNNRegressor",
    "RNNClassifier",
    "RNNRegressor",
    "TangentKernel",
    "TangentKernelClassifier",
    "TangentKernelRegressor",
    "load",
    "save",
]
