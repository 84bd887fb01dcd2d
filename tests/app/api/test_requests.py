"""A plain submit is recognised without its model, and is what the model would have made of it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygents_app.api import bodies
from pygents_app.api.requests import Submit, plain_submit
from pygents_app.clock import system_clock
from pygents_app.errors import InvalidRequest
from pygents_app.runtime.requests import TurnRequest

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text(), JSON, max_size=3)
TOOLS = st.sampled_from(["", "greet", "x" * 256, "x" * 257, "é" * 256])
TIMEOUTS = st.sampled_from([0, -1, 0.001, 1, 60.0, 86_400, 86_400.5, 10**400, True, "1", None])


def bodies_of(**odd: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Bodies whose members are right, or any JSON, or missing, beside some that are not known."""
    right = {"args": st.lists(JSON, max_size=3), "kwargs": OBJECTS, "metadata": OBJECTS, **odd}
    optional = {name: values | JSON for name, values in right.items()}
    return st.fixed_dictionaries({}, optional={"tool": TOOLS | JSON, "timeout": TIMEOUTS | JSON, **optional})


@given(bodies_of(delay=st.integers(0, 5), retry=st.just({"max_attempts": 2}), other=JSON) | JSON)
def test_what_is_plain_is_what_the_model_makes_of_it(value: Any) -> None:
    plain = plain_submit(value)
    try:
        model: TurnRequest | None = bodies.validate(Submit, value).request(system_clock)
    except InvalidRequest:
        model = None
    if plain is not None:
        assert plain == model
        assert type(plain.timeout) is float


@pytest.mark.parametrize(
    "body",
    [
        {"tool": "greet"},
        {"tool": "greet", "args": [1, "a", None], "kwargs": {"name": "World", "deep": {"er": [1.5]}}, "timeout": 5},
        {"tool": "greet", "metadata": {"user": "u42"}, "timeout": 86_400.0},
    ],
)
def test_ordinary_submits_are_plain(body: dict[str, Any]) -> None:
    plain = plain_submit(body)
    assert plain is not None
    assert plain == bodies.validate(Submit, body).request(system_clock)


OTHERS: list[dict[str, Any]] = [
    {"delay": 1},
    {"not_before": "2026-11-22T10:48:00Z"},
    {"retry": {"max_attempts": 2}},
    {"other": 1},
    {"tool": ""},
    {"tool": "x" * 257},
    {"timeout": 0},
    {"timeout": 86_400.5},
    {"timeout": True},
    {"args": {}},
    {"kwargs": []},
    {"metadata": None},
]


@pytest.mark.parametrize("extra", OTHERS)
def test_others_are_not(extra: dict[str, Any]) -> None:
    assert plain_submit({"tool": "greet", **extra}) is None


def test_the_longest_are() -> None:
    plain = plain_submit({"tool": "x" * 256, "timeout": 86_400})
    assert plain is not None
    assert (plain.tool, plain.timeout) == ("x" * 256, 86_400.0)


def test_no_default_is_shared() -> None:
    one, other = plain_submit({"tool": "a"}), plain_submit({"tool": "a"})
    assert one is not None
    assert other is not None
    assert one.args is not other.args
    assert one.kwargs is not other.kwargs
