"""A stream ticket as it is presented: ``?ticket=`` in the address of a stream: an EventSource sends no header."""

import re
from typing import NamedTuple

from starlette.types import Scope

from ..access.rules import void
from .event_query import pairs_of

PARAMETER = "ticket"
_STREAM = re.compile(r"/agents/([^/]+)(?:/turns/[^/]+)?/stream")


class Presented(NamedTuple):
    path: str
    agent: str
    token: str


def is_presented(scope: Scope) -> bool:
    return b"ticket=" in scope["query_string"] and scope["method"] == "GET" and bool(_STREAM.fullmatch(scope["path"]))


def presented(scope: Scope) -> Presented:
    """Of a request with one. Raises ``Unauthorized`` if there is not exactly one, or it is none at a glance."""
    stream = _STREAM.fullmatch(scope["path"])
    tokens = [value for name, value in pairs_of(scope["query_string"]) if name == PARAMETER]
    if stream is None or len(tokens) != 1 or not re.fullmatch(r"pyt_[0-9a-f]{64}", tokens[0]):
        raise void()
    return Presented(scope["path"], stream[1], tokens[0])
