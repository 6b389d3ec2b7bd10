"""What a trade is and what may happen to it: pure values and rules, no I/O, no clock, no asyncio."""
