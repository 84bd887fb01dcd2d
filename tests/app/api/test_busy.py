"""Streams beyond what there may be: told so in a way that clients come back, and let in when there is room."""

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count

import httpx
import pytest

from pygents_app.access.records import Actor
from pygents_app.grants import Grant, Scope
from pygents_app.settings import Settings
from tests.app.api.conftest import KEY
from tests.app.api.serving import TLS, Served, serving
from tests.helpers import eventually_sync

CLOSED = 'event: stream.closing\ndata: {"reason":"busy"}\n\n'
ADMIN = {"X-API-Key": KEY}


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False, verify=TLS, timeout=10) as client:
        yield client


@pytest.fixture
def opened(client: httpx.Client) -> Iterator[ExitStack]:
    with ExitStack() as streams:
        yield streams


def follow(served: Served, client: httpx.Client, path: str, opened: ExitStack, **headers: str) -> httpx.Response:
    """An open stream, past its first frames."""
    answer = opened.enter_context(client.stream("GET", served.url + path, headers=headers))
    assert answer.status_code == 200
    frames = answer.iter_text()
    assert "id: " in next(frames)
    opened.callback(lambda: frames)  # kept: when the generator goes, it closes the answer
    return answer


def is_busy(served: Served, path: str, **options: str) -> bool:
    """A stream that is let in is left at once."""
    with (
        httpx.Client(trust_env=False, verify=TLS, timeout=10) as client,
        client.stream("GET", served.url + path, headers=options) as answer,
    ):
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/event-stream"
        first = next(answer.iter_text())
        return first.startswith("retry: ") and first.endswith(CLOSED)


def test_one_too_many_of_all(client: httpx.Client, opened: ExitStack) -> None:
    with serving(Settings(max_streams=2)) as served, opened:
        path = f"/agents/{served.create()}/stream"
        first, _ = (follow(served, client, path, opened) for _ in range(2))
        assert is_busy(served, path)
        assert served.get("/limits")["streams"] == 2
        first.close()
        eventually_sync(lambda: not is_busy(served, path), timeout=10)


def test_one_too_many_of_a_caller(client: httpx.Client, opened: ExitStack) -> None:
    """A ticket's stream is its key's. Others have their own."""
    with serving(Settings.model_validate({"max_caller_streams": 1, "admin_key": KEY})) as served, opened:
        agent = served.create()
        path, actor = f"/agents/{agent}/stream", Actor("admin", "", "", "")
        grants = [Grant(Scope.STREAM_READ)]
        _, key = served.do(served.services.keys.create("a", grants, expires_at=None, actor=actor))
        issued = served.call("POST", "/stream-tickets", json={"agents": [agent]}, headers={"X-API-Key": key}).json()
        follow(served, client, f"{path}?ticket={issued['ticket']}", opened)
        assert is_busy(served, path, **{"X-API-Key": key})
        assert not is_busy(served, path, **ADMIN)


def test_a_turn_is_accepted_though_its_stream_is_not(client: httpx.Client, opened: ExitStack) -> None:
    with serving(Settings(max_streams=1)) as served, opened:
        agent = served.create()
        follow(served, client, f"/agents/{agent}/stream", opened)
        answer = served.call(
            "POST", f"/agents/{agent}/turns", json={"tool": "echo"}, headers={"Accept": "text/event-stream"}
        )
        assert answer.text.endswith(CLOSED)
        assert served.get(answer.headers["location"])["status"] == "queued"


def test_streams_that_are_opened_at_the_same_time(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of them finds a place free before any has taken one: they are counted again when they do."""
    with serving(Settings(max_streams=3)) as served, ExitStack() as opened:
        path, hub, asked = f"/agents/{served.create()}/stream", served.services.hub, count()
        is_free = hub._places.is_free
        monkeypatch.setattr(hub._places, "is_free", lambda caller: next(asked) % 2 == 0 or is_free(caller))
        for _ in range(3):
            follow(served, client, path, opened)
        late = client.get(served.url + path)
        assert late.text.endswith(CLOSED)
        assert "id: " in late.text, "it was refused before it was opened"
