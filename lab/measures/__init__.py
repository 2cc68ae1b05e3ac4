"""Measures: gap, motion, exponents. Numbers only, no plots."""
