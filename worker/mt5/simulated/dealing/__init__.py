"""The dealing desk: which requests it accepts, and what becomes of them."""
