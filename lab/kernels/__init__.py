"""Tangent kernels: the empirical one of a network, and what an eigen-decomposition makes of any."""
