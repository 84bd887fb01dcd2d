"""From the setting ``store`` to what it names, without opening anything."""

from pathlib import Path

from ..errors import StartupError
from ..urls import masked

SQLITE = "sqlite:///"
ALLOWED = "sqlite:///./pygents.db (relative), sqlite:////absolute/path.db (four slashes) or memory://"


def file_of(url: str) -> Path | None:
    """The database's file; None if everything is in memory. Raises ``StartupError`` for a URL of another form."""
    if url == "memory://":
        return None
    path = url.removeprefix(SQLITE)
    if path == url or not path or path.endswith("/"):
        raise StartupError(f"The store {masked(url)!r} is not understood. Write {ALLOWED}.")
    return Path(path)
