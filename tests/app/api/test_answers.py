"""How a submit can be answered: at once, with the ended turn, with the turn's events; and for many at once."""

import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from pygents_app.api.wishes import waiting_time, wants_events
from pygents_app.commands import Pause
from pygents_app.model import Outcome, TurnStatus
from tests.app.api.serving import MAILBOX_LIMIT, TLS, Served
from tests.app.api.test_guard import problem
from tests.helpers import eventually_sync

DONE = Outcome(TurnStatus.COMPLETED, output=b'"done"')
EVENTS = {"Accept": "text/event-stream"}


@contextmanager
def executing(service: Served, agent: str) -> Iterator[None]:
    """Meanwhile, begin what is submitted and end it."""

    def execute() -> None:
        eventually_sync(lambda: service.get(f"/agents/{agent}")["queued"] == 1)
        fence = service.begin(agent)
        service.finish(agent, service.get(f"/agents/{agent}")["current_turn"], fence, DONE)

    thread = threading.Thread(target=execute)
    thread.start()
    try:
        yield
    finally:
        thread.join(20)


def post(service: Served, agent: str, query: str = "", **options: Any) -> httpx.Response:
    return service.call("POST", f"/agents/{agent}/turns{query}", json={"tool": "echo"}, timeout=20, **options)


class TestPrefer:
    @pytest.mark.parametrize(
        ("headers", "seconds"),
        [
            ([], None),
            (["wait=10"], 10),
            (["WAIT = 10"], 10),
            (['wait="10"'], 10),
            (["wait=10; x=1"], 10),
            (["respond-async, wait=10"], 10),
            (["respond-async", "wait=10"], 10),
            (["wait=10, wait=20"], 10),
            (["wait=600"], 60),
            (["wait=99999999999"], 60),
            (['foo="a,wait=3"'], None),
            (['foo="a,wait=3", wait=4'], 4),
            (["wait=0"], 0),
            (["wait=-1"], None),
            (["wait=1.5"], None),
            (["wait"], None),
            (["wait="], None),
            (["waiting=10"], None),
            (["wait=x, wait=3"], 3),
            (["wait=²"], None),
        ],
    )
    def test_what_is_read(self, headers: list[str], seconds: int | None) -> None:
        assert waiting_time(headers) == seconds

    def test_the_ended_turn(self, service: Served) -> None:
        agent = service.create()
        with executing(service, agent):
            answer = post(service, agent, headers={"Prefer": "wait=15"})
        assert (answer.status_code, answer.json()["status"], answer.json()["output"]) == (200, "completed", "done")
        assert answer.headers["preference-applied"] == "wait=15"
        assert answer.headers["location"] == answer.json()["links"]["self"]

    @pytest.mark.parametrize("seconds", [0, 1])
    def test_the_time_is_over(self, service: Served, seconds: int) -> None:
        answer = post(service, service.create(), headers={"Prefer": f"wait={seconds}"})
        assert (answer.status_code, answer.json()["status"]) == (202, "queued")
        assert answer.headers["preference-applied"] == f"wait={seconds}"

    def test_without_it_nothing_was_applied(self, service: Served) -> None:
        assert "preference-applied" not in post(service, service.create()).headers

    def test_a_replay(self, service: Served) -> None:
        """202 although the turn has ended, but for who prefers to wait."""
        agent = service.create()
        with executing(service, agent):
            first = post(service, agent, headers={"Prefer": "wait=15", "Idempotency-Key": "k"})
        plain = post(service, agent, headers={"Idempotency-Key": "k"})
        waiting = post(service, agent, headers={"Idempotency-Key": "k", "Prefer": "wait=15"})
        assert [answer.status_code for answer in (first, plain, waiting)] == [200, 202, 200]
        assert first.json() == plain.json() == waiting.json()
        assert [answer.headers.get("idempotency-replayed") for answer in (first, plain, waiting)] == [
            None, "true", "true",
        ]  # fmt: skip

    def test_an_abandoned_wait_ends(self, service: Served) -> None:
        """Of either way to wait: what it holds is given back when the client leaves, not when the time is over."""
        turn = service.submit(service.create())
        waiting = service.services.hub._endings
        with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
            connection.sendall(
                f"GET /turns/{turn['id']}?wait=60 HTTP/1.1\r\nHost: 127.0.0.1:{service.port}\r\n\r\n".encode()
            )
            eventually_sync(lambda: len(waiting) == 1)
        eventually_sync(lambda: len(waiting) == 0)

    def test_what_it_waits_for_is_told_as_it_is_then(self, service: Served) -> None:
        agent = service.create()
        with ThreadPoolExecutor() as pool:
            waiting = pool.submit(post, service, agent, headers={"Prefer": "wait=1"})
            eventually_sync(lambda: service.get(f"/agents/{agent}")["queued"] == 1)
            service.execute(Pause(agent))
        answer = waiting.result()
        assert (answer.status_code, answer.json()["waiting_for"]) == (202, "paused")

    def test_the_agent_is_deleted_meanwhile(self, service: Served) -> None:
        agent = service.create()
        with ThreadPoolExecutor() as pool:
            waiting = pool.submit(post, service, agent, headers={"Prefer": "wait=15"})
            eventually_sync(lambda: service.get(f"/agents/{agent}")["queued"] == 1)
            service.call("DELETE", f"/agents/{agent}?force=true")
        answer = waiting.result()
        assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")


