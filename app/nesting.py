"""How deep JSON may be nested, in what comes in and in what tools produce: deeper, many parsers of clients fail."""

import re
from itertools import accumulate

MAX_NESTING = 64

_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_OPENS_OR_CLOSES = bytes.maketrans(b"[{]}", b"\0\0\1\1")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def too_deep(raw: bytes) -> bool:
    """Whether brackets are nested beyond the limit. Linear and never recursive; what is not JSON may get any answer."""
    if raw.count(b"[") + raw.count(b"{") <= MAX_NESTING:
        return False
    brackets = _STRING.sub(b"", raw).translate(_OPENS_OR_CLOSES, _NO_BRACKETS)
    return max(accumulate(map((1, -1).__getitem__, brackets)), default=0) > MAX_NESTING
