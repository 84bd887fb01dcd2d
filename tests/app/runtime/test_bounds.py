"""What users' code may make too large, too deep, too late or too early: each ends as a clear error."""

from datetime import UTC, datetime
from itertools import count
from typing import Any

import pytest

from pygents_app.errors import Fenced, StartupError
from pygents_app.runtime.catalogue import Catalogue
from pygents_app.runtime.encoding import Limits, encode_memory, encode_value
from pygents_app.runtime.mailbox import as_library_error
from pygents_app.runtime.outcomes import ValueRefused
from pygents_app.runtime.requests import MAX_DELAY
from pygents_app.runtime.roster import Roster
from pygents_app.runtime.translation import due_time
from pygents_core import Agent, Turn, WorkingMemory, tool
from pygents_core.errors import NotRunningError
from pygents_core.testing import isolated_registries

LIMITS = Limits(value_bytes=100, memory_bytes=100, values=3)


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "index", "cause"),
    [
        ("x" * 99, 0, "too_large"),
        (1, 3, "too_many_values"),
        (float("nan"), 0, "not_json"),
        ((number for number in count()), 0, "not_json"),
    ],
)
def test_values_that_are_refused(value: Any, index: int, cause: str) -> None:
    with pytest.raises(ValueRefused) as refused:
        encode_value(value, index, LIMITS)
    assert refused.value.cause == cause


def test_nesting_is_bounded() -> None:
    assert encode_value(nested(64), 0, Limits())
    with pytest.raises(ValueRefused, match="nested deeper than 64"):
        encode_value(nested(65), 0, Limits())


def test_the_memory_is_bounded() -> None:
    memory = WorkingMemory(2)
    memory.append("x" * 50)
    assert encode_memory(memory, LIMITS)
    memory.append("x" * 50)
    with pytest.raises(ValueRefused, match="working memory"):
        encode_memory(memory, LIMITS)


@pytest.mark.parametrize("delay", [-5.0, MAX_DELAY + 1, 1e18, float("inf"), float("nan")])
def test_delays_out_of_bounds(delay: float) -> None:
    with pytest.raises(ValueError, match="delay must be"):
        due_time(lambda: 0, delay, None)


def test_delays_within_bounds() -> None:
    assert due_time(lambda: 7, 1.5, None) == 1_500_007
    assert due_time(lambda: 7, None, None) is None
    with pytest.raises(ValueError, match="not both"):
        due_time(lambda: 7, 1.0, datetime.now(UTC))


@pytest.mark.anyio
async def test_turns_put_before_the_service_are_not_lost_in_silence() -> None:
    with isolated_registries():

        @tool()
        async def early() -> None: ...

        agent = Agent("early", "", [early], register=False)
        await agent.put(Turn("early"))
        with pytest.raises(StartupError, match="1 turns in its mailbox"):
            Roster([agent], catalogue=Catalogue(), hook_timeout=1)


def test_a_late_send_gets_an_error_of_the_library() -> None:
    assert isinstance(as_library_error(Fenced("gone"), "tool"), NotRunningError)
