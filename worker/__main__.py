"""``python -m worker``, the same as ``mt5-worker``."""

from __future__ import annotations

from worker.cli.app import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