class TestEvents:
    @pytest.mark.parametrize(
        ("accept", "wanted"),
        [
            ("text/event-stream", True),
            ("Text/Event-Stream", True),
            ("text/event-stream;q=0.5", True),
            ("application/json, text/event-stream", True),
            ("text/event-stream;q=0.5, application/json", False),
            ("text/event-stream;q=0", False),
            ("*/*, text/event-stream;q=0.1", False),
            ("application/*, text/event-stream;q=0.9", False),
            ("*/*;q=0.1, text/event-stream", True),
            ("text/event-stream;q=x", False),
            ("*/*", False),
            ("text/*", False),
            ("application/json", False),
            ("", False),
        ],
    )
    def test_who_gets_them(self, accept: str, wanted: bool) -> None:
        assert wants_events([accept]) is wanted

    def test_from_the_first_to_the_last(self, service: Served) -> None:
        agent = service.create()
        with executing(service, agent):
            answer = post(service, agent, headers=EVENTS | {"Prefer": "wait=10"})
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream")
        assert "preference-applied" not in answer.headers
        assert types(answer) == ["turn.queued", "turn.started", "turn.completed"]
        turn = service.get(answer.headers["location"])
        assert all(f'"turn_id":"{turn["id"]}"' in frame for frame in answer.text.split("\n\n") if "event:" in frame)

    def test_a_replay_goes_on_where_it_was(self, service: Served) -> None:
        agent = service.create()
        with executing(service, agent):
            post(service, agent, headers=EVENTS | {"Idempotency-Key": "k"})
        again = post(service, agent, headers=EVENTS | {"Idempotency-Key": "k"})
        assert again.headers["idempotency-replayed"] == "true"
        assert types(again) == ["turn.queued", "turn.started", "turn.completed"]
        rest = post(service, agent, headers=EVENTS | {"Idempotency-Key": "k", "Last-Event-ID": "2"})
        assert types(rest) == ["turn.started", "turn.completed"]
        nothing = post(service, agent, headers=EVENTS | {"Idempotency-Key": "k", "Last-Event-ID": "4"})
        assert (nothing.status_code, nothing.headers["location"]) == (204, again.headers["location"])

    def test_what_is_refused_is_a_problem(self, service: Served) -> None:
        problem(service.call("POST", "/agents/nobody/turns", json={"tool": "echo"}, headers=EVENTS), "agent-not-found")
        headers = EVENTS | {"Last-Event-ID": "x"}
        agent = service.create()
        problem(post(service, agent, headers=headers), "malformed-cursor")
        assert service.get(f"/agents/{agent}")["latest"] == 1


