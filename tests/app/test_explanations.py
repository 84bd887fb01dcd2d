"""The catalogue has all that can go wrong, and nothing that cannot."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from pygents_app.api.problem_documents import EXAMPLES
from pygents_app.errors import ServiceError
from pygents_app.explanations.catalogue import catalogue, find
from pygents_app.explanations.entry import URN, Entry, Kind, Repeat
from pygents_app.explanations.requests import ERRORS
from pygents_app.explanations.streams import CLOSINGS, RESETS
from pygents_app.explanations.turns import TURNS
from pygents_app.runtime.outcomes import _OURS
from pygents_app.settings import Settings
from pygents_app.streaming import sse

APP = Path(__file__).parents[2] / "app"
MAKERS = frozenset({"error", "ValueRefused"})
"""What makes the error of a turn: ``payloads.error("poison", …)``."""


def of_turns() -> Iterator[str]:
    """The types that the code gives to the errors of turns, by its literals."""
    for path in APP.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(
                    func=ast.Name(id=maker) | ast.Attribute(value=ast.Name(id="payloads"), attr=maker),
                    args=[ast.Constant(value=str(type_)), *_],
                ) if maker in MAKERS:
                    yield type_
    yield from _OURS.values()


class TestComplete:
    def test_every_problem_that_the_service_answers_with(self) -> None:
        assert ERRORS.keys() == {type(example) for example in EXAMPLES}

    def test_every_reason_of_a_stream(self) -> None:
        assert set(CLOSINGS) == set(get_args(sse.Closing))
        assert set(RESETS) == set(get_args(sse.Reset))

    def test_the_streams_contract_names_them_all(self) -> None:
        contract = (APP.parent / "openapi" / "events.md").read_text()
        assert not [reason for reason in (*CLOSINGS, *RESETS) if f"`{reason}`" not in contract]

    def test_every_error_of_a_turn(self) -> None:
        assert set(TURNS) == set(of_turns()) - {"ValueError"}  # as the tool would have raised it

    def test_each_has_a_name_of_its_own(self) -> None:
        assert len(catalogue()) == len(ERRORS) + len(CLOSINGS) + len(RESETS) + len(TURNS)
        assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", name) for name in catalogue())


@pytest.mark.parametrize("entry", catalogue().values(), ids=list(catalogue()))
class TestEach:
    def test_it_is_told_in_sentences(self, entry: Entry) -> None:
        for text in entry.explanation[:2]:
            assert re.fullmatch(r"[A-Z`…].*\.", text), text
            assert text.count("`") % 2 == 0

    def test_settings_and_addresses_in_it_exist(self, entry: Entry) -> None:
        for name in re.findall(r"PYGENTS_([A-Z_]+)", " ".join(entry.explanation)):
            assert name.lower() in Settings.model_fields

    def test_it_is_found_by_its_name_and_by_its_type(self, entry: Entry) -> None:
        assert find(entry.name) is entry
        assert entry.kind is not Kind.HTTP or find(entry.type) is entry


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.type)
def test_what_may_have_been_done_is_not_simply_repeated(error: type[ServiceError]) -> None:
    """A client that repeats by the catalogue must not do anything twice, and must not give up what passes."""
    repeat = ERRORS[error].repeat
    assert (repeat is Repeat.NO) == ((error.status < 500 and error.status not in {408, 429}) or error.type == "damaged")


def test_what_is_not_there_is_not_found() -> None:
    assert find("unknown") is None
    assert find(URN) is None
