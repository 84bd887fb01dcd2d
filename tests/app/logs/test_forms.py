"""One record is one line for programs, and for people one line at the margin, whatever is in it."""

import json
import logging
import re
import sys
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygents_app.logs.about import about, answering
from pygents_app.logs.forms import MOST_CHARACTERS, ForPeople, ForPrograms

FORGED = "x\n2026-01-01 00:00:00,000 ERROR    pygents: forged"
ENDS = ["\n", "\r", "\r\n", "\v", "\f", "\x85", "\u2028", "\u2029", "\x1c"]


class Unspeakable(Exception):
    """Its text cannot be made."""

    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__


def record(message: object = "text", *args: object, error: BaseException | None = None, **more: Any) -> Any:
    info = (type(error), error, error.__traceback__) if error is not None else None
    made = logging.LogRecord("mine", logging.INFO, __file__, 1, message, args, info)
    vars(made).update(more)
    return made


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as caught:
        return caught


def for_people(*args: Any, **more: Any) -> str:
    return ForPeople().format(record(*args, **more))


def for_programs(*args: Any, **more: Any) -> Mapping[str, Any]:
    line = ForPrograms().format(record(*args, **more))
    assert line.isascii()
    assert line.splitlines() == [line]
    found: Mapping[str, Any] = json.loads(line, parse_constant=pytest.fail)
    return found


class TestForPeople:
    def test_a_line(self) -> None:
        line = for_people("it is %s", "so")
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} INFO     mine: it is so", line)

    def test_what_it_is_about(self) -> None:
        line = for_people("text", **about("greeter", "t1", 2))
        assert line.endswith("mine: text [agent=greeter turn=t1 attempt=2]")

    def test_uvicorns_lines_do_not_frighten(self) -> None:
        assert " uvicorn: text" in for_people("text", name="uvicorn.error")

    @pytest.mark.parametrize("end", ENDS)
    def test_nothing_begins_another_record(self, end: str) -> None:
        error = raised(ValueError(FORGED.replace("\n", end)))
        lines = for_people(FORGED.replace("\n", end), error=error).splitlines()
        assert [line for line in lines if not line.startswith("    ")] == lines[:1]
        assert sum("forged" in line for line in lines) == 2

    def test_nor_does_what_the_line_is_about(self) -> None:
        assert len(for_people("text", name="a\nb", **about("x\ny", "t\r\n2026")).splitlines()) == 1

    @pytest.mark.parametrize("harmful", ["\x1b[2J", "\x07", "\x9b2J", "\u202e", "\ud800", "\x00", "\x7f"])
    def test_a_terminal_does_nothing_of_what_is_said(self, harmful: str) -> None:
        line = for_people("a%sz", harmful)
        assert harmful[0] not in line
        assert line.encode()
        assert re.search(r"a\\[xu][0-9a-f]+.*z", line)

    def test_a_tab_and_letters_of_all_languages_stay(self) -> None:
        assert for_people("a\tä漢🙂").endswith("a\tä漢🙂")


class TestForPrograms:
    def test_a_line(self) -> None:
        found = for_programs("it is %s", "so", created=1764532169.25)
        assert found == {
            "time": "2025-11-30T19:49:29.250000Z", "level": "info", "logger": "mine", "message": "it is so",
        }  # fmt: skip

    def test_a_traceback_is_in_the_line(self) -> None:
        found = for_programs(error=raised(ValueError("bad")))
        assert found["exception"].startswith("Traceback (most recent call last):\n")
        assert found["exception"].endswith("\nValueError: bad")

    def test_what_was_added(self) -> None:
        added = {"city": "Oslo", "n": 3, "none": None, "path": sys.path, "nan": float("nan"), "it": {1}}
        found = for_programs(**added)
        assert (found["city"], found["n"], found["none"], found["it"]) == ("Oslo", 3, None, "{1}")
        assert (found["path"], found["nan"]) == (sys.path, "nan")

    def test_a_number_that_has_no_text(self) -> None:
        found = for_programs(large=10**300, larger=10**5000)
        assert (found["large"], found["larger"]) == (10**300, "<int>")

    def test_what_was_added_is_not_taken_for_what_is_ours(self) -> None:
        found = for_programs("text", level="forged", time="forged", agent="forged", **about("greeter", "t1", 1))
        assert (found["level"], found["agent"]) == ("info", "greeter")
        assert found["time"] != "forged"

    def test_uvicorns_colours_are_left_out(self) -> None:
        assert "color_message" not in for_programs(color_message="\x1b[1mtext")

    @given(st.text(st.characters(categories=[*"LMNPSZC"])), st.text())
    def test_any_text(self, text: str, added: str) -> None:
        found = for_programs("%s", text, added=added)
        assert (found["message"], found["added"]) == (text, added)


@pytest.mark.parametrize("form", [ForPeople, ForPrograms])
class TestWhatCannotBeShown:
    def test_arguments_that_do_not_fit(self, form: type[logging.Formatter]) -> None:
        line = form().format(record("%d of %d", "secret"))
        assert "%d of %d (its arguments do not fit)" in line
        assert "secret" not in line

    def test_an_exception(self, form: type[logging.Formatter]) -> None:
        assert "Unspeakable" in form().format(record(error=raised(Unspeakable())))

    def test_a_message(self, form: type[logging.Formatter]) -> None:
        assert "<Unspeakable> (its arguments do not fit)" in form().format(record(Unspeakable()))

    @pytest.mark.parametrize("said", [{"agent": Unspeakable()}, "no mapping"])
    def test_what_it_is_about(self, form: type[logging.Formatter], said: object) -> None:
        assert "text" in form().format(record(pygents_about=said))

    def test_a_field(self, form: type[logging.Formatter]) -> None:
        assert "text" in form().format(record(bad=Unspeakable()))

    def test_what_is_too_long(self, form: type[logging.Formatter]) -> None:
        size = 10 * MOST_CHARACTERS
        line = form().format(record("x" * size, error=raised(ValueError("y" * size)), added=["z" * size]))
        assert len(line) < 4 * MOST_CHARACTERS
        assert f"({size} characters)" in line.encode().decode("unicode_escape")


def test_a_request_is_told_where_it_is_answered() -> None:
    token = answering.set(b"r-1")
    try:
        assert for_programs()["request"] == "r-1"
        assert for_people().endswith("[request=r-1]")
    finally:
        answering.reset(token)
    assert "request" not in for_programs()
