"""Tools: how something is done. An async function with a name, a schema, perhaps a lock and hooks."""

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import aclosing, closing
from dataclasses import dataclass
from typing import Any, NamedTuple, get_args, overload

from ._lock import ToolLock
from ._registry import Registry
from .errors import UnregisteredToolError
from .hooks import Hook, HookRunner, ToolHook, log, registered
from .memory import WorkingMemory
from .schema import ToolSchema, parameter_hints
from .serialization import evaluate

RETRY_CAUSES = frozenset({"error", "timeout", "interrupted"})
LONGEST_RETRY_DELAY = 366 * 86_400
DEFAULT_CAP = 60.0
"""Seconds, both."""


class ToolMetadata(NamedTuple):
    """Name and description (its docstring, or None) of a tool."""

    name: str
    description: str | None

    def dict(self) -> dict[str, Any]:
        """Both by name."""
        return self._asdict()


@dataclass(frozen=True, slots=True)
class Retry:
    """How often and when a turn that did not complete is run again. Only a durable mailbox obeys it.

    The n-th retry waits ``delay * factor ** (n - 1)`` seconds, at most ``max_delay`` (60 if none is given, or ``delay``
    if that is more), with ``jitter`` at least half of that and at random up to all of it. ``on`` names the ends that
    are retried. Raises ValueError for numbers that make no sense.
    """

    max_attempts: int
    delay: float = 1
    factor: float = 2
    max_delay: float | None = None
    jitter: bool = True
    on: tuple[str, ...] = ("error", "timeout", "interrupted")

    def __post_init__(self) -> None:
        if self.max_attempts < 1:
            raise ValueError(f"max_attempts must be >= 1, not {self.max_attempts}")
        for name, seconds in (("delay", self.delay), ("max_delay", self.cap)):
            if not 0 <= seconds <= LONGEST_RETRY_DELAY:
                raise ValueError(f"{name} must be 0 to {LONGEST_RETRY_DELAY} seconds, not {seconds}")
        if not 1 <= self.factor < float("inf"):
            raise ValueError(f"factor must be >= 1, not {self.factor}")
        if unknown := set(self.on) - RETRY_CAUSES:
            raise ValueError(f"on must be among {sorted(RETRY_CAUSES)}, not {sorted(unknown)}")
        object.__setattr__(self, "max_delay", self.cap)

    @property
    def cap(self) -> float:
        """Seconds that no delay exceeds."""
        return max(DEFAULT_CAP, self.delay) if self.max_delay is None else self.max_delay


