"""The page about some runs, made of what `comparisons.load` reads."""
