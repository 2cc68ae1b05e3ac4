"""The questions: one module for each, all of one shape (see `comparisons._shape`)."""