class TestOnDisconnect:
    @pytest.mark.parametrize("headers", [EVENTS, {"Prefer": "wait=30"}])
    def test_the_turn_is_cancelled(self, service: Served, headers: dict[str, str]) -> None:
        agent = service.create()
        leave(service, agent, "?on_disconnect=cancel", headers)
        eventually_sync(lambda: turns(service, agent)[0]["status"] == "cancelled")
        last = service.get(f"/agents/{agent}/events")["items"][-1]
        assert last["data"] == {"by": "anonymous", "reason": "the client disconnected"}

    @pytest.mark.parametrize("headers", [EVENTS, {"Prefer": "wait=30"}])
    def test_without_the_wish_it_goes_on(self, service: Served, headers: dict[str, str]) -> None:
        agent = service.create()
        leave(service, agent, "", headers)
        fence = service.begin(agent)
        service.finish(agent, turns(service, agent)[0]["id"], fence, DONE)
        assert turns(service, agent)[0]["status"] == "completed"

    def test_the_end_of_the_time_is_no_leaving(self, service: Served) -> None:
        agent = service.create()
        answer = post(service, agent, "?on_disconnect=cancel", headers={"Prefer": "wait=1"})
        assert (answer.status_code, answer.json()["status"]) == (202, "queued")
        assert turns(service, agent)[0]["status"] == "queued"

    def test_a_turn_that_ended_stays_as_it_is(self, service: Served) -> None:
        agent = service.create()
        with executing(service, agent):
            post(service, agent, "?on_disconnect=cancel", headers=EVENTS)
        assert turns(service, agent)[0]["status"] == "completed"

    @pytest.mark.parametrize(
        ("query", "headers"),
        [
            ("?on_disconnect=cancel", {}),
            ("?on_disconnect=cancel", {"Accept": "application/json"}),
            ("?on_disconnect=stop", EVENTS),
            ("?on_disconnect=", EVENTS),
            ("?disconnect=cancel", EVENTS),
            ("?on_disconnect=cancel&on_disconnect=cancel", EVENTS),
        ],
    )
    def test_what_asks_for_nothing(self, service: Served, query: str, headers: dict[str, str]) -> None:
        agent = service.create()
        problem(post(service, agent, query, headers=headers), "invalid-request")
        assert turns(service, agent) == []

    @pytest.mark.parametrize("headers", [EVENTS, {"Prefer": "wait=30"}])
    def test_with_a_request_behind_it(self, service: Served, headers: dict[str, str]) -> None:
        """uvicorn tells only the newest request of a connection that the client has left."""
        agent = service.create()
        body = '{"tool":"echo"}'
        lines = [f"POST /agents/{agent}/turns?on_disconnect=cancel HTTP/1.1", f"Host: 127.0.0.1:{service.port}",
                 "Content-Type: application/json", f"Content-Length: {len(body)}",
                 *(f"{name}: {value}" for name, value in headers.items())]  # fmt: skip
        behind = f"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:{service.port}\r\n\r\n"
        with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
            connection.sendall(("\r\n".join(lines) + f"\r\n\r\n{body}{behind}").encode())
            eventually_sync(lambda: len(turns(service, agent)) == 1)
        eventually_sync(lambda: turns(service, agent)[0]["status"] == "cancelled")
        eventually_sync(lambda: service.services.hub.streams == 0)


class TestBatch:
    def call(self, service: Served, agent: str, body: object, **headers: str) -> httpx.Response:
        return service.call("POST", f"/agents/{agent}/turns/batch", json=body, headers=headers)

    def test_in_their_order(self, service: Served) -> None:
        agent = service.create()
        answer = self.call(service, agent, [{"tool": "echo", "args": [number]} for number in range(3)])
        assert answer.status_code == 202
        items = answer.json()["items"]
        assert list(answer.json()) == ["items"]
        assert [(turn["args"], turn["position"]) for turn in items] == [([0], 1), ([1], 2), ([2], 3)]
        assert turns(service, agent) == items

    def test_what_the_first_waits_for(self, service: Served) -> None:
        agent = service.create()
        service.execute(Pause(agent))
        items = self.call(service, agent, [{"tool": "echo"}, {"tool": "echo"}]).json()["items"]
        assert [turn["waiting_for"] for turn in items] == ["paused", "previous"]

    def test_again_with_the_same_key(self, service: Served) -> None:
        agent = service.create()
        body = [{"tool": "echo"}, {"tool": "echo", "args": ["x"]}]
        first, again = (self.call(service, agent, body, **{"Idempotency-Key": "k"}) for _ in range(2))
        assert first.json() == again.json()
        assert again.headers["idempotency-replayed"] == "true"
        other = self.call(service, agent, body[:1], **{"Idempotency-Key": "k"})
        problem(other, "idempotency-key-reused")
        single = service.call("POST", f"/agents/{agent}/turns", json={"tool": "echo"}, headers={"Idempotency-Key": "k"})
        problem(single, "idempotency-key-reused")
        assert len(turns(service, agent)) == 2

    @pytest.mark.parametrize(
        ("body", "pointers"),
        [
            ([], [""]),
            ({"tool": "echo"}, [""]),
            ([1], ["/0"]),
            ([{"tool": "echo"}, {}, {"tool": "echo", "retry": {}}], ["/1/tool", "/2/retry/max_attempts"]),
            ([{"tool": "echo"}, {"tool": "nothing"}], ["/1/tool"]),
            ([{"tool": "echo"}] * 1001, [""]),
        ],
    )
    def test_all_or_none(self, service: Served, body: object, pointers: list[str]) -> None:
        agent = service.create()
        answer = self.call(service, agent, body)
        assert answer.status_code == 422
        assert [error["pointer"] for error in answer.json()["errors"]] == pointers
        assert turns(service, agent) == []

    def test_a_mailbox_that_cannot_take_all(self, service: Served) -> None:
        agent = service.create()
        refusal = problem(self.call(service, agent, [{"tool": "echo"}] * (MAILBOX_LIMIT + 1)), "mailbox-full")
        assert refusal["limit"] == MAILBOX_LIMIT
        assert turns(service, agent) == []

    def test_it_is_no_turn(self, service: Served) -> None:
        assert service.call("GET", f"/agents/{service.create()}/turns/batch").status_code == 404
        problem(self.call(service, "nobody", [{"tool": "echo"}]), "agent-not-found")
        agent = service.create()
        answer = service.call("POST", f"/agents/{agent}/turns/batch?x=1", json=[{"tool": "echo"}])
        problem(answer, "invalid-request")


