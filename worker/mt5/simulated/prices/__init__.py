"""The market: a random walk, quotes, bars and ticks."""
