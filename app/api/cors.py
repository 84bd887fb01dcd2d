"""Pages of other origins that may use the service (https://fetch.spec.whatwg.org/#http-cors-protocol): those that are
named, exactly, and by default none.

No credentials of the browser are allowed for, because none are used: a page sends a key or a ticket, which are its own.
"""

from collections.abc import Iterable, Sequence

RawHeader = tuple[bytes, bytes]

METHODS = b"GET, HEAD, POST, PATCH, DELETE"
REQUEST_HEADERS = (
    b"authorization, x-api-key, content-type, idempotency-key, prefer, last-event-id, x-request-id, traceparent"
)
ANSWER_HEADERS = (
    b"location, retry-after, x-request-id, idempotency-replayed, preference-applied, www-authenticate, link, "
    b"ratelimit, ratelimit-policy"
)
MAX_AGE_SECONDS = 600
VARY: RawHeader = (b"vary", b"origin")
"""On every answer: a cache must not give one page what was answered to another."""


class Cors:
    def __init__(self, origins: Iterable[str]) -> None:
        self._origins = frozenset(origin.encode() for origin in origins)

    def __bool__(self) -> bool:
        return bool(self._origins)

    def allows(self, origins: Sequence[bytes]) -> bool:
        return len(origins) == 1 and origins[0] in self._origins

    def headers(self, origins: Sequence[bytes]) -> tuple[RawHeader, ...]:
        """What the answer to a request of this origin carries besides."""
        if not self.allows(origins):
            return (VARY,)
        return VARY, (b"access-control-allow-origin", origins[0]), (b"access-control-expose-headers", ANSWER_HEADERS)


PREFLIGHT: Sequence[RawHeader] = (
    (b"access-control-allow-methods", METHODS),
    (b"access-control-allow-headers", REQUEST_HEADERS),
    (b"access-control-max-age", b"%d" % MAX_AGE_SECONDS),
)
"""What a page of an allowed origin may ask for, whatever the address: whether it gets it is the key's business."""
