"""A look at a machine and at the files of a database, which changes nothing."""

import os
import platform
import resource
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from .. import settings as settings_module
from ..errors import StartupError
from ..settings import Collected, Origin
from ..store.inspection import part_of
from ..store.lockfile import holder
from . import findings
from .closed import refusals
from .files import path_of
from .findings import Finding, State
from .health import health
from .output import plain

SYNCS = 20
PARTS = ("", "-wal", "-shm", ".head", ".lock")
HEALTH_SECONDS = 5.0


def look(file: Path | None) -> Iterator[Finding]:
    """Everything, one after the other; ``file`` instead of the database of the settings."""
    yield findings.of_python(sys.version_info[:3], f"{platform.system()} {platform.release()}")
    yield findings.of_sqlite(sqlite3.sqlite_version_info[:3])
    yield findings.of_descriptors(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    try:
        collected = settings_module.collect()
    except StartupError as error:
        yield Finding("settings", State.PROBLEM, error.detail)
        database = file
    else:
        yield from _settings(collected)
        database = file or path_of(collected.settings.store)
        if collected.settings.store == "memory://" and file is None:
            yield Finding("store", State.WARNING, "memory: nothing outlives the process")
    yield findings.of_clock(datetime.now(UTC), _written(database) if database is not None else None)
    if database is not None:
        try:
            yield from _database(database, own=file is None)
        except OSError as error:
            yield _hidden("store", error)


def _database(database: Path, *, own: bool) -> Iterator[Finding]:
    yield from _place(database)
    yield from _files(database)
    yield _server(database, own=own)


def _hidden(name: str, error: OSError) -> Finding:
    text = f"{error.filename}: {error.strerror}; look as the user that serves it"
    return Finding(name, State.PROBLEM, text)


def _settings(collected: Collected) -> Iterator[Finding]:
    values, origins = collected.settings.printable(), collected.origins
    said = [f"{name} {plain(values[name])} ({' '.join(origin)})" for name, origin in origins.items()]
    yield Finding("settings", State.OK, "; ".join(said) or "as they are by default")
    try:
        for refusal in refusals(collected.settings):
            yield Finding("settings", State.PROBLEM, refusal.detail)
    except OSError as error:
        yield _hidden("settings", error)
    for name, origin in origins.items():
        if name in settings_module.SECRETS and values[name] != getattr(collected.settings, name):
            yield from _readable(_source(origin))


def _source(origin: Origin) -> Path | None:
    """The file that a secret was read from; None for those from the environment itself."""
    named = origin.name.endswith("_FILE")
    match origin.where:
        case ".env":
            return Path(settings_module.dotenv(Path(".env"))[origin.name] or "" if named else ".env")
        case "pygents.toml":
            return Path("pygents.toml")
        case _:
            return Path(os.environ[origin.name]) if named else None


def _place(database: Path) -> Iterator[Finding]:
    """Of the disk where it lies, or would lie."""
    folder = database.parent
    if not folder.is_dir():
        yield Finding("store", State.PROBLEM, f"there is no folder {folder}")
        return
    if database.is_dir():
        yield Finding("store", State.PROBLEM, f"{database} is a folder; name a file in it")
        return
    if database.exists() and not os.access(database, os.R_OK | os.W_OK):
        yield Finding("store", State.PROBLEM, f"{database} may not be read and written by the user that asks")
        return
    yield Finding("store", State.OK, f"{database}{'' if database.exists() else ', which does not exist yet'}")
    yield findings.of_file_system(_file_system(folder))
    yield _sync(folder)
    yield findings.of_space(shutil.disk_usage(folder).free, database.stat().st_size if database.exists() else 0)


def _written(database: Path) -> datetime | None:
    try:
        times = [part.stat().st_mtime for part in (part_of(database, part) for part in PARTS) if part.exists()]
    except OSError:  # nobody may look, which the next finding says
        return None
    return datetime.fromtimestamp(max(times), UTC) if times else None


def _file_system(folder: Path) -> str | None:
    """By the longest mount point that the folder lies in (proc(5), mountinfo); None where that cannot be read."""
    try:
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
    except OSError:
        return None
    place, found = folder.resolve(), (Path(), "")
    for line in lines:
        before, _, after = line.partition(" - ")
        point = Path(before.split()[4].encode().decode("unicode_escape"))
        if place.is_relative_to(point) and len(point.parts) >= len(found[0].parts):
            found = point, after.split()[0]
    return found[1] or None


def _sync(folder: Path) -> Finding:
    """How long a write to the disk takes there."""
    times: list[float] = []
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            for _ in range(SYNCS):
                began = time.perf_counter()
                file.write(b"x" * 4096)
                file.flush()
                os.fsync(file.fileno())
                times.append(time.perf_counter() - began)
    except OSError as error:
        return Finding("sync", State.PROBLEM, f"no file can be written in {folder.resolve()} ({error.strerror})")
    times.sort()
    return findings.of_sync(times[SYNCS // 2], times[-1])


def _files(database: Path) -> Iterator[Finding]:
    folder = database.parent
    if folder.is_dir() and (finding := findings.of_folder(str(folder), folder.stat().st_mode)) is not None:
        yield finding
    for part in PARTS:
        yield from _readable(part_of(database, part))


def _readable(path: Path | None) -> Iterator[Finding]:
    if path is None or not path.is_file():
        return
    if (finding := findings.of_secret_file(str(path), path.stat().st_mode)) is not None:
        yield finding


def _server(database: Path, *, own: bool) -> Finding:
    try:
        pid = holder(database)
    except OSError as error:
        text = f"whether one uses the database cannot be known ({error.filename}: {error.strerror})"
        return Finding("server", State.WARNING, text)
    if pid is None:
        return Finding("server", State.OK, "none uses the database now")
    who = f"process {pid}" if pid > 0 else "a process of another container"  # whose numbers are not ours
    if not own:
        return Finding("server", State.OK, f"{who} uses the database")
    asked = health(None, HEALTH_SECONDS)
    return Finding("server", State.OK if asked.ready else State.WARNING, f"{who} uses the database; {asked.line}")
