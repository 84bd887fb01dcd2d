"""A page that does not say what is true is noticed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.examples.expect import is_shown
from tests.examples.markdown import Block
from tests.examples.session import Session


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    session = Session(tmp_path)
    yield session
    session.end()


def block(language: str, code: str) -> Block:
    return Block("page.md:1", language, code + "\n")


@pytest.mark.parametrize(
    ("language", "shown", "printed", "fits"),
    [
        ("", "b\nc", "a\nb\nc\nd", True),
        ("", "b\nd", "a\nb\nc\nd", False),
        ("", "b\n…\nd", "a\nb\nc\nc\nd", True),
        ("", "a\n…\nb", "a\nb", True),
        ("", "b", "abc", False),
        ("", "x…z", "xyz", True),
        ("", "a.c", "abc", False),
        ("json", '{"a": 1}', '{"a":1}', True),
        ("json", '{"a": 1}', '{"a":1,"b":2}', False),
        ("json", '{"a": 1, "…": "…"}', '{"a":1,"b":2}', True),
        ("json", '{"a": "…"}', '{"a":[1]}', True),
        ("json", '{"a": "x…"}', '{"a":"xyz"}', True),
        ("json", '{"a": "x…"}', '{"a":"yxz"}', False),
        ("json", '{"a": "x…"}', '{"a":1}', False),
        ("json", "[1, 2]", "[1,2,3]", False),
        ("json", '{"a": 1}', '{"a":true}', False),
        ("json", '{"a": 1.0}', '{"a":1}', True),
        ("json", '{"b": 2}', '{"a":1}{"b":2}', True),
        ("json", '{"a": 1}', '{"a":1}{"b":2}', False),
        ("json", "{}", "nothing", False),
        ("json", "{}", "", False),
    ],
)
def test_what_is_shown(language: str, shown: str, printed: str, fits: bool) -> None:
    assert is_shown(language, shown, printed) is fits


def test_another_output(session: Session) -> None:
    session.do(block("python", "print(1)"))
    session.do(block("", "1"))
    with pytest.raises(AssertionError, match=r"page.md:1 shows"):
        session.do(block("", "2"))


def test_a_command_that_fails(session: Session) -> None:
    with pytest.raises(AssertionError):
        session.do(block("sh", "true\nfalse | cat\ntrue"))


def test_output_of_nothing(session: Session) -> None:
    with pytest.raises(AssertionError, match="nothing has printed"):
        session.do(block("", "1"))


def test_a_file_that_nothing_uses(session: Session) -> None:
    session.do(block("python", "# mine.py\nx = 1"))
    with pytest.raises(AssertionError, match=r"mine\.py"):
        session.check()
    session.do(block("sh", "python mine.py"))
    session.check()


def test_a_service_is_stopped_and_its_store_is_the_pages(session: Session) -> None:
    session.do(block("sh", "pygents serve --demo --store sqlite:///./own.db\npkill -f 'pygents serve'  # or: Ctrl-C"))
    session.do(block("sh", "pygents doctor --full own.db | tail -1"))
    session.do(block("", "Everything is as it was written."))


def test_a_problem_that_is_not_shown(session: Session) -> None:
    session.do(block("sh", "pygents serve --demo\ncurl -s http://127.0.0.1:8000/agents/nobody > /dev/null"))
    with pytest.raises(AssertionError, match="answered with a problem"):
        session.check()
