"""By whom open streams are held: the key that they were opened with, and the ticket. They end with it."""

import asyncio
from collections.abc import Iterable

from ..auth import Held
from .watch import Reader

FAREWELL = b": the key is not valid any more\n\n"
"""No ``stream.closing``: that is for what passes. The client comes back once, is answered 401, and stops."""
CUT_SECONDS = 3.0
"""How long a client that takes nothing may take to take its end."""


class Holders:
    """For use on the HTTP loop."""

    def __init__(self) -> None:
        self._by_key: dict[str, set[Reader]] = {}
        self._by_ticket: dict[str, Reader] = {}
        self._ended: set[str] = set()

    def enter(self, held: Held, reader: Reader) -> None:
        """With a ticket whose stream is open that one is cut: most often it is dead, and nobody has noticed yet."""
        if held.ticket:
            if (before := self._by_ticket.get(held.ticket)) is not None:
                before.abort()
            self._by_ticket[held.ticket] = reader
        if held.key:
            self._by_key.setdefault(held.key, set()).add(reader)
            if held.key in self._ended:  # while the stream was being opened
                self._end([reader])

    def leave(self, held: Held, reader: Reader) -> None:
        if held.ticket and self._by_ticket.get(held.ticket) is reader:
            del self._by_ticket[held.ticket]
        if held.key and (readers := self._by_key.get(held.key)) is not None:
            readers.discard(reader)
            if not readers:
                del self._by_key[held.key]

    def end(self, key: str) -> None:
        """End all streams of a key, cleanly; those that are not through in a while are cut. It is void for ever."""
        self._ended.add(key)
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
