import dataclasses
import datetime as dt
import enum
import json
import math
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, model_serializer

from pygents_core import Dynamic, DynamicRegistry, UnregisteredDynamicError, dynamic
from pygents_core.errors import NotJsonError
from pygents_core.serialization import (
    decode_arguments,
    dumps,
    encode_arguments,
    evaluate_arguments,
    freeze_arguments,
    to_jsonable,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


class Color(enum.Enum):
    RED = "red"


class Model(BaseModel):
    name: str
    at: dt.datetime


@dataclasses.dataclass
class Point:
    x: int
    y: int


class Hostile:
    """Nothing that it can be asked for works, and it tries to take the process down."""

    def __repr__(self) -> str:
        raise SystemExit(3)

    __str__ = __repr__

    def __iter__(self) -> Any:
        raise KeyboardInterrupt


class HostileError(Exception):
    def __str__(self) -> str:
        raise SystemExit(5)


class RaisesHostileError(BaseModel):
    @model_serializer
    def fail(self) -> int:
        raise HostileError


class HostileModel(BaseModel):
    x: int

    def __getattribute__(self, name: str) -> Any:
        if name in {"x", "__dict__", "__pydantic_serializer__"}:
            raise SystemExit(4)
        return super().__getattribute__(name)


def cycle() -> list[Any]:
    items: list[Any] = []
    items.append({"again": items})
    return items


def nested(depth: int) -> list[Any]:
    items: list[Any] = []
    for _ in range(depth):
        items = [items]
    return items


@given(JSON)
def test_plain_json_goes_there_and_back(value: Any) -> None:
    encoded = dumps(value)
    assert json.loads(encoded) == value == to_jsonable(value)
    assert dumps(to_jsonable(value)) == encoded


def test_is_compact_and_readable() -> None:
    assert dumps({"a": [1, 2.5, None, True], "b": "Grüße 😀"}) == '{"a":[1,2.5,null,true],"b":"Grüße 😀"}'.encode()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (False, False),
        (Point(1, 2), {"x": 1, "y": 2}),
        (
            Model(name="n", at=dt.datetime(2026, 1, 2, tzinfo=dt.UTC)),
            {"name": "n", "at": "2026-01-02T00:00:00Z"},
        ),
        (Color.RED, "red"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        ((1, 2), [1, 2]),
        (frozenset({1}), [1]),
        (b"bytes", "bytes"),
        ({1: "a", dt.date(2026, 1, 2): "b"}, {"1": "a", "2026-01-02": "b"}),
        ([Point(1, 2)], [{"x": 1, "y": 2}]),
    ],
)
def test_what_pydantic_takes(value: Any, expected: Any) -> None:
    assert to_jsonable(value) == expected
    assert json.loads(dumps(value)) == expected


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        math.inf,
        [{"deep": -math.inf}],
        cycle(),
        nested(5_000),
        object(),
        Hostile(),
        [Hostile()],
        {Hostile(): 1},
        HostileModel.model_construct(x=1),
        RaisesHostileError(),
        len,
        int,
        ValueError("x"),
        "\ud800",
        {"\ud800": 1},
        ["a\udfff"],
        b"\xff",
        10**5_000,
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_not_json(value: Any) -> None:
    with pytest.raises(NotJsonError, match="not JSON") as caught:
        dumps(value)
    assert isinstance(caught.value, ValueError)
    with pytest.raises(NotJsonError):
        to_jsonable(value)


class TestDynamic:
    def test_is_registered_and_callable(self) -> None:
        @dynamic
        def now() -> int:
            return 7

        assert isinstance(now, Dynamic)
        assert DynamicRegistry.get("now") is now
        assert now() == 7
        assert repr(now) == "<dynamic 'now'>"
        with pytest.raises(ValueError, match="already registered"):
            dynamic(now.fn)

    def test_one_that_needs_arguments(self) -> None:
        with pytest.raises(TypeError, match="without arguments"):
            dynamic(lambda x: x)  # type: ignore[arg-type, misc]

    def test_an_async_one(self) -> None:
        async def later() -> int:
            return 1

        with pytest.raises(TypeError, match="async"):
            dynamic(later)

    def test_wire_form_and_back(self) -> None:
        @dynamic
        def today() -> str:
            return "monday"

        wire = encode_arguments([today, 1], {"day": today, "other": lambda: dt.date(2026, 1, 2)})
        assert wire == ([{"$dynamic": "today"}, 1], {"day": {"$dynamic": "today"}, "other": "2026-01-02"})
        json.dumps(wire)
        args, kwargs = decode_arguments(*wire)
        assert args == [today, 1]
        assert kwargs == {"day": today, "other": "2026-01-02"}
        assert evaluate_arguments(args, kwargs) == (["monday", 1], {"day": "monday", "other": "2026-01-02"})

    def test_a_plain_function_is_evaluated_once_when_encoded(self) -> None:
        calls: list[int] = []
        encode_arguments([lambda: calls.append(1)], {})
        assert calls == [1]

    def test_encode_refuses_what_is_not_json(self) -> None:
        with pytest.raises(NotJsonError):
            encode_arguments([], {"x": object()})
        anything = object()
        assert freeze_arguments([anything], {}) == ([anything], {})

    @pytest.mark.parametrize(
        "argument", [{"$dynamic": 1}, {"$dynamic": "x", "more": 1}, [{"$dynamic": "x"}], "$dynamic"]
    )
    def test_what_only_looks_like_one(self, argument: Any) -> None:
        assert decode_arguments([argument], {}) == ([argument], {})

    def test_one_that_is_not_registered(self) -> None:
        with pytest.raises(UnregisteredDynamicError, match="'gone' not found"):
            decode_arguments([], {"x": {"$dynamic": "gone"}})
