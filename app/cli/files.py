"""Which database file a verb is about."""

from pathlib import Path

from .. import settings as settings_module
from ..errors import StartupError
from ..store.naming import SQLITE


def database_of(store: str | None) -> Path:
    """The file of ``--store``, or else of the settings. Raises ``StartupError`` if that is no file."""
    url = store or settings_module.load().store
    path = path_of(url)
    if path is None:
        raise StartupError(f"{url.partition('://')[0]}:// is no file. Name one: sqlite:///./pygents.db, or its path.")
    return path


def path_of(url: str) -> Path | None:
    """The file of a store's URL, which may be a mere path; None if it has none."""
    path = url.removeprefix(SQLITE)
    return None if path == url and "://" in url else Path(path)
