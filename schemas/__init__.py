"""What crosses the wire, and nothing else: the messages, how they are read, and why one is refused."""
