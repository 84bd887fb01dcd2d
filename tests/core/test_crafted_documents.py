"""``from_dict`` on documents that no ``to_dict`` has written: they are data, and nothing of them is run or imported."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygents_core import Agent, AgentRegistry, ToolRegistry, Turn, WorkingMemory, tool
from pygents_core.testing import isolated_registries

RUN = frozenset(
    {"import", "exec", "compile", "open", "os.system", "subprocess.Popen", "pickle.find_class", "marshal.loads"}
)
"""What Python tells its audit hooks (PEP 578) when code is made of data, and when something leaves the process."""
REFUSALS = (KeyError, TypeError, ValueError, AttributeError)
"""Names that are not registered are KeyErrors; what has another shape is one of the others."""
NAMES = (
    "os.system", "os", "__import__", "__init__", "builtins.eval", "eval", "subprocess:Popen", "pygents_core.Agent",
    "../tool", "echo\x00", "", "echo.__globals__", "echo.fn", "__class__",
)  # fmt: skip
ODD: tuple[Any, ...] = (
    {"$dynamic": "os.getcwd"}, {"$dynamic": 1}, {"$dynamic": ["os.getcwd"]}, {"__class__": "os.system"},
    {"py/object": "os.system"}, {"!!python/object/apply": "os.system"}, "cos\nsystem\n(S'true'\ntR.", "\x80\x04\x95",
    [], {}, None, 0, True, "2026", -1, 1e308,
)  # fmt: skip
JSON = st.recursive(st.sampled_from([*NAMES, *ODD]), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
    st.sampled_from([*NAMES, "$dynamic", "limit", "items", "tool_name"]), inner, max_size=3), max_leaves=6)  # fmt: skip


class Watch:
    """Hears of what is run while it is ``on``."""

    def __init__(self) -> None:
        self.on, self.told = False, list[str]()

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.on and event in RUN:
            self.told.append(f"{event}: {arguments!r:.200}")


WATCH = Watch()
sys.addaudithook(WATCH)  # for good: there is no way to remove one


@contextmanager
def nothing_is_run() -> Iterator[None]:
    WATCH.told.clear()
    WATCH.on = True
    try:
        yield
    finally:
        WATCH.on = False
    assert not WATCH.told


@contextmanager
def world() -> Iterator[dict[str, Any]]:
    """One tool, and an agent's document with a turn in its mailbox."""
    with isolated_registries():

        @tool()
        async def echo(value: Any = None) -> Any:
            return value

        yield {
            "name": "a", "description": "", "tool_names": ["echo"], "hooks": {}, "memory": {"limit": 2, "items": [1]},
            "queue": [{"tool_name": "echo", "args": [1], "kwargs": {}, "metadata": {}, "timeout": 1, "hooks": {}}],
        }  # fmt: skip
        assert [each.metadata.name for each in ToolRegistry.all()] == ["echo"]


def read(kind: Any, document: Any) -> None:
    with nothing_is_run(), suppress(*REFUSALS):
        kind.from_dict(document)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_looked_up_and_nothing_else(name: str) -> None:
    with world() as document:
        for kind, crafted in (
            (Turn, {"tool_name": name}),
            (Turn, {"tool_name": "echo", "hooks": {"before_run": [name]}}),
            (Turn, {"tool_name": "echo", "hooks": {name: []}}),
            (Turn, {"tool_name": "echo", "args": [{"$dynamic": name}]}),
            (Turn, {"tool_name": "echo", "stop_reason": name or "x"}),
            (Agent, {**document, "tool_names": [name]}),
            (Agent, {**document, "hooks": {"before_turn": [name]}}),
            (Agent, {**document, "queue": [{"tool_name": name}]}),
        ):
            with nothing_is_run(), pytest.raises(REFUSALS):
                kind.from_dict(crafted)
        assert not AgentRegistry.all(), "half an agent was registered"


@given(st.data())
def test_whatever_stands_in_a_document_nothing_of_it_is_run(data: st.DataObject) -> None:
    with world() as document:
        turn: dict[str, Any] = document["queue"][0]
        name = data.draw(st.sampled_from([*document, *turn]))
        value = data.draw(JSON)
        read(Turn, {**turn, name: value})
        read(Agent, {**document, name: value})
        read(Agent, {**document, "queue": [{**turn, name: value}]})
        read(WorkingMemory, {"limit": 2, "items": [], name: value})


def test_what_is_run_would_be_noticed() -> None:
    with pytest.raises(AssertionError), nothing_is_run():
        eval("1")  # noqa: S307
