"""Connections that a ticket has admitted, one after the other, and when it is told that the last is over."""

import asyncio
from typing import Any, cast

import pytest

from pygents_app.access.commands import CloseTicket, RedeemTicket, TicketReply
from pygents_app.access.records import Ticket
from pygents_app.auth import ANYBODY, Gate
from pygents_app.ports import Store
from pygents_app.runtime.tickets import Tickets

pytestmark = pytest.mark.anyio

TICKET = Ticket(b"t" * 32, "k", ("a",), None)


class HeldStore:
    """Redeems when it is told to."""

    def __init__(self) -> None:
        self.redeeming: asyncio.Queue[asyncio.Future[TicketReply]] = asyncio.Queue()
        self.closed = 0

    async def get_ticket(self, digest: bytes) -> Ticket:
        return TICKET

    def execute(self, command: Any) -> "asyncio.Future[Any]":
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if isinstance(command, RedeemTicket):
            self.redeeming.put_nowait(answer)
        else:
            assert isinstance(command, CloseTicket)
            self.closed += 1
            answer.set_result(None)
        return answer


class AnyKey:
    def by_holder(self, holder: str) -> object:
        return ANYBODY

    def digest_bound(self, token: bytes, holder: str) -> bytes:
        return token


async def test_one_that_comes_back_while_the_last_leaves_keeps_the_ticket_open() -> None:
    store = HeldStore()
    tickets = Tickets(store=cast(Store, store), gate=cast(Gate, AnyKey()))

    def redeem() -> "asyncio.Task[Any]":
        return asyncio.create_task(tickets.redeem("token", "/agents/a/stream", "a"))

    first = redeem()
    (await store.redeeming.get()).set_result(TicketReply(TICKET))
    admitted = await first
    second = redeem()
    writing = await store.redeeming.get()
    admitted.leave()
    assert store.closed == 0, "the one that is being admitted is open, too"
    writing.set_result(TicketReply(TICKET))
    (await second).leave()
    assert store.closed == 1
