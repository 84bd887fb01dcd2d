"""How often each caller may come: its requests, the turns that come of them, and the wrong keys from an address.

The header fields are those of draft-ietf-httpapi-ratelimit-headers: ``q`` requests in ``w`` seconds is the bucket and
the time in which it fills; ``r`` of them are left, and all of them again in ``t`` seconds.
"""

from functools import lru_cache
from math import ceil

from starlette.types import Scope

from ..auth import Principal
from ..errors import RateLimited, TooManyWrongKeys
from ..rates import Pace, Rates, network_of, whole_seconds
from ..telemetry import Emit, Limit, Refused, silent
from .answers import RawHeader
from .caller import CHARGED

_LEFT = b'"requests";r=%d;t=%d'
_LEFT_OF_BOTH = _LEFT + b', "turns";r=%d;t=%d'
MAKING = ("/turns", "/turns/batch", "/retry")
"""How the paths end to which a POST makes turns."""


class Turnstile:
    """``counts``: whether requests are counted of callers without limits of their own. Wrong keys are, all the same."""

    def __init__(self, *, rates: Rates, emit: Emit = silent) -> None:
        self._rates, self._emit = rates, emit
        self.counts = rates.pace() is not None

    def enter(self, scope: Scope, principal: Principal) -> tuple[RawHeader, ...]:
        """Count a request; the headers of its answer. Raises ``RateLimited``, and then it is not counted.

        What the caller owes for turns that others of its turns have made is asked for only if it makes another one.
        """
        pace = self._rates.pace(principal.limits.rate, principal.limits.burst)
        if pace is None:
            return ()
        caller = scope[CHARGED] = counted_as(principal, scope)
        requests, turns = self._rates.requests, self._rates.turns
        makes = scope["method"] == "POST" and scope["path"].endswith(MAKING)
        if makes and (owed := turns.wait(caller, pace)):
            own = requests.wait(caller, pace)
            if owed < own + pace.each / 2:  # who has only submitted has used up both, one a moment after the other
                raise self._refusal("rate", pace, max(owed, own), "Wait a moment.")
            raise self._refusal("turns", pace, owed, "The turns that agents make in the course of yours count, too.")
        wait, (left, full_in) = requests.spend(caller, pace)
        if wait:
            raise self._refusal("rate", pace, wait, "Wait a moment.")
        if not makes:
            return ((b"ratelimit-policy", _policy(pace, makes)), (b"ratelimit", _LEFT % (left, ceil(full_in))))
        _, (more, all_in) = turns.spend(caller, pace)
        told = _LEFT_OF_BOTH % (left, ceil(full_in), more, ceil(all_in))
        return ((b"ratelimit-policy", _policy(pace, makes)), (b"ratelimit", told))

    def may_guess(self, scope: Scope) -> bool:
        """Whether a key that could be guessed is looked at: not while too many wrong ones come from the address."""
        guesses = self._rates.guesses
        return guesses is None or self._rates.wrong_keys.wait(address_of(scope), guesses) == 0

    def guessed(self, scope: Scope) -> None:
        """A key or a token was sent that is nobody's. Raises ``TooManyWrongKeys``."""
        guesses = self._rates.guesses
        if guesses is not None and (wait := self._rates.wrong_keys.take(address_of(scope), guesses)):
            raise self._too_many(wait)

    def check_guess(self, scope: Scope) -> None:
        """Before anything dear is done to find out whether a credential is a wrong one. Raises ``TooManyWrongKeys``."""
        guesses = self._rates.guesses
        if guesses is not None and (wait := self._rates.wrong_keys.wait(address_of(scope), guesses)):
            raise self._too_many(wait)

    def _too_many(self, wait: float) -> TooManyWrongKeys:
        self._emit(Refused("wrong_keys"))
        return TooManyWrongKeys(
            "Too many wrong keys have come from this address. Wait a moment.",
            headers={"Retry-After": str(whole_seconds(wait))},
        )

    def _refusal(self, limit: Limit, pace: Pace, wait: float, why: str) -> RateLimited:
        self._emit(Refused(limit))
        seconds, what = whole_seconds(wait), "turns" if limit == "turns" else "requests"
        return RateLimited(
            f"{1 / pace.each:g} {what} per second are allowed, and {pace.burst} at once (rate). {why}",
            headers={
                "Retry-After": str(seconds),
                "RateLimit-Policy": _quota(what, pace),
                "RateLimit": f'"{what}";r=0;t={seconds}',
            },
        )


def counted_as(principal: Principal, scope: Scope) -> str:
    """A key has an id. All who have none are told apart by their addresses, which no id looks like."""
    return principal.id or f"@{address_of(scope)}"


def address_of(scope: Scope) -> str:
    """Of the connection: what a header says of it can be made up, and would make a caller of each request."""
    client = scope.get("client")
    return network_of(client[0]) if client else ""


@lru_cache(1024)
def _policy(pace: Pace, makes: bool) -> bytes:
    quotas = ("requests", "turns") if makes else ("requests",)
    return ", ".join(_quota(what, pace) for what in quotas).encode()


def _quota(what: str, pace: Pace) -> str:
    return f'"{what}";q={pace.burst};w={max(1, ceil(pace.window))}'
