"""`demo`: sample trades, the place they are played in, and what is shown of them."""

from worker.cli.demo.command import app

__all__ = ["app"]
