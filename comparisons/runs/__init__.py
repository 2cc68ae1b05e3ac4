"""Runs: what is asked for becomes a plan, cells in a directory, and a conclusion. Above the questions."""
