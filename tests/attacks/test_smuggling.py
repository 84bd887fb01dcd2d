"""No request hides in another: what could be read in two ways is read in none."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.attacks.smuggling import AMBIGUOUS, CONTAINED, HIDDEN
from tests.attacks.wire import Answer, exchange
from tests.service import Service, serving

pytestmark = pytest.mark.anyio

TOOLS = Path(__file__).parents[1] / "conformance" / "tools.py"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Without a key, so that what got through would do something."""
    with serving(tmp_path_factory.mktemp("server"), TOOLS, settings={"head_timeout": 0.5, "body_timeout": 0.5}) as it:
        yield it


async def answers(service: Service, *pieces: bytes) -> list[Answer]:
    exchanged = await exchange(service.port, pieces)
    assert exchanged.ended, "the connection was left open"
    return exchanged.answers


@pytest.mark.parametrize("name", AMBIGUOUS)
async def test_what_two_readers_take_differently_is_refused(service: Service, name: str) -> None:
    for pieces in ((AMBIGUOUS[name] + HIDDEN,), (AMBIGUOUS[name], HIDDEN)):
        (answer,) = await answers(service, *pieces)
        assert (answer.status, answer.headers[b"connection"]) == (400, b"close")
        assert answer.headers[b"content-type"] == b"application/problem+json"


@pytest.mark.parametrize("name", CONTAINED)
async def test_a_body_is_a_body_and_what_comes_too_late_is_nothing(service: Service, name: str) -> None:
    for pieces in ((CONTAINED[name] + HIDDEN,), (CONTAINED[name], HIDDEN)):
        found = await answers(service, *pieces)
        assert len(found) == 1, [answer.status for answer in found]
        assert b'"durability"' not in found[0].body, "that is the answer to what was hidden"


async def test_nothing_of_all_that_was_stored(service: Service) -> None:
    for request in (*AMBIGUOUS.values(), *CONTAINED.values()):
        await exchange(service.port, [request + HIDDEN])
    with closing(sqlite3.connect(f"file:{service.database}?mode=ro", uri=True)) as db:
        assert db.execute("SELECT count(*) FROM turns").fetchone() == (0,)
    assert service.is_ready()
