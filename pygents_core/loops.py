"""One object per event loop, for clients and pools that work only on the loop on which they were made."""

import asyncio
import inspect
import threading
from collections.abc import Callable
from contextvars import Context
from typing import Any, Generic, TypeVar
from weakref import WeakKeyDictionary

from .hooks import log

T = TypeVar("T")

_Objects = dict["LoopLocal[Any]", Any]
_made: WeakKeyDictionary[asyncio.AbstractEventLoop, _Objects] = WeakKeyDictionary()
_guard = threading.Lock()


class LoopLocal(Generic[T]):
    """What ``loop_local`` returns: calling it gives the running loop's object."""

    def __init__(self, factory: Callable[[], T]) -> None:
        if inspect.iscoroutinefunction(factory):
            raise TypeError(
                f"the factory must be a plain function, not {factory!r}: it is called wherever it is needed"
            )
        self._factory = factory
        self.__doc__ = factory.__doc__

    def __call__(self) -> T:
        """The object of the running event loop, made at the first call. Raises RuntimeError where no loop runs."""
        objects = _objects_of(asyncio.get_running_loop())
        if self not in objects:
            # Tasks that the factory starts belong to the loop, not to the turn that happens to be the first.
            objects[self] = Context().run(self._factory)
        made: T = objects[self]
        return made

    def __repr__(self) -> str:
        return f"<loop_local of {self._factory!r}>"


def loop_local(factory: Callable[[], T]) -> LoopLocal[T]:
    """Make one object per event loop, lazily; also as a decorator of its factory.

    An HTTP client or a connection pool that is made once, when the module is imported, works on one event loop only.
    The service opens another loop when a tool blocks the one that runs tools, so share such an object like this:

        @loop_local
        def http() -> httpx.AsyncClient:
            return httpx.AsyncClient()

        @tool()
        async def fetch(url: str) -> str:
            return (await http().get(url)).text

    The service closes the object (``aclose()``, or else ``close()``, if it has one) when it ends that loop; without the
    service, ``await close_loop_locals()`` does. ``factory`` takes no arguments and runs in an empty context, so that
    tasks which it starts do not end with a turn. Raises TypeError for one that is async.
    """
    return LoopLocal(factory)


async def close_loop_locals() -> None:
    """Close all objects of the running loop, the youngest first; what they raise is logged."""
    with _guard:
        objects = _made.pop(asyncio.get_running_loop(), {})
    for local, made in reversed(objects.items()):
        try:
            await _close(made)
        except Exception as error:
            log.error("%r could not be closed", local, exc_info=error)


def _objects_of(loop: asyncio.AbstractEventLoop) -> _Objects:
    with _guard:
        return _made.setdefault(loop, {})


async def _close(made: object) -> None:
    close = getattr(made, "aclose", None) or getattr(made, "close", None)
    if callable(close):
        closed = close()
        if inspect.isawaitable(closed):
            await closed
