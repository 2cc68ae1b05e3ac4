"""The command ``lazylab``: arguments, messages, progress of a run. A thin layer over `comparisons.runs`."""
