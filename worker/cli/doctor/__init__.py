"""`doctor`: what it asks each part, and how it tells what it has found."""

from worker.cli.doctor.command import app

__all__ = ["app"]
