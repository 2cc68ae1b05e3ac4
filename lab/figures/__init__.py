"""Figures: one style, curves that take and return an ``ax``. Takes numbers, trains nothing."""
