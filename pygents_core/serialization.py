"""Strict JSON, and the wire form of a turn's arguments."""

import inspect
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import FunctionType
from typing import Any, TypeAlias, TypeGuard

from pydantic_core import from_json, to_json, to_jsonable_python

from ._registry import Registry
from .errors import NotJsonError, UnregisteredDynamicError

Arguments: TypeAlias = tuple[list[Any], dict[str, Any]]

_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_CONSTANTS = {None: b"null", True: b"true", False: b"false"}
# The one key of the object that stands for a function registered with @dynamic.
DYNAMIC_KEY = "$dynamic"


def dumps(value: Any) -> bytes:
    """Return ``value`` as compact UTF-8 JSON (RFC 8259), after pydantic's rules for models, dataclasses, datetimes …

    Raises NotJsonError, and nothing else, for what has no exact form: NaN, infinity, cycles, nesting that is too deep,
    unknown types, lone surrogates, and values whose own code raises.
    """
    kind = type(value)
    if value is None or kind is bool:
        return _CONSTANTS[value]
    if isinstance(value, Iterator):
        raise NotJsonError(f"{kind.__name__} is not JSON: it may never end; make a list of it")
    try:
        plain = value if kind is str or kind is int else to_jsonable_python(value)
        return _ENCODER.encode(plain).encode()
    except BaseException as error:
        # Whatever it is, it came from the value: nothing here waits, so it cannot be a cancellation.
        raise NotJsonError(f"{kind.__name__} is not JSON: {_text(error)}") from error


def encode(plain: Any) -> bytes:
    """Return as compact UTF-8 JSON what a strict JSON decoder, or ``to_jsonable``, has given.

    Looks for nothing that those refuse: it would write NaN and infinity, which are not JSON. For all else: ``dumps``.
    """
    return to_json(plain)


def decode(encoded: bytes) -> Any:
    """Return what ``dumps`` or ``encode`` has written. Raises ValueError for what is not JSON or 200 levels deep."""
    return from_json(encoded)


def to_jsonable(value: Any) -> Any:
    """Return ``value`` as plain dicts, lists, strings and numbers: exactly what a reader of ``dumps(value)`` gets."""
    if value is None or type(value) is bool:
        return value
    return json.loads(dumps(value))


class Dynamic:
    """A function registered with ``@dynamic``; calling it calls the function."""

    __slots__ = ("fn", "name")

    def __init__(self, fn: Callable[[], Any]) -> None:
        self.fn = fn
        self.name = str(getattr(fn, "__name__", type(fn).__name__))

    def __call__(self) -> Any:
        return self.fn()

    def __repr__(self) -> str:
        return f"<dynamic {self.name!r}>"


DynamicRegistry: Registry[Dynamic] = Registry(
    "Dynamic function", missing=UnregisteredDynamicError, name_of=lambda dynamic: dynamic.name
)


def dynamic(fn: Callable[[], Any]) -> Dynamic:
    """Make a function usable as an argument that is stored by name and evaluated at each invocation of the tool.

    Raises ValueError if its name is taken, TypeError for a function that is async or needs arguments.
    """
    if inspect.iscoroutinefunction(fn):
        raise TypeError(f"A dynamic argument must be a plain function, but {fn!r} is async")
    try:
        inspect.signature(fn).bind()
    except TypeError as error:
        raise TypeError(f"A dynamic argument must be callable without arguments, but {fn!r}: {error}") from None
    found = Dynamic(fn)
    DynamicRegistry.register(found)
    return found


# What is evaluated among arguments: plain functions and lambdas, as ever, and @dynamic ones; no other callable.
EVALUATED = (FunctionType, Dynamic)


def is_callable_argument(value: object) -> TypeGuard[Callable[[], Any]]:
    """Whether ``value`` is evaluated when it is an argument."""
    return isinstance(value, EVALUATED)


def evaluate(value: Any) -> Any:
    """Call ``value`` if it is a callable argument, else return it."""
    return value() if isinstance(value, EVALUATED) else value


def evaluate_arguments(args: Iterable[Any], kwargs: Mapping[str, Any]) -> Arguments:
    """Return new ones with every callable argument replaced by its value now."""
    return (
        [evaluate(arg) if callable(arg) else arg for arg in args],
        {name: evaluate(arg) if callable(arg) else arg for name, arg in kwargs.items()},
    )


def freeze_arguments(args: Iterable[Any], kwargs: Mapping[str, Any]) -> Arguments:
    """Return the arguments with ``@dynamic`` functions in wire form, and others evaluated."""
    return [_frozen(arg) for arg in args], {name: _frozen(arg) for name, arg in kwargs.items()}


def encode_arguments(args: Iterable[Any], kwargs: Mapping[str, Any]) -> Arguments:
    """Do the same as ``freeze_arguments``, with every value JSON. Raises NotJsonError, and what a callable raises."""
    frozen_args, frozen_kwargs = freeze_arguments(args, kwargs)
    return [to_jsonable(arg) for arg in frozen_args], {name: to_jsonable(arg) for name, arg in frozen_kwargs.items()}


def decode_arguments(args: Iterable[Any], kwargs: Mapping[str, Any]) -> Arguments:
    """Return the arguments with every ``{"$dynamic": name}`` among them replaced by the registered function.

    Not those deeper inside an argument. Raises UnregisteredDynamicError.
    """
    return [_thawed(arg) for arg in args], {name: _thawed(arg) for name, arg in kwargs.items()}


def _frozen(arg: Any) -> Any:
    return {DYNAMIC_KEY: arg.name} if isinstance(arg, Dynamic) else evaluate(arg)


def _thawed(arg: Any) -> Any:
    if isinstance(arg, dict) and arg.keys() == {DYNAMIC_KEY} and isinstance(arg[DYNAMIC_KEY], str):
        return DynamicRegistry.get(arg[DYNAMIC_KEY])
    return arg


def _text(error: BaseException) -> str:
    try:
        return str(error) or type(error).__name__
    except BaseException:
        return type(error).__name__
