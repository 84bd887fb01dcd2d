"""A turn made by the user's code, as it is stored."""

from typing import Any

import pytest

from pygents_app.nesting import MAX_NESTING
from pygents_app.runtime.translation import request_of
from pygents_core import Turn, tool
from pygents_core.errors import NotJsonError
from pygents_core.serialization import decode, encode


@tool()
async def take_anything(value: Any = None) -> None:
    """Do nothing."""


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize("part", ["args", "kwargs", "metadata"])
def test_what_is_nested_too_deep_is_refused_where_it_is_made(part: str) -> None:
    """It would be stored, and could not be decoded when its turn begins."""

    def turn(levels: int) -> Turn[Any]:
        deep = nested(levels)
        parts: dict[str, Any] = {"args": [deep]} if part == "args" else {part: {"value": deep}}
        return Turn(take_anything, **parts)

    kept = getattr(request_of(turn(MAX_NESTING - 1)), part)
    assert decode(encode(kept)) == kept
    with pytest.raises(NotJsonError, match=f"the {part} of a turn are nested deeper"):
        request_of(turn(MAX_NESTING))


def test_metadata_that_is_not_json_is_refused() -> None:
    with pytest.raises(NotJsonError):
        request_of(Turn(take_anything, metadata={"at": float("nan")}))
