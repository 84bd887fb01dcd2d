"""Stream tickets: what a browser's ``EventSource``, which can send no header, opens a stream with."""

import logging
import secrets
from asyncio import Future
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from ..access import rules
from ..access.commands import CloseTicket, IssueTicket, RedeemTicket, SettleTickets
from ..access.records import Ticket
from ..auth import ADMIN, Principal
from ..ports import Store

log = logging.getLogger(__name__)


class Admission(NamedTuple):
    """One connection that a ticket has admitted. ``leave`` is called when it is over; again does nothing."""

    principal: Principal
    ticket: str
    leave: Callable[[], None]


class Admitting(Protocol):
    def by_holder(self, id: str) -> Principal | None:
        """The caller that has this ``Principal.holder``, if it would be admitted now."""
        ...

    def digest_bound(self, token: bytes, holder: str) -> bytes:
        """What is stored of a token that is ``holder``'s: of no use with another key of the settings."""
        ...


class Tickets:
    """Admits connections. That only one is open at a time is for those to see to who hold the connections."""

    def __init__(self, *, store: Store, gate: Admitting) -> None:
        self._store, self._gate = store, gate
        self._open: Counter[bytes] = Counter()

    async def start(self) -> None:
        """No stream of an earlier process is open any more."""
        await self._store.execute(SettleTickets())

    async def issue(self, principal: Principal, agents: Sequence[str]) -> tuple[str, int]:
        """A ticket, and when it is void if it has opened no stream. Raises TooManyTickets."""
        token = "pyt_" + secrets.token_hex(32)
        ticket = Ticket(
            self._gate.digest_bound(token.encode(), principal.holder), principal.holder, tuple(agents), None
        )
        reply = await self._store.execute(IssueTicket(ticket))
        return token, reply.ticket.until or 0

    async def redeem(self, token: str, path: str, agent: str) -> Admission:
        """Let one connection open the agent's stream at ``path``. Raises Unauthorized.

        The key that the ticket is of must still be valid. Its scopes are those that it had: they never change.
        """
        digest = await self._known(token)
        self._open[digest] += 1  # before it is written: whoever leaves meanwhile is then not the last
        try:
            ticket = (await self._store.execute(RedeemTicket(digest, path, agent))).ticket
        except BaseException:
            self._leave(digest)
            raise
        principal = self._gate.by_holder(ticket.key)
        if principal is None:
            self._leave(digest)
            raise rules.void()
        return Admission(principal, digest.hex(), self._leaving(digest))

    async def _known(self, token: str) -> bytes:
        """By what it is stored. Looked up before anything else: guessing costs no write. Raises Unauthorized."""
        for holder in ("", ADMIN):
            digest = self._gate.digest_bound(token.encode(), holder)
            if await self._store.get_ticket(digest) is not None:
                return digest
        raise rules.void()

    def _leaving(self, digest: bytes) -> Callable[[], None]:
        left = False

        def leave() -> None:
            nonlocal left
            if not left:
                left = True
                self._leave(digest)

        return leave

    def _leave(self, digest: bytes) -> None:
        self._open[digest] -= 1
        if self._open[digest] <= 0:
            del self._open[digest]
            self._store.execute(CloseTicket(digest)).add_done_callback(_closed)


def _closed(done: Future[Any]) -> None:
    """One that could not be closed stays open until the process ends, and is closed by the next one."""
    if not done.cancelled() and done.exception() is not None:
        log.warning("a stream ticket could not be closed: %s", done.exception())
