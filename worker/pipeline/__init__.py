"""The way of a trade, from the message to its confirmation. `flow.py` reads as the specification."""
