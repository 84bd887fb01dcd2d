"""Making a file, or the names in a folder, durable."""

import os
from pathlib import Path


def sync(path: Path) -> None:
    """Wait until what is in ``path`` is on the disk: of a folder, the names of its files. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
