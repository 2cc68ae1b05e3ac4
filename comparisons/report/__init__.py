"""``lazylab report``: run directories as one self-contained page that works without a network."""