class Tool:
    """A registered async function; calling it calls the function with the fixed kwargs merged in, hooks and all.

    It is made by ``@tool``. ``fn`` is the function itself; ``lock`` is None unless it was asked for.
    """

    __name__: str

    def __init__(
        self,
        fn: Callable[..., Any],
        *,
        lock: bool = False,
        hooks: Mapping[ToolHook, Iterable[Hook]] | None = None,
        retry: Retry | None = None,
        fixed: Mapping[str, Any] | None = None,
    ) -> None:
        if not (inspect.iscoroutinefunction(fn) or inspect.isasyncgenfunction(fn)):
            raise TypeError(f"Tool must be async (coroutine or async generator function), not {fn!r}")
        functools.update_wrapper(self, fn)
        self._fixed = dict(fixed or {})
        self._refuse_unknown_fixed(fn)
        self.fn = fn
        self.metadata = ToolMetadata(fn.__name__, fn.__doc__)
        self.lock = ToolLock() if lock else None
        self.hooks: dict[ToolHook, list[Hook]] = {} if hooks is None else registered(hooks)
        self.retry = retry
        self.is_streaming = inspect.isasyncgenfunction(fn)

    @property
    def fixed_kwargs(self) -> tuple[str, ...]:
        """Names of the fixed kwargs; their values stay inside."""
        return tuple(self._fixed)

    @functools.cached_property
    def schema(self) -> ToolSchema:
        """Which arguments callers may give; the working memory is not among them."""
        hidden = {self.memory_parameter} if self.memory_parameter else set()
        return ToolSchema(self.fn, name=self.metadata.name, fixed=self.fixed_kwargs, hidden=hidden)

    @functools.cached_property
    def memory_parameter(self) -> str | None:
        """Name of the first parameter annotated ``WorkingMemory``, also inside Optional or Annotated; else None."""
        hints = parameter_hints(self.fn)
        return next((name for name, hint in hints.items() if _is_memory(hint)), None)

    def inject(self, memory: WorkingMemory, args: list[Any], kwargs: dict[str, Any]) -> WorkingMemory | None:
        """Put ``memory`` among the arguments in place and return it; None, and nothing done, if the caller gave one."""
        name = self.memory_parameter
        if name is None or name in kwargs or any(isinstance(arg, WorkingMemory) for arg in args):
            return None
        parameters = inspect.signature(self.fn).parameters
        index = list(parameters).index(name)
        if parameters[name].kind is inspect.Parameter.KEYWORD_ONLY or index > len(args):
            kwargs[name] = memory
        else:
            args.insert(index, memory)
        return memory

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return the coroutine, or the async generator, of one call."""
        return self.stream(args, kwargs) if self.is_streaming else self.call(args, kwargs)

    def __repr__(self) -> str:
        return f"<tool {self.metadata.name!r}>"

    def call(
        self, args: Sequence[Any], kwargs: Mapping[str, Any], hooks: HookRunner | None = None
    ) -> Coroutine[Any, Any, Any]:
        """Return the coroutine of one call of a coroutine tool; ``hooks`` runs its hooks (None: without limit)."""
        merged = self._merge(kwargs) if self._fixed else kwargs
        called: Coroutine[Any, Any, Any] = self.fn(*args, **merged)
        return self._hooked_call(called, args, merged, hooks or HookRunner()) if self.hooks else called

    def stream(
        self, args: Sequence[Any], kwargs: Mapping[str, Any], hooks: HookRunner | None = None
    ) -> AsyncGenerator[Any, None]:
        """Return the async generator of one call of a generator tool; ``hooks`` as for ``call``."""
        merged = self._merge(kwargs) if self._fixed else kwargs
        values: AsyncGenerator[Any, None] = self.fn(*args, **merged)
        return self._hooked_stream(values, args, merged, hooks or HookRunner()) if self.hooks else values

    async def _hooked_call(
        self, called: Coroutine[Any, Any, Any], args: Sequence[Any], kwargs: Mapping[str, Any], hooks: HookRunner
    ) -> Any:
        with closing(called):
            await hooks.fire(ToolHook.BEFORE_INVOKE, self.hooks.get(ToolHook.BEFORE_INVOKE, ()), *args, **kwargs)
            value = await called
        await hooks.fire(ToolHook.AFTER_INVOKE, self.hooks.get(ToolHook.AFTER_INVOKE, ()), value)
        return value

    async def _hooked_stream(
        self, values: AsyncGenerator[Any, None], args: Sequence[Any], kwargs: Mapping[str, Any], hooks: HookRunner
    ) -> AsyncGenerator[Any, None]:
        async with aclosing(values):
            await hooks.fire(ToolHook.BEFORE_INVOKE, self.hooks.get(ToolHook.BEFORE_INVOKE, ()), *args, **kwargs)
            async for value in values:
                await hooks.fire(ToolHook.AFTER_INVOKE, self.hooks.get(ToolHook.AFTER_INVOKE, ()), value)
                yield value

    def _merge(self, kwargs: Mapping[str, Any]) -> dict[str, Any]:
        for key in self._fixed.keys() & kwargs.keys():
            log.warning("Fixed kwarg %r is overridden by call-time argument for tool %s.", key, self.metadata.name)
        return {**{key: evaluate(value) for key, value in self._fixed.items()}, **kwargs}

    def _refuse_unknown_fixed(self, fn: Callable[..., Any]) -> None:
        parameters = inspect.signature(fn).parameters
        unknown = sorted(self._fixed.keys() - parameters.keys())
        if unknown and not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
            raise TypeError(
                f"Tool {fn.__name__!r}: fixed kwargs {unknown} are not in function signature, and it has no **kwargs"
            )


ToolRegistry: Registry[Tool] = Registry("Tool", missing=UnregisteredToolError, name_of=lambda tool: tool.metadata.name)


@overload
def tool(func: Callable[..., Any], /) -> Tool: ...
@overload
def tool(
    func: None = None,
    /,
    *,
    lock: bool = False,
    hooks: Mapping[ToolHook, Iterable[Hook]] | None = None,
    **fixed_kwargs: Any,
) -> Callable[[Callable[..., Any]], Tool]: ...
def tool(
    func: Callable[..., Any] | None = None,
    /,
    *,
    lock: bool = False,
    hooks: Mapping[ToolHook, Iterable[Hook]] | None = None,
    **fixed_kwargs: Any,
) -> Tool | Callable[[Callable[..., Any]], Tool]:
    """Make an async function a tool and register it under its name.

    ``lock``: its turns run one after another, whichever agent they belong to. ``hooks`` are registered, too. All other
    keyword arguments are fixed kwargs: merged into every call unless the caller gives them, evaluated then if they are
    functions. ``retry`` is a policy if it is a ``Retry``, else a fixed kwarg as any other.
    Raises TypeError for a function that is not async or has no such parameter, ValueError for a name that is taken.
    """
    retry = fixed_kwargs.get("retry")
    policy = fixed_kwargs.pop("retry") if isinstance(retry, Retry) else None

    def decorate(fn: Callable[..., Any]) -> Tool:
        made = Tool(fn, lock=lock, hooks=hooks, retry=policy, fixed=fixed_kwargs)
        ToolRegistry.register(made)
        return made

    return decorate if func is None else decorate(func)


def _is_memory(hint: Any) -> bool:
    return hint is WorkingMemory or any(map(_is_memory, get_args(hint)))
