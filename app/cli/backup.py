"""``pygents backup``, ``restore`` and ``restored``."""

import os
from pathlib import Path

from .. import settings as settings_module
from ..clock import new_id
from ..errors import StartupError
from ..settings import Settings
from ..store import copying, restoring
from ..store.lockfile import LockFile
from .files import database_of
from .remote import by_proxy, key_headers, own_url

PIECE = 1 << 20
MOST_NAMES = 10


def backup(target: Path, *, url: str | None, store: str | None) -> None:
    """Through the server at ``url``; without, of the file, and if that is being served through its server.

    Raises ``StartupError``.
    """
    if target.exists():
        raise StartupError(f"{target} exists. Name a file that does not.")
    part = target.with_name(f"{target.name}.{new_id()}")
    try:
        if url is not None:
            _download(url, part, settings_module.load())
        else:
            _copy(database_of(store), part, store)
        part.replace(target)
    except OSError as error:
        if error.filename not in {None, str(part), str(target)}:  # it is not what is written
            raise
        raise StartupError(f"{target} cannot be written ({error.strerror}).") from None
    finally:
        part.unlink(missing_ok=True)
    print(f"{target}: {target.stat().st_size:,} bytes")


def restore(source: Path, *, store: str | None, force: bool) -> None:
    if not source.is_file():
        raise StartupError(f"There is no file {source}.")
    target = database_of(store)
    agents, kept = restoring.restore(source, target, force=force)
    if kept is not None:
        print(f"The old database is kept as {kept}.")
    print(f"{target} is as {source} was; the logs of {agents} agents go on with higher numbers.")


def restored(database: Path) -> None:
    agents, damaged = restoring.jump(database)
    print(f"The logs of {agents} agents go on with higher numbers.")
    if damaged:
        print(f"These agents are damaged and left as they are: {_listed(damaged)}.")


def _listed(names: list[str]) -> str:
    more = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def _copy(database: Path, target: Path, store: str | None) -> None:
    if not database.is_file():
        raise StartupError(f"There is no file {database}. Name it with --store, or a server with --url.")
    try:
        lock = LockFile(database)
    except StartupError:
        settings = settings_module.load()
        if store is not None:
            raise StartupError(f"A server uses {database}. Ask it: pygents backup {target} --url http://…") from None
        _download(own_url(settings), target, settings)
        return
    try:
        copying.copy_whole(database, target)
    finally:
        lock.release()


def _download(url: str, target: Path, settings: Settings) -> None:
    import httpx  # noqa: PLC0415 (not for a file)

    url, headers, wait = url.rstrip("/"), key_headers(settings), httpx.Timeout(30, read=None)
    try:
        with (
            httpx.stream(
                "POST", f"{url}/backup", headers=headers, timeout=wait, trust_env=by_proxy(url, settings)
            ) as answer,
            os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file,
        ):
            if answer.status_code != 200:
                raise StartupError(f"The server at {url} answers {answer.status_code}: {answer.read().decode()[:500]}")
            for piece in answer.iter_bytes(PIECE):
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise StartupError(f"The server at {url} does not give a backup ({error}).") from None
