"""What a program sees: the functions of the `MetaTrader5` package."""
