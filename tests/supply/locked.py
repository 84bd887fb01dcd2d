"""A lock file as data."""

import re
from collections.abc import Iterator
from typing import NamedTuple

PIN = re.compile(r"(?P<name>[A-Za-z0-9._-]+)(?:\[[^\]]*\])?==(?P<version>[^\s;]+)(?:\s*;\s*(?P<marker>.*?))?\s*\\?")
HASH = re.compile(r"\s+--hash=sha256:(?P<digest>[0-9a-f]{64})\s*\\?")


class Pin(NamedTuple):
    """``marker`` says where it is installed, "" for everywhere; ``hashes`` are of all files that may be installed."""

    name: str
    version: str
    marker: str
    hashes: tuple[str, ...]


def pins(lock: str) -> list[Pin]:
    """In the file's order. Raises ``ValueError`` for a line that is neither a pin nor a hash: it would go unnoticed."""
    found: list[Pin] = []
    for line in _lines(lock):
        if digest := HASH.fullmatch(line):
            last = found.pop()
            found.append(last._replace(hashes=(*last.hashes, digest["digest"])))
        elif pin := PIN.fullmatch(line):
            found.append(Pin(normal(pin["name"]), pin["version"], pin["marker"] or "", ()))
        else:
            raise ValueError(f"this line is no pin: {line!r}")
    return found


def normal(name: str) -> str:
    """The name of a package as registries compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _lines(lock: str) -> Iterator[str]:
    return (line for line in lock.splitlines() if line.strip() and not line.startswith("#"))