class TestRetry:
    """An ended turn once more. What the new one is like is tested with a service that executes turns."""

    def retry(self, service: Served, turn: Any, **options: Any) -> httpx.Response:
        return service.call("POST", f"/agents/{turn['agent']}/turns/{turn['id']}/retry", timeout=20, **options)

    def ended(self, service: Served, **body: Any) -> Any:
        agent = service.create()
        turn = service.submit(agent, body)
        service.finish(agent, turn["id"], service.begin(agent), DONE)
        return service.get(turn["links"]["self"])

    def test_a_new_turn_that_names_the_old_one(self, service: Served) -> None:
        policy = {"max_attempts": 3, "delay": 0.5, "on": ["timeout", "error"]}
        old = self.ended(service, args=["x"], timeout=7, metadata={"a": 1}, retry=policy)
        answer = self.retry(service, old)
        new = answer.json()
        assert (answer.status_code, answer.headers["location"]) == (202, new["links"]["self"])
        assert (new["id"] != old["id"], new["retry_of"], new["status"], new["attempt"]) == (
            True,
            old["id"],
            "queued",
            0,
        )
        for same in ("tool", "args", "kwargs", "timeout", "metadata", "retry"):
            assert new[same] == old[same]
        assert new["retry"] == {"factor": 2.0, "max_delay": 60.0, "jitter": True, **policy}
        assert service.get(old["links"]["self"]) == old

    def test_again_with_the_same_key(self, service: Served) -> None:
        old, headers = self.ended(service), {"Idempotency-Key": "k"}
        first, again = (self.retry(service, old, headers=headers) for _ in range(2))
        assert first.json() == again.json()
        assert again.headers["idempotency-replayed"] == "true"
        other = service.call("POST", f"/agents/{old['agent']}/turns", json={"tool": "echo"}, headers=headers)
        problem(other, "idempotency-key-reused")

    def test_with_the_events_as_the_answer(self, service: Served) -> None:
        old = self.ended(service)
        with executing(service, old["agent"]):
            answer = self.retry(service, old, headers=EVENTS)
        assert types(answer) == ["turn.queued", "turn.started", "turn.completed"]

    def test_one_that_has_not_ended(self, service: Served) -> None:
        turn = service.submit(service.create())
        assert problem(self.retry(service, turn), "turn-not-ended")["status"] == 409

    def test_nothing_to_repeat(self, service: Served) -> None:
        old = self.ended(service)
        problem(self.retry(service, old | {"agent": service.create()}), "turn-not-found")
        problem(self.retry(service, old | {"id": "x"}), "turn-not-found")
        problem(self.retry(service, old | {"agent": "nobody"}), "turn-not-found")
        problem(self.retry(service, old, json={"args": []}), "invalid-request")


def types(answer: httpx.Response) -> list[str]:
    return [line.removeprefix("event: ") for line in answer.text.splitlines() if line.startswith("event: ")]


def turns(service: Served, agent: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = service.get(f"/agents/{agent}/turns")["items"]
    return items


def leave(service: Served, agent: str, query: str, headers: dict[str, str]) -> None:
    """Submit, and go away once the turn is stored."""
    body = json.dumps({"tool": "echo"})
    with httpx.Client(trust_env=False, verify=TLS) as client, ThreadPoolExecutor() as pool:
        request = client.build_request(
            "POST", f"{service.url}/agents/{agent}/turns{query}", content=body,
            headers={"Content-Type": "application/json", **headers},
        )  # fmt: skip
        timeout = httpx.Timeout(5, read=1.0)
        request.extensions["timeout"] = timeout.as_dict()
        answer = pool.submit(client.send, request, stream=True)
        eventually_sync(lambda: len(turns(service, agent)) == 1)
        try:
            answer.result().close()
        except httpx.ReadTimeout:
            return
