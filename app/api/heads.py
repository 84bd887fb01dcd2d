"""The headers of a request that the service reads, gathered once, each with all of its values."""

from collections.abc import Iterable, Mapping, Sequence
from typing import cast

from starlette.types import Scope

HEADS = "pygents.heads"
"""Where in the ASGI scope they are."""

READ = frozenset(
    {
        b"host", b"origin", b"authorization", b"x-api-key", b"x-request-id", b"content-length", b"transfer-encoding",
        b"content-type", b"content-encoding", b"accept", b"prefer", b"idempotency-key", b"last-event-id",
        b"access-control-request-method", b"cookie", b"sec-fetch-site", b"x-forwarded-proto",
    }
)  # fmt: skip

MOST_BYTES = 64 * 1024
"""Of a request line and all headers. A head without end would fill the memory long before any route sees it."""

Heads = Mapping[bytes, Sequence[bytes]]
"""By lower-case name; a header that was not sent is not in it."""


def gather(headers: Iterable[tuple[bytes, bytes]]) -> Heads:
    gathered: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        if name in READ:
            if name in gathered:
                gathered[name].append(value)
            else:
                gathered[name] = [value]
    return gathered


def heads_of(scope: Scope) -> Heads:
    """Those of a request that has passed the guard."""
    return cast(Heads, scope[HEADS])


def texts(values: Iterable[bytes]) -> list[str]:
    """As text: any byte is a character (RFC 9110 §5.5)."""
    return [value.decode("latin-1") for value in values]
