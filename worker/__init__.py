"""Executes approved FX trades on MetaTrader 5, exactly as approved, and confirms every one of them."""

__version__ = "0.1.0"
