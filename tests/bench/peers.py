"""Packages that the service is compared with, in folders of their own under ``.cache``; a missing one is left out."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from .harness import ROOT

CACHE = ROOT / ".cache" / "bench"
SEED = "pygents==0.2.1"
SEED_PYTHON = (3, 12)
"""The oldest Python that the seed runs on."""
NEEDED_BY_CORE = ("docstring-parser", "pydantic", "uuid-utils")


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
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    if _succeeds([*pip, SEED, *NEEDED_BY_CORE]):
        return python
    python.unlink()
    return None


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
