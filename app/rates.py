"""How often something may be done: a token bucket for each caller, in the memory of this process.

A bucket holds at most ``burst`` tokens and gains ``rate`` of them a second. What is kept of one is a single number, the
time at which it will be full again: the virtual scheduling of the generic cell rate algorithm (ITU-T I.371, annex A),
which admits the same as the leaky bucket of Turner ("New directions in communications", 1986) used as a meter.
"""

import ipaddress
from collections.abc import Callable
from functools import lru_cache
from math import ceil
from time import monotonic
from typing import NamedTuple

MOST_CALLERS = 10_000
"""Buckets that are kept; beyond, the one that was used longest ago is forgotten, and is full when it is met again.

Without a bound a sender of many addresses would fill the memory. With it, one who has more addresses than this may use
each at its full burst; by then he has so many that no bound for each of them would hold him back."""

LONGEST_DEBT_SECONDS = 60.0
"""What is charged afterwards never makes a caller wait for longer: a loop of agents cannot lock its owner out."""

IPV6_NETWORK = 64
"""Bits of an IPv6 address that tell callers apart: whoever has one such address has all 2**64 of its network."""


class Level(NamedTuple):
    """How full a bucket is: whole ``tokens``, and in how many seconds it is full."""

    tokens: int
    full_in: float


class Pace(NamedTuple):
    """How a bucket fills: ``each`` token takes so many seconds, and ``window`` seconds all ``burst`` of them."""

    each: float
    window: float
    burst: int

    @classmethod
    def of(cls, rate: float, burst: int) -> "Pace":
        """``rate`` tokens a second. Both are more than 0."""
        return cls(1 / rate, burst / rate, burst)


class Buckets:
    """One for each caller, who comes with a ``pace`` each time, because callers may differ. For use on one thread.

    ``clock`` counts seconds. Each call costs about a microsecond, and nothing is done between calls.
    """

    def __init__(self, *, most: int = MOST_CALLERS, clock: Callable[[], float] = monotonic) -> None:
        self._most, self._clock = most, clock
        self._full_at: dict[str, float] = {}

    def __len__(self) -> int:
        """How many callers are kept."""
        return len(self._full_at)

    def take(self, caller: str, pace: Pace) -> float:
        """Take one token, and return 0; if there is none, take nothing and return in how many seconds there is."""
        now = self._clock()
        full_at = max(self._full_at.get(caller, now), now) + pace.each
        # A millionth more: sums of fractions must not refuse the last token of a bucket.
        wait = full_at - now - pace.window - pace.each * 1e-6
        if wait > 0:
            return wait
        self._put(caller, full_at)
        return 0.0

    def spend(self, caller: str, pace: Pace) -> tuple[float, Level]:
        """``take`` and then ``level``, in half the time of both. Of what is refused the level is none that is left."""
        each, window, _ = pace
        now = self._clock()
        full_in = self._full_at.get(caller, now) - now
        full_in = full_in + each if full_in > 0 else each
        wait = full_in - window - each * 1e-6
        if wait > 0:
            return wait, Level(0, full_in)
        self._put(caller, now + full_in)
        left = int((window - full_in) / each + 1e-6)
        return 0.0, Level(left if left > 0 else 0, full_in)

    def charge(self, caller: str, pace: Pace, count: int = 1) -> None:
        """Take tokens for what is done already, though there are none left: the caller waits the longer for the next.

        For ``LONGEST_DEBT_SECONDS`` at most, or for one token if that takes longer.
        """
        now = self._clock()
        full_at = max(self._full_at.get(caller, now), now) + count * pace.each
        self._put(caller, min(full_at, now + pace.window + max(0.0, LONGEST_DEBT_SECONDS - pace.each)))

    def wait(self, caller: str, pace: Pace) -> float:
        """In how many seconds there is a token: 0 if there is one."""
        full_at = self._full_at.get(caller)
        if full_at is None:
            return 0.0
        wait = full_at + pace.each - self._clock() - pace.window - pace.each * 1e-6
        return max(0.0, wait)

    def level(self, caller: str, pace: Pace) -> Level:
        full_in = max(0.0, self._full_at.get(caller, 0.0) - self._clock())
        return Level(max(0, int((pace.window - full_in) / pace.each + 1e-6)), full_in)

    def _put(self, caller: str, full_at: float) -> None:
        """Those that were used last are at the end: a dict keeps the order in which its keys came."""
        self._full_at.pop(caller, None)
        self._full_at[caller] = full_at
        if len(self._full_at) > self._most:
            del self._full_at[next(iter(self._full_at))]


SLOWEST = 1e-5
"""The least rate of requests, about one a day: any that is set lower counts as this, and no wait is endless."""

WRONG_KEYS_PER_SECOND = 1.0
"""How fast an address that has sent too many wrong keys may send further ones."""


class Rates:
    """The buckets of a service. ``requests`` and ``turns`` go by caller, ``wrong_keys`` by address.

    ``turns`` are those that a caller's requests make, and those that come of them: these are charged, and what is owed
    for them keeps the caller from making more, and from nothing else: who has set off a loop must be able to end it.
    """

    def __init__(self, *, rate: float, burst: int, wrong_keys: int) -> None:
        """``rate`` 0: any number of requests, but for callers with another. ``wrong_keys`` 0: any number of those."""
        self._rate, self._burst = rate, burst
        self.requests, self.turns, self.wrong_keys = Buckets(), Buckets(), Buckets()
        self.guesses = Pace.of(WRONG_KEYS_PER_SECOND, wrong_keys) if wrong_keys else None

    def pace(self, rate: float | None = None, burst: int | None = None) -> Pace | None:
        """Of a caller with these limits of its own; the service's where it has none. None: it is not counted."""
        return _pace(self._rate if rate is None else rate, self._burst if burst is None else burst)


@lru_cache(1024)
def _pace(rate: float, burst: int) -> Pace | None:
    return Pace.of(max(rate, SLOWEST), burst) if rate else None


def whole_seconds(seconds: float) -> int:
    """For ``Retry-After``: never so few that the next attempt comes too early."""
    return max(1, ceil(seconds))


@lru_cache(1024)
def network_of(host: str) -> str:
    """What callers without a key are told apart by: their IPv4 address, or their network in IPv6."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:  # a socket without addresses
        return host
    if address.version == 4:
        return host
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address.packed, IPV6_NETWORK), strict=False))
