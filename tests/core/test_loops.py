"""loop_local: one object per event loop, closed by whoever ends the loop."""

import asyncio
import contextvars
import gc
import logging
import threading
import weakref

import pytest

from pygents_core import close_loop_locals, loop_local

pytestmark = pytest.mark.anyio


class Client:
    """Something bound to the loop on which it was made."""

    def __init__(self) -> None:
        self.loop, self.closed = asyncio.get_running_loop(), 0

    async def aclose(self) -> None:
        await asyncio.sleep(0)
        self.closed += 1


async def test_one_for_each_loop() -> None:
    client = loop_local(Client)

    async def get() -> tuple[Client, Client]:
        return client(), client()

    (mine, again), (other, _) = await get(), await asyncio.to_thread(asyncio.run, get())
    assert mine is again
    assert mine is not other
    assert (mine.loop is asyncio.get_running_loop(), other.loop.is_closed()) == (True, True)
    await close_loop_locals()


async def test_as_a_decorator() -> None:
    @loop_local
    def client() -> Client:
        """The one client."""
        return Client()

    assert client() is client()
    assert client.__doc__ == "The one client."
    await close_loop_locals()


async def test_closing_closes_those_of_this_loop_and_the_next_call_makes_anew() -> None:
    client, made = loop_local(Client), threading.Event()

    async def hold() -> Client:
        other = client()
        made.set()
        await asyncio.to_thread(closed.wait)
        return other

    closed = threading.Event()
    elsewhere = asyncio.create_task(asyncio.to_thread(asyncio.run, hold()))
    await asyncio.to_thread(made.wait)
    first = client()
    await close_loop_locals()
    await close_loop_locals()
    closed.set()
    assert (first.closed, (await elsewhere).closed) == (1, 0)
    assert client() is not first
    await close_loop_locals()


async def test_how_things_are_closed(caplog: pytest.LogCaptureFixture) -> None:
    """By ``aclose``, or else ``close``, plain or async; one that fails does not keep the others open."""
    told: list[str] = []

    class Plain:
        def close(self) -> None:
            told.append("plain")

    class Async:
        async def close(self) -> None:
            told.append("async")

    class Both(Client):
        def close(self) -> None:
            told.append("never")

    class Failing:
        async def aclose(self) -> None:
            raise ValueError("on purpose")

    for kind in (Plain, Async, Both, Failing, object):
        loop_local(kind)()
    with caplog.at_level(logging.ERROR, "pygents"):
        await close_loop_locals()
    assert told == ["async", "plain"]
    assert "could not be closed" in caplog.text


async def test_the_factory_runs_in_no_turns_context() -> None:
    variable = contextvars.ContextVar("variable", default="none")
    variable.set("of a turn")
    assert loop_local(variable.get)() == "none"
    await close_loop_locals()


async def test_a_factory_that_fails_is_called_again() -> None:
    answers: list[object] = [ValueError("not yet"), "made"]

    def make() -> object:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    made = loop_local(make)
    with pytest.raises(ValueError, match="not yet"):
        made()
    assert made() == "made"
    await close_loop_locals()


def test_needs_a_running_loop() -> None:
    with pytest.raises(RuntimeError):
        loop_local(Client)()


def test_an_async_factory_is_refused() -> None:
    async def make() -> None:
        pass

    with pytest.raises(TypeError, match="plain function"):
        loop_local(make)


def test_a_loop_that_is_gone_leaves_nothing_behind() -> None:
    client = loop_local(object)
    loop = asyncio.new_event_loop()

    async def get() -> object:
        return client()

    loop.run_until_complete(get())
    loop.close()
    ref = weakref.ref(loop)
    del loop
    gc.collect()
    assert ref() is None
