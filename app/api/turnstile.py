"""How often each caller may come: its requests, and the wrong keys that come from an address.

The header fields are those of draft-ietf-httpapi-ratelimit-headers: ``q`` requests in ``w`` seconds is the bucket and
the time in which it fills; ``r`` of them are left, and all of them again in ``t`` seconds.
"""

from math import ceil

from starlette.types import Scope

from ..auth import Principal
from ..errors import RateLimited, TooManyWrongKeys
from ..rates import Buckets, Rates, network_of, whole_seconds
from ..telemetry import Emit, Refused, silent
from .answers import RawHeader


class Turnstile:
    """``counts``: whether requests are counted at all. Wrong keys may be, all the same."""

    def __init__(self, *, rates: Rates, emit: Emit = silent) -> None:
        self._requests, self._wrong_keys = rates
        self._emit = emit
        self.counts = self._requests is not None
        self._policy = _policy(self._requests) if self._requests is not None else b""

    def enter(self, scope: Scope, principal: Principal) -> tuple[RawHeader, ...]:
        """Count a request; the headers of its answer. Raises ``RateLimited``, and then it is not counted."""
        buckets = self._requests
        if buckets is None:
            return ()
        caller = counted_as(principal, scope)
        if wait := buckets.take(caller):
            self._emit(Refused("rate"))
            raise self._refusal(buckets, whole_seconds(wait))
        tokens, full_in = buckets.level(caller)
        return (
            (b"ratelimit-policy", self._policy),
            (b"ratelimit", b'"requests";r=%d;t=%d' % (tokens, ceil(full_in))),
        )

    def may_guess(self, scope: Scope) -> bool:
        """Whether a key that could be guessed is looked at: not while too many wrong ones come from the address."""
        return not self._wrong_keys or self._wrong_keys.wait(address_of(scope)) == 0

    def guessed(self, scope: Scope) -> None:
        """A key was sent that is nobody's. Raises ``TooManyWrongKeys``."""
        if self._wrong_keys is not None and (wait := self._wrong_keys.take(address_of(scope))):
            self._emit(Refused("wrong_keys"))
            raise TooManyWrongKeys(
                "Too many wrong keys have come from this address. Wait a moment.",
                headers={"Retry-After": str(whole_seconds(wait))},
            )

    def _refusal(self, buckets: Buckets, seconds: int) -> RateLimited:
        each = buckets.burst / buckets.window
        return RateLimited(
            f"{each:g} requests per second are allowed, and {buckets.burst} at once (rate). Wait a moment.",
            headers={
                "Retry-After": str(seconds),
                "RateLimit-Policy": self._policy.decode(),
                "RateLimit": f'"requests";r=0;t={seconds}',
            },
        )


def counted_as(principal: Principal, scope: Scope) -> str:
    """A key has an id. All who have none are told apart by their addresses, which no id looks like."""
    return principal.id or f"@{address_of(scope)}"


def address_of(scope: Scope) -> str:
    """Of the connection: what a header says of it can be made up, and would make a caller of each request."""
    client = scope.get("client")
    return network_of(client[0]) if client else ""


def _policy(buckets: Buckets) -> bytes:
    return b'"requests";q=%d;w=%d' % (buckets.burst, max(1, ceil(buckets.window)))
