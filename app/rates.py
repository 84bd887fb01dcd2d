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


class Buckets:
    """``rate`` and ``burst`` are more than 0; ``clock`` counts seconds. For use on one thread.

    Each call costs about a microsecond, and nothing is done between calls.
    """

    def __init__(
        self, *, rate: float, burst: int, most: int = MOST_CALLERS, clock: Callable[[], float] = monotonic
    ) -> None:
        self.burst, self.window = burst, burst / rate
        self._each, self._most, self._clock = 1 / rate, most, clock
        self._full_at: dict[str, float] = {}

    def __len__(self) -> int:
        """How many callers are kept."""
        return len(self._full_at)

    def take(self, caller: str) -> float:
        """Take one token, and return 0; if there is none, take nothing and return in how many seconds there is."""
        now = self._clock()
        full_at = max(self._full_at.get(caller, now), now) + self._each
        # A millionth more: sums of fractions must not refuse the last token of a bucket.
        wait = full_at - now - self.window - self._each * 1e-6
        if wait > 0:
            return wait
        self._put(caller, full_at)
        return 0.0

    def charge(self, caller: str, count: int = 1) -> None:
        """Take tokens for what is done already, though there are none left: the caller waits the longer for the next.

        For ``LONGEST_DEBT_SECONDS`` at most.
        """
        now = self._clock()
        full_at = max(self._full_at.get(caller, now), now) + count * self._each
        self._put(caller, min(full_at, now + self.window + LONGEST_DEBT_SECONDS - self._each))

    def wait(self, caller: str) -> float:
        """In how many seconds there is a token: 0 if there is one."""
        full_at = self._full_at.get(caller)
        if full_at is None:
            return 0.0
        wait = full_at + self._each - self._clock() - self.window - self._each * 1e-6
        return max(0.0, wait)

    def level(self, caller: str) -> Level:
        full_in = max(0.0, self._full_at.get(caller, 0.0) - self._clock())
        return Level(max(0, int((self.window - full_in) / self._each + 1e-6)), full_in)

    def _put(self, caller: str, full_at: float) -> None:
        """Those that were used last are at the end: a dict keeps the order in which its keys came."""
        self._full_at.pop(caller, None)
        self._full_at[caller] = full_at
        if len(self._full_at) > self._most:
            del self._full_at[next(iter(self._full_at))]


WRONG_KEYS_PER_SECOND = 1.0
"""How fast an address that has sent too many wrong keys may send further ones."""


class Rates(NamedTuple):
    """The buckets of a service; None where nothing is counted.

    ``requests`` goes by caller, ``wrong_keys`` by address.
    """

    requests: Buckets | None = None
    wrong_keys: Buckets | None = None

    @classmethod
    def of(cls, *, rate: float, burst: int, wrong_keys: int) -> "Rates":
        """``rate`` 0: any number of requests. ``wrong_keys`` 0: any number of those."""
        return cls(
            Buckets(rate=rate, burst=burst) if rate else None,
            Buckets(rate=WRONG_KEYS_PER_SECOND, burst=wrong_keys) if wrong_keys else None,
        )


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
