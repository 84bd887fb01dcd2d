"""A small dose of ``make attacks``; and that what would get through is noticed.

The seed is printed; ``ATTACKS_SEED=… pytest tests/attacks`` attacks in the same way again.
"""

import os
import random
from collections.abc import Iterator

import pytest

from pygents_app.explanations.entry import URN
from tests.attacks.campaign import campaign, findings
from tests.attacks.target import ADMIN, ARGUMENT, Target, attacked
from tests.attacks.weapons import WEAPONS, Attack
from tests.attacks.wire import Exchange
from tests.conftest import STRICT

pytestmark = pytest.mark.anyio

SEED = os.environ.get("ATTACKS_SEED", "1" if STRICT else str(random.randint(1, 10**6)))
DOSE = 3_000
ATTACK = Attack([b""], range(200, 500))


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with attacked(tmp_path_factory.mktemp("server")) as target:
        yield target


def problem(
    status: int = 404, name: str = "not-found", detail: str = "", kind: str = "application/problem+json"
) -> bytes:
    body = f'{{"type":"{URN}{name}","detail":"{detail}"}}'.encode()
    return f"HTTP/1.1 {status} Text\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


async def test_nothing_gets_through(target: Target) -> None:
    print(f"ATTACKS_SEED={SEED}")
    report = await campaign(target, SEED, seconds=60, most=DOSE)
    assert not report.through, "\n".join(report.through)
    assert report.attacks.keys() == WEAPONS.keys()
    answered = {
        name: sum(count for status, count in of.items() if status[0] == "2") for name, of in report.answers.items()
    }
    assert answered["bodies"] and answered["headers"] and answered["queries"], "nothing came far enough to do harm"


@pytest.mark.parametrize(
    ("received", "ended"),
    [
        (problem(500, "internal"), True),
        (problem(503, "unavailable"), True),
        (problem(detail="Traceback (most recent call last)"), True),
        (problem(detail="no such table: SELECT 1"), True),
        (problem(detail="/srv/site-packages/pygents_app"), True),
        (problem(kind="text/plain"), True),
        (problem(name="of-no-kind"), True),
        (problem() + problem(), True),
        (problem(), False),
        (b"", True),
        (b"garbage\r\n\r\n", True),
        (problem() + b"garbage", True),
        (problem(detail=ADMIN), True),
    ],
)
async def test_what_would_get_through_is_noticed(target: Target, received: bytes, ended: bool) -> None:
    assert findings(ATTACK, Exchange(received, ended), target)


@pytest.mark.parametrize("received", [problem(), problem(400, "malformed-request"), problem(401, "unauthorized")])
async def test_what_is_right_is_not(target: Target, received: bytes) -> None:
    assert not findings(ATTACK, Exchange(received, ended=True), target)


async def test_what_is_not_allowed_is(target: Target) -> None:
    assert findings(ATTACK._replace(allowed=(401,)), Exchange(problem(), ended=True), target)


async def test_what_the_log_should_not_have_is_noticed(target: Target) -> None:
    assert not target.told(b'{"level":"info","message":"GET /agents 200"}\n')
    for what in (ADMIN, ARGUMENT, target.secrets.token, target.secrets.ticket, target.secrets.root, "Traceback (most"):
        assert target.told(f'{{"level":"info","message":"{what}"}}\n'.encode()), what
    for line in (b'{"level":"error"}\n', b"a line that was begun\n", b'X: y"}\n', b"\x1b[2J\n"):
        assert target.told(line), line
