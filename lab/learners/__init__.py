"""The three learners: the full network, its linearization, the kernel regressor."""
