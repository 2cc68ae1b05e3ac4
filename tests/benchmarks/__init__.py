"""Benchmarks: commands, not tests; pytest collects none of them.

From the root of the repository:

    python -m tests.benchmarks.kernels --quick        our tangent kernel and its peers at one size, over widths
    python -m tests.benchmarks.kernels                the whole grid (hours)
    python -m tests.benchmarks.gram_routes            both Gram routes, predicted and measured, and fitted

The first makes virtual environments of its own for neural-tangents and nngeometry (a network and a compiler are not
needed after the first time if ``--venv DIRECTORY`` is kept). Both pin themselves to one core.
"""
