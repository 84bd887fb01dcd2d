"""By whom open streams are held: the key that they were opened with, and the ticket. They end with it."""

import asyncio
from collections.abc import Iterable

from ..auth import Held
from ..clock import Clock, system_clock
from .watch import Reader

FAREWELL = b": the key is not valid any more\n\n"
"""No ``stream.closing``: that is for what passes. The client comes back once, is answered 401, and stops."""
MOST_ENDED = 10_000
"""Of what is void that much is remembered, for streams that are just being opened: whoever signs in and out without end
makes one void each time."""
CUT_SECONDS = 3.0
"""How long a client that takes nothing may take to take its end."""


class Holders:
    """For use on the HTTP loop."""

    def __init__(self, clock: Clock = system_clock) -> None:
        self._clock = clock
        self._by_key: dict[str, set[Reader]] = {}
        self._by_ticket: dict[str, Reader] = {}
        self._ended: dict[str, None] = {}
        self._until: dict[str, int] = {}

    def enter(self, held: Held, reader: Reader) -> None:
        """With a ticket whose stream is open that one is cut: most often it is dead, and nobody has noticed yet."""
        if held.ticket:
            if (before := self._by_ticket.get(held.ticket)) is not None:
                before.abort()
            self._by_ticket[held.ticket] = reader
        if held.key:
            self._by_key.setdefault(held.key, set()).add(reader)
            if held.until is not None:
                self._until[held.key] = held.until
            if held.key in self._ended:  # while the stream was being opened
                self._end([reader])

    def leave(self, held: Held, reader: Reader) -> None:
        if held.ticket and self._by_ticket.get(held.ticket) is reader:
            del self._by_ticket[held.ticket]
        if held.key and (readers := self._by_key.get(held.key)) is not None:
            readers.discard(reader)
            if not readers:
                del self._by_key[held.key]
                self._until.pop(held.key, None)

    def end(self, key: str) -> None:
        """End all streams of a key, cleanly; those that are not through in a while are cut. It is void for ever."""
        self._ended[key] = None
        if len(self._ended) > MOST_ENDED:
            del self._ended[next(iter(self._ended))]
        self._end(self._by_key.get(key, ()))

    def look(self) -> None:
        """End the streams of keys that are over by now. To be called again and again: the clock may be set."""
        if self._until:
            now = self._clock()
            for key in [key for key, until in self._until.items() if until <= now]:
                self._end(self._by_key.get(key, ()))

    def _end(self, readers: Iterable[Reader]) -> None:
        ending = list(readers)
        for reader in ending:
            reader.farewell(FAREWELL)
        if ending:
            asyncio.get_running_loop().call_later(CUT_SECONDS, _cut, ending)


def _cut(readers: Iterable[Reader]) -> None:
    for reader in readers:
        reader.abort()
