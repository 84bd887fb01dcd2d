"""Packages that the service is compared with, in environments of their own under ``.cache/bench``.

They are installed by name, in their newest version, the first time they are needed, and then kept: remove the folder
to compare with newer ones. One that cannot be had is left out of the tables and named in their notes.
"""

import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import distributions
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from .harness import ROOT

CACHE = ROOT / ".cache" / "bench"
SEED = "pygents==0.2.1"
SEED_PYTHON = (3, 12)
"""The oldest Python that the seed runs on."""
NEEDED_BY_CORE = ("docstring-parser", "pydantic", "uuid-utils")
PLOTS_LOCK = Path(__file__).resolve().parent / "plots.lock"
SERVED = "uvicorn[standard]"
"""With uvloop and httptools, as we are: the product's own dependencies may have less."""


class Environment(NamedTuple):
    """What is installed, and the distributions whose versions are told."""

    requirements: tuple[str, ...]
    told: tuple[str, ...]


ENVIRONMENTS: Mapping[str, Environment] = {
    "llama-agents-server": Environment(
        ("llama-agents-server", SERVED), ("llama-agents-server", "llama-index-workflows")
    ),
    "arq": Environment(("arq", "fastapi", SERVED), ("arq",)),
    "celery": Environment(("celery[redis]", "fastapi", SERVED), ("celery",)),
    "agno": Environment(("agno[os]", "sqlalchemy", "greenlet", SERVED), ("agno",)),
    "langgraph": Environment(("langgraph-cli[inmem]",), ("langgraph", "langgraph-api")),
}


def environment(name: str, *, install: bool) -> Path | None:
    """The Python of one of the environments; None if it is not there (and could not be made)."""
    return _made(CACHE / name, ENVIRONMENTS[name].requirements, install=install)


def plotting(*, install: bool) -> Path | None:
    """A Python with what draws the plots, as it was locked; None if there is none (and none could be made)."""
    return _made(CACHE / "plots", ("--require-hashes", "-r", str(PLOTS_LOCK)), install=install)


def redis_server() -> str | None:
    """Redis is no Python package: Debian has it as ``redis-server``."""
    return shutil.which("redis-server")


def versions() -> dict[str, str]:
    """Of all that we are compared with and that is here; Redis's is that of the program."""
    found = {name: version for path in CACHE.glob("*/lib/python*/site-packages") for name, version in _told(path)}
    found.update(_told(CACHE / "sse-starlette"))
    if redis := redis_server():
        said = subprocess.run([redis, "--version"], capture_output=True, text=True, check=True).stdout
        found["redis-server"] = said.partition("v=")[2].split()[0]
    return dict(sorted(found.items()))


def sse_starlette(*, install: bool) -> dict[str, str] | None:
    """The environment in which sse-starlette can be imported; None if it is not there (and could not be installed)."""
    if find_spec("sse_starlette") is not None:
        return {}
    folder = CACHE / "sse-starlette"
    if not folder.is_dir():
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder)]
        if not install or not _succeeds([*command, "sse-starlette"]):
            return None
    return {"PYTHONPATH": str(folder)}


def seed_python(*, install: bool) -> Path | None:
    """A Python with the seed and all that the library needs; None if there is none (and none could be made)."""
    python = CACHE / "seed" / "bin" / "python"
    if python.is_file():
        return python
    base = _newer_python() if install else None
    if base is None or not _succeeds([base, "-m", "venv", "--clear", str(CACHE / "seed")]):
        return None
    if _succeeds([*_pip(python), SEED, *NEEDED_BY_CORE]):
        return python
    python.unlink()
    return None


def _made(folder: Path, asked: Sequence[str], *, install: bool) -> Path | None:
    """The file ``installed`` is written last: what was broken off is made anew."""
    python, stamp = folder / "bin" / "python", folder / "installed"
    if not stamp.is_file():
        if not install or not _succeeds([sys.executable, "-m", "venv", "--clear", str(folder)]):
            return None
        if not _succeeds([*_pip(python), *asked]):
            return None
        stamp.touch()
    return python


def _pip(python: Path) -> list[str]:
    return [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]


def _told(path: Path) -> list[tuple[str, str]]:
    names = {"sse-starlette", "pygents", *(name for each in ENVIRONMENTS.values() for name in each.told)}
    found = [(each.metadata["Name"], each.version) for each in distributions(path=[str(path)])]
    return [(name, version) for name, version in found if name in names]


def _newer_python() -> str | None:
    """The first that runs, is new enough and can make environments; tried, because of shims that only pretend."""
    installed = sorted(Path.home().glob(".pyenv/versions/3.*/bin/python"))
    candidates = [sys.executable, "python3.12", "python3.13", *map(str, installed)]
    check = f"import ensurepip, sys; sys.exit(sys.version_info < {SEED_PYTHON})"
    return next((candidate for candidate in candidates if _succeeds([candidate, "-c", check])), None)


def _succeeds(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False, timeout=300).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False
