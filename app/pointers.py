"""JSON pointers (RFC 6901): how errors say which part of a body they mean."""

from collections.abc import Iterable


def pointer(path: Iterable[str | int]) -> str:
    """The pointer that leads along ``path``; of no steps it is the empty string, the whole body."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)
