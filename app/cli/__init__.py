"""The command ``pygents``."""

from .commands import main

__all__ = ["main"]
