"""What the server of the hostile tests serves: code that raises, yields, and leaves what it should not."""

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from contextvars import copy_context
from pathlib import Path
from typing import Any, NoReturn

from pygents_core import tool


def note(path: str, *words: object) -> None:
    with Path(path).open("a") as file:
        file.write(" ".join(map(str, words)) + "\n")


def _raise(error: BaseException) -> NoReturn:
    raise error


@tool()
async def say(value: Any) -> Any:
    return value


# --- exceptions ------------------------------------------------------------------------------------------------------


class NotText(Exception):
    """Its text is none."""

    def __str__(self) -> str:
        return 42  # type: ignore[return-value]  # noqa: PLE0307


class Exits(Exception):
    """Whoever prints it ends the process, or tries to."""

    def __str__(self) -> str:
        raise SystemExit(3)

    __repr__ = __str__


class Huge(Exception):
    def __repr__(self) -> str:
        return "x" * 50_000_000

    __str__ = __repr__


class Secretive(type):
    """Classes that do not tell their name."""

    @property
    def __name__(cls) -> str:  # type: ignore[override]
        raise SystemExit(3)


class Nameless(Exception, metaclass=Secretive):
    pass


class Denying(Exception):
    """Does not even say what it is."""

    def __getattribute__(self, name: str) -> NoReturn:
        raise SystemExit(3)


def _named(name: str) -> Exception:
    found = type("Named", (Exception,), {})
    found.__name__ = name
    error = found("on purpose")
    assert isinstance(error, Exception)
    return error


def _chain() -> NoReturn:
    """Each is the other's cause."""
    one, two = ValueError("one"), ValueError("two")
    one.__cause__, two.__cause__ = two, one
    raise one


EXCEPTIONS: dict[str, Callable[[], Any]] = {
    "BaseException": lambda: _raise(BaseException("on purpose")),
    "BaseExceptionGroup": lambda: _raise(BaseExceptionGroup("several", [KeyboardInterrupt(), SystemExit(3)])),
    "SystemExit": lambda: _raise(SystemExit("x" * 1_000_000)),
    "KeyboardInterrupt": lambda: _raise(KeyboardInterrupt()),
    "GeneratorExit": lambda: _raise(GeneratorExit()),
    "CancelledError": lambda: _raise(asyncio.CancelledError("mine")),
    "StopIteration": lambda: _raise(StopIteration(1)),
    "TimeoutError": lambda: _raise(TimeoutError()),
    "NotText": lambda: _raise(NotText()),
    "Exits": lambda: _raise(Exits()),
    "Huge": lambda: _raise(Huge()),
    "Denying": lambda: _raise(Denying()),
    "no name": lambda: _raise(Nameless("on purpose")),
    "a long name": lambda: _raise(_named("x" * 1_000_000)),
    "causes in a ring": _chain,
}


class Liar:
    """Fails whatever it is asked."""

    def __getattribute__(self, name: str) -> NoReturn:
        raise SystemExit(3)


def _dict_ring() -> dict[str, Any]:
    ring: dict[str, Any] = {}
    ring["ring"] = ring
    return ring


VALUES: dict[str, tuple[Callable[[], Any], str]] = {
    "bytes": (lambda: b"\xff\xfe", "not_json"),
    "dict in itself": (_dict_ring, "not_json"),
    "object that raises": (Liar, "SystemExit"),
    "lambda": (lambda: lambda: None, "not_json"),
    "surrogate as a key": (lambda: {"\ud800": 1}, "not_json"),
    "50 MB": (lambda: "x" * 50_000_000, "too_large"),
    "many small parts": (lambda: [0] * 1_000_000, "too_large"),
    "65 levels": (lambda: _nested(65), "not_json"),
}
FINE: dict[str, tuple[Callable[[], Any], Any]] = {
    "set": (lambda: {1}, [1]),
    "a great number": (lambda: 10**400, 10**400),
    "separators": (lambda: "\u2028\u2029\x85\r\n\x00", "\u2028\u2029\x85\r\n\x00"),
    "64 levels": (lambda: _nested(64), None),
}


def _nested(levels: int) -> list[Any]:
    nested: list[Any] = []
    for _ in range(levels - 1):
        nested = [nested]
    return nested


@tool()
async def raises(kind: str) -> Any:
    await asyncio.sleep(0)
    return EXCEPTIONS[kind]()


@tool()
async def raises_later(kind: str) -> AsyncIterator[Any]:
    yield "first"
    yield EXCEPTIONS[kind]()


@tool()
async def gives(kind: str) -> Any:
    return (VALUES | FINE)[kind][0]()


@tool()
async def gives_later(kind: str) -> AsyncIterator[Any]:
    yield "first"
    yield (VALUES | FINE)[kind][0]()


# --- generators and what is left behind ------------------------------------------------------------------------------


@tool()
async def endless_values() -> AsyncIterator[int]:
    while True:
        yield 1


@tool()
async def ignores_its_end(path: str) -> AsyncIterator[Any]:
    """Yield something that cannot be logged, and go on when it is closed."""
    yield "first"
    for word in ("one", "two"):
        try:
            yield b"\xff"
        except BaseException as error:
            note(path, word, type(error).__name__)


@tool()
async def yields_when_closed(path: str) -> AsyncIterator[Any]:
    try:
        yield b"\xff"
    finally:
        note(path, "closing")
        yield "after the end"


left: list[Any] = []


async def _tick(path: str) -> None:
    try:
        while True:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    finally:
        note(path, "ended")


@tool()
async def leaves_tasks(path: str, number: int) -> str:
    left.extend(asyncio.create_task(_tick(path)) for _ in range(number))
    await asyncio.sleep(0.01)
    return "done"


@tool()
async def leaves_tasks_and_hangs(path: str) -> None:
    left.append(asyncio.create_task(_tick(path)))
    await asyncio.Event().wait()


@tool()
async def leaves_a_thread(path: str, gate: str) -> str:
    """Threads cannot be ended from outside; what it asks the loop for later ends at once."""
    loop = asyncio.get_running_loop()

    def work() -> None:
        while not os.path.exists(gate):
            time.sleep(0.005)
        with suppress(BaseException):
            asyncio.run_coroutine_threadsafe(_tick(path), loop).result(5)
        note(path, "thread ended")

    threading.Thread(target=copy_context().run, args=(work,), daemon=True).start()
    return "done"


@tool()
async def count_tasks() -> int:
    """How many tasks there are where tools run."""
    return len(asyncio.all_tasks())
