"""Turns over HTTP: submit, look at, wait for, cancel."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pygents_app.api import bodies
from pygents_app.clock import new_id
from pygents_app.commands import Enqueued, Pause, Release
from pygents_app.model import Outcome, TurnStatus
from pygents_app.runtime.requests import TurnRequest
from tests.app.api.conftest import KEY
from tests.app.api.serving import MAILBOX_LIMIT, Served
from tests.app.api.test_guard import problem

KEYS = [
    "id", "agent", "tool", "args", "kwargs", "timeout", "metadata", "status", "stop_reason", "position", "waiting_for",
    "attempt", "retry", "retry_of", "created_at", "not_before", "start_time", "end_time", "output", "values", "error",
    "parent", "root", "hops", "truncated", "links",
]  # fmt: skip
NOBODY = "0198a3c4-7e1b-7cc0-8f5e-0242ac120002"
DONE = Outcome(TurnStatus.COMPLETED, output=b'"done"')


class TestSubmit:
    def test_the_answer_is_the_turn_as_committed(self, service: Served) -> None:
        agent = service.create()
        body = {"tool": "echo", "args": ["ü\u2028"], "kwargs": {"x": [1.5, None]}, "timeout": 5, "metadata": {"m": 1}}
        answer = service.call("POST", f"/agents/{agent}/turns", json=body)
        turn = answer.json()
        assert answer.status_code == 202
        assert list(turn) == KEYS
        assert answer.headers["location"] == turn["links"]["self"] == f"/agents/{agent}/turns/{turn['id']}"
        assert {key: turn[key] for key in body} == body
        assert (turn["status"], turn["position"], turn["attempt"], turn["stop_reason"]) == ("queued", 1, 0, None)
        assert service.get(turn["links"]["self"]) == service.get(f"/turns/{turn['id']}") == turn

    def test_places_count_up(self, service: Served) -> None:
        agent = service.create()
        turns = [service.submit(agent) for _ in range(3)]
        assert [turn["position"] for turn in turns] == [1, 2, 3]
        assert [turn["waiting_for"] for turn in turns] == [None, "previous", "previous"]

    @pytest.mark.parametrize(
        ("change", "pointer"),
        [
            ({"tool": None}, "/tool"),
            ({"tool": ""}, "/tool"),
            ({"args": {}}, "/args"),
            ({"args": None}, "/args"),
            ({"kwargs": []}, "/kwargs"),
            ({"timeout": 0}, "/timeout"),
            ({"timeout": -1}, "/timeout"),
            ({"timeout": 86_401}, "/timeout"),
            ({"timeout": "60"}, "/timeout"),
            ({"timeout": True}, "/timeout"),
            ({"timeout": None}, "/timeout"),
            ({"timeout": 10**400}, "/timeout"),
            ({"metadata": []}, "/metadata"),
            ({"delay": -1}, "/delay"),
            ({"delay": 10**12}, "/delay"),
            ({"not_before": "tomorrow"}, "/not_before"),
            ({"not_before": 1700000000}, "/not_before"),
            ({"not_before": "2026-11-22T10:48:00"}, "/not_before"),
            ({"not_before": "2026-13-22T10:48:00Z"}, "/not_before"),
            ({"not_before": "0001-01-01T00:00:00+14:00"}, "/not_before"),
            ({"not_before": "9999-12-31T23:59:59-12:00"}, "/not_before"),
            ({"delay": 1, "not_before": "2030-01-01T00:00:00Z"}, ""),
            ({"retry": {}}, "/retry/max_attempts"),
            ({"retry": {"max_attempts": 0}}, "/retry/max_attempts"),
            ({"retry": {"max_attempts": 2, "delay": -1}}, "/retry/delay"),
            ({"retry": {"max_attempts": 2, "factor": 0.5}}, "/retry/factor"),
            ({"retry": {"max_attempts": 2, "on": []}}, "/retry/on"),
            ({"retry": {"max_attempts": 2, "on": ["cancelled"]}}, "/retry/on/0"),
            ({"retry": {"max_attempts": 2, "times": 1}}, "/retry/times"),
            ({"retry": 3}, "/retry"),
            ({"id": "x"}, "/id"),
            ({"a/b~": 1}, "/a~1b~0"),
        ],
    )
    def test_what_is_not_valid_is_pointed_at(self, service: Served, change: dict[str, Any], pointer: str) -> None:
        agent = service.create()
        answer = service.call("POST", f"/agents/{agent}/turns", json={"tool": "echo"} | change)
        assert pointer in [each["pointer"] for each in problem(answer, "invalid-request")["errors"]]
        assert service.get(f"/agents/{agent}/turns")["items"] == []

    @pytest.mark.parametrize(
        "headers",
        [
            {"Content-Type": "text/plain"},
            {"Content-Type": "application/x-www-form-urlencoded"},
            {"Content-Type": "application/json; charset=latin-1"},
            {"Content-Type": ""},
            {"Content-Type": "application/json", "Content-Encoding": "gzip"},
        ],
    )
    def test_other_types_are_refused(self, service: Served, headers: dict[str, str]) -> None:
        answer = service.call("POST", f"/agents/{service.create()}/turns", content='{"tool":"echo"}', headers=headers)
        problem(answer, "unsupported-media-type")

    @pytest.mark.parametrize("type_", ["application/json; charset=utf-8", "Application/JSON", "application/vnd.x+json"])
    def test_json_by_its_other_names(self, service: Served, type_: str) -> None:
        path = f"/agents/{service.create()}/turns"
        assert service.call("POST", path, content='{"tool":"echo"}', headers={"Content-Type": type_}).status_code == 202

    def test_a_query_is_refused(self, service: Served) -> None:
        answer = service.call("POST", f"/agents/{service.create()}/turns?wait=1", json={"tool": "echo"})
        assert problem(answer, "invalid-request")["errors"][0]["pointer"] == "wait"

    def test_unknown_agents_and_tools(self, service: Served) -> None:
        problem(service.call("POST", "/agents/nobody/turns", json={"tool": "echo"}), "agent-not-found")
        problem(service.call("POST", "/agents/%2e%2e/turns", json={"tool": "echo"}), "agent-not-found")
        answer = service.call("POST", f"/agents/{service.create()}/turns", json={"tool": "os.system"})
        problem(answer, "tool-not-accepted")

    def test_a_full_mailbox_says_when_to_come_back(self, service: Served) -> None:
        agent = service.create()
        for _ in range(MAILBOX_LIMIT):
            service.submit(agent)
        answer = service.call("POST", f"/agents/{agent}/turns", json={"tool": "echo"})
        problem(answer, "mailbox-full")
        assert answer.headers["retry-after"] == "1"

    def test_while_draining(self, service: Served) -> None:
        service.submission.draining = True
        try:
            answer = service.call("POST", f"/agents/{service.create()}/turns", json={"tool": "echo"})
        finally:
            service.submission.draining = False
        problem(answer, "draining")
        assert answer.headers["retry-after"]


class TestDelayed:
    def test_by_seconds(self, service: Served) -> None:
        turn = service.submit(service.create(), {"delay": 60.5})
        assert (turn["status"], turn["waiting_for"], turn["position"]) == ("scheduled", "delay", None)
        wait = datetime.fromisoformat(turn["not_before"]) - datetime.now(UTC)
        assert timedelta(seconds=50) < wait < timedelta(seconds=61)

    def test_until_a_time(self, service: Served) -> None:
        turn = service.submit(service.create(), {"not_before": "2999-01-02T03:04:05.25+01:00"})
        assert turn["not_before"] == "2999-01-02T02:04:05.250000Z"

    def test_a_time_that_has_passed_is_now(self, service: Served) -> None:
        turn = service.submit(service.create(), {"not_before": "1970-01-01T00:00:00z"})
        assert (turn["status"], turn["not_before"]) == ("queued", "1970-01-01T00:00:00.000000Z")

    def test_no_delay_is_no_delay(self, service: Served) -> None:
        assert service.submit(service.create(), {"delay": 0})["not_before"] is None


class TestIdempotency:
    def test_the_same_again_is_the_same_turn(self, service: Served) -> None:
        agent, headers = service.create(), {"Idempotency-Key": "~key 1".replace(" ", "-")}
        first = service.call("POST", f"/agents/{agent}/turns", json={"tool": "echo", "args": [1, 2]}, headers=headers)
        spelled = '{ "args": [1,\n2], "tool": "ech\\u006f" }'
        again = service.call(
            "POST", f"/agents/{agent}/turns", content=spelled, headers={**headers, "Content-Type": "application/json"}
        )
        assert (first.status_code, again.status_code) == (202, 202)
        assert again.json() == first.json()
        assert "idempotency-replayed" not in first.headers
        assert again.headers["idempotency-replayed"] == "true"
        assert again.headers["location"] == first.headers["location"]

    def test_another_body_is_refused(self, service: Served) -> None:
        agent, headers = service.create(), {"Idempotency-Key": "k"}
        service.submit(agent, {"args": [1]}, headers=headers)
        answer = service.call("POST", f"/agents/{agent}/turns", json={"tool": "echo", "args": [2]}, headers=headers)
        problem(answer, "idempotency-key-reused")

    @pytest.mark.parametrize("same", ["[60, 1e2, 0]", "[60.0, 100, -0.0]", "[6e1, 100.0, 0.0]"])
    def test_equal_numbers_are_the_same_body(self, service: Served, same: str) -> None:
        headers = {"Idempotency-Key": "k", "Content-Type": "application/json"}
        path = f"/agents/{service.create()}/turns"
        contents = [
            '{"tool": "echo", "timeout": 60, "args": [60, 100, 0]}',
            '{"tool": "echo", "timeout": 60.0, "args": %s}' % same,  # noqa: UP031
        ]
        turns = [service.call("POST", path, content=body, headers=headers).json()["id"] for body in contents]
        assert turns[0] == turns[1]

    def test_a_key_is_the_callers_own(self, locked: Served) -> None:
        """Under the caller that the credentials name the key is known; under another, or none, it is not."""
        agent, body = locked.create(), {"tool": "echo"}
        first = locked.submit(agent, body, headers={"Idempotency-Key": "k", "X-API-Key": KEY})

        def again(caller: str) -> Enqueued:
            digest, asked = bodies.digest(body), [TurnRequest("echo", [], {})]
            return locked.do(locked.submission.submit(agent, asked, caller=caller, key="k", digest=digest))

        replay = again("admin")
        assert (replay.replayed, replay.turns[0].turn.id) == (True, first["id"])
        assert not again("").replayed
        assert not again("somebody").replayed

    def test_twins_at_once_are_one(self, service: Served) -> None:
        agent, headers = service.create(), {"Idempotency-Key": "twin"}
        with ThreadPoolExecutor(8) as pool:
            turns = list(pool.map(lambda _: service.submit(agent, headers=headers)["id"], range(8)))
        assert len(set(turns)) == 1
        assert len(service.get(f"/agents/{agent}/turns")["items"]) == 1

    @pytest.mark.parametrize("key", ["", "a b", "x" * 256, b"\xe9", "tab\tbed"])
    def test_odd_keys_are_refused(self, service: Served, key: str | bytes) -> None:
        path = f"/agents/{service.create()}/turns"
        problem(
            service.call("POST", path, json={"tool": "echo"}, headers={"Idempotency-Key": key}),
            "malformed-header",
        )

    def test_two_keys_are_refused(self, service: Served) -> None:
        headers = [("Idempotency-Key", "a"), ("Idempotency-Key", "a")]
        path = f"/agents/{service.create()}/turns"
        problem(service.call("POST", path, json={"tool": "echo"}, headers=headers), "malformed-header")


class TestRead:
    @pytest.mark.parametrize(
        "id_", ["x", "%00", "%0d%0aX:y", "0" * 36, "A" * 8, NOBODY.upper(), NOBODY + "%0a", NOBODY]
    )
    def test_what_is_no_turn_is_not_found(self, service: Served, id_: str) -> None:
        agent = service.create()
        for path in (f"/agents/{agent}/turns/{id_}", f"/turns/{id_}", f"/agents/{agent}/turns/{id_}?wait=1"):
            assert service.call("GET", path).status_code == 404

    def test_of_another_agent_is_not_found(self, service: Served) -> None:
        turn = service.submit(service.create())
        problem(service.call("GET", f"/agents/{service.create()}/turns/{turn['id']}"), "turn-not-found")

    def test_an_ended_turn(self, service: Served) -> None:
        agent = service.create()
        turn = service.submit(agent)
        service.finish(agent, turn["id"], service.begin(agent), DONE)
        shown = service.get(turn["links"]["self"])
        assert (shown["status"], shown["stop_reason"], shown["output"]) == ("completed", "completed", "done")
        assert (shown["position"], shown["waiting_for"], shown["attempt"]) == (None, None, 1)
        assert shown["start_time"] <= shown["end_time"]

    def test_what_it_waits_for(self, service: Served) -> None:
        agent = service.create()
        first, second = service.submit(agent), service.submit(agent)
        service.dispatcher.locked.add(first["id"])
        assert service.get(first["links"]["self"])["waiting_for"] == "lock"
        assert service.get(second["links"]["self"])["waiting_for"] == "previous"
        service.dispatcher.locked.clear()
        assert service.get(first["links"]["self"])["waiting_for"] is None
        service.begin(agent)
        assert service.get(first["links"]["self"])["waiting_for"] is None
        assert service.get(second["links"]["self"])["waiting_for"] == "previous"

    def test_the_next_waits_for_what_runs_and_for_code_that_has_not_stopped(self, service: Served) -> None:
        agent = service.create()
        first, second = service.submit(agent), service.submit(agent)
        shown = second["links"]["self"]
        fence = service.begin(agent)
        assert (service.get(shown)["position"], service.get(shown)["waiting_for"]) == (1, "previous")
        service.finish(agent, first["id"], fence, DONE, hold=True)
        assert service.get(shown)["waiting_for"] == "previous"
        service.execute(Release(agent, fence))
        assert service.get(shown)["waiting_for"] is None
        service.execute(Pause(agent))
        assert service.get(shown)["waiting_for"] == "paused"

    def test_a_tool_that_is_not_here(self, service: Served) -> None:
        assert service.submit(service.create("gone"), {"tool": "gone"})["waiting_for"] == "tool"

    @pytest.mark.parametrize("wait", ["-1", "61", "1.5", "1_0", "", "x"])
    def test_odd_waits_are_refused(self, service: Served, wait: str) -> None:
        problem(service.call("GET", f"/turns/{new_id()}?wait={wait}"), "invalid-request")


class TestWait:
    def test_the_answer_comes_with_the_end(self, service: Served) -> None:
        agent = service.create()
        turn = service.submit(agent)
        fence = service.begin(agent)
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(service.get, f"/turns/{turn['id']}?wait=60", timeout=30)
            service.finish(agent, turn["id"], fence, DONE)
            assert waiting.result(10)["status"] == "completed"

    def test_an_ended_turn_is_answered_at_once(self, service: Served) -> None:
        agent = service.create()
        turn = service.submit(agent)
        service.finish(agent, turn["id"], service.begin(agent), DONE)
        assert service.get(f"/turns/{turn['id']}?wait=60", timeout=10)["status"] == "completed"

    def test_the_time_is_over(self, service: Served) -> None:
        turn = service.submit(service.create())
        assert service.get(f"/turns/{turn['id']}?wait=1", timeout=10)["status"] == "queued"


class TestList:
    def test_pages_ascend_by_acceptance(self, service: Served) -> None:
        agent = service.create()
        ids = [service.submit(agent)["id"] for _ in range(5)]
        first = service.get(f"/agents/{agent}/turns?limit=3")
        second = service.get(f"/agents/{agent}/turns?limit=3&after={first['next']}")
        assert [turn["id"] for turn in first["items"] + second["items"]] == ids
        assert second["next"] is None

    def test_by_status(self, service: Served) -> None:
        agent = service.create()
        first, later = service.submit(agent), service.submit(agent, {"delay": 60})
        for status, turn in {"queued": first, "scheduled": later}.items():
            items = service.get(f"/agents/{agent}/turns?status={status}")["items"]
            assert [item["id"] for item in items] == [turn["id"]]

    def test_large_pieces_are_left_out(self, service: Served) -> None:
        agent = service.create()
        turn = service.submit(agent)
        output = json.dumps("x" * 70_000).encode()
        service.finish(agent, turn["id"], service.begin(agent), Outcome(TurnStatus.COMPLETED, output=output))
        (listed,) = service.get(f"/agents/{agent}/turns")["items"]
        assert (listed["output"], listed["truncated"], listed["kwargs"]) == (None, ["output"], {})
        whole = service.get(turn["links"]["self"])
        assert (len(whole["output"]), whole["truncated"]) == (70_000, [])

    def test_of_nobody(self, service: Served) -> None:
        problem(service.call("GET", "/agents/nobody/turns"), "agent-not-found")

    @pytest.mark.parametrize("query", ["after=x", "after=" + "0" * 36, "status=done", "limit=0", "x=1"])
    def test_odd_queries_are_refused(self, service: Served, query: str) -> None:
        problem(service.call("GET", f"/agents/{service.create()}/turns?{query}"), "invalid-request")


class TestListAll:
    def test_turns_of_all_agents_in_the_order_of_acceptance(self, service: Served) -> None:
        agents = [service.create() for _ in range(2)]
        ids = [service.submit(agents[number % 2])["id"] for number in range(4)]
        page = service.get(f"/turns?limit=2&after={ids[0]}")
        assert [turn["id"] for turn in page["items"]] == ids[1:3]
        assert page["items"][0] == service.get(f"/turns/{ids[1]}")
        assert [turn["id"] for turn in service.get(f"/turns?after={page['next']}")["items"]] == ids[3:]

    def test_by_status(self, service: Served) -> None:
        agents = [service.create() for _ in range(2)]
        turns = [service.submit(agent) for agent in agents]
        for agent in agents:
            service.begin(agent)
        running = service.get("/turns?status=running&limit=1000")["items"]
        assert {turn["id"] for turn in turns} <= {turn["id"] for turn in running}
        assert {turn["status"] for turn in running} == {"running"}

    def test_a_cursor_that_is_no_turn_of_the_list(self, service: Served) -> None:
        """An empty page would look like the end."""
        agent, other = service.create(), service.create()
        unknown, elsewhere = "01900000-0000-7000-8000-000000000000", service.submit(other)["id"]
        for path in (f"/agents/{agent}/turns?after={unknown}", f"/agents/{agent}/turns?after={elsewhere}"):
            problem(service.call("GET", path), "invalid-request")
        problem(service.call("GET", f"/turns?after={unknown}"), "invalid-request")

    @pytest.mark.parametrize("query", ["after=x", "status=done", "limit=1001", "agent=a"])
    def test_odd_queries_are_refused(self, service: Served, query: str) -> None:
        problem(service.call("GET", f"/turns?{query}"), "invalid-request")


class TestCancel:
    def test_a_queued_turn_is_cancelled(self, service: Served) -> None:
        agent = service.create()
        turn = service.submit(agent)
        answer = service.call("POST", turn["links"]["cancel"], json={"reason": "late"})
        assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
        event = service.get(f"/agents/{agent}/events")["items"][-1]
        assert event["data"] == {"by": "anonymous", "reason": "late"}

    def test_again_is_the_same(self, service: Served) -> None:
        turn = service.submit(service.create())
        answers = [service.call("POST", turn["links"]["cancel"]) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [200, 200]
        assert answers[0].json() == answers[1].json()

    def test_a_running_turn_is_asked(self, service: Served) -> None:
        agent = service.create()
        turn = service.submit(agent)
        service.begin(agent)
        answer = service.call("POST", turn["links"]["cancel"])
        assert (answer.status_code, answer.json()["status"]) == (202, "running")

    def test_an_ended_turn_is_shown(self, service: Served) -> None:
        agent = service.create()
        turn = service.submit(agent)
        service.finish(agent, turn["id"], service.begin(agent), DONE)
        body = problem(service.call("POST", turn["links"]["cancel"]), "turn-ended")
        assert body["turn"] == service.get(turn["links"]["self"])

    @pytest.mark.parametrize("body", ['{"reason": 1}', '{"why": "x"}', "[]"])
    def test_odd_bodies_are_refused(self, service: Served, body: str) -> None:
        turn = service.submit(service.create())
        headers = {"Content-Type": "application/json"}
        problem(service.call("POST", turn["links"]["cancel"], content=body, headers=headers), "invalid-request")
        assert service.get(turn["links"]["self"])["status"] == "queued"

    def test_a_body_must_be_json(self, service: Served) -> None:
        turn = service.submit(service.create())
        problem(service.call("POST", turn["links"]["cancel"], content="now"), "unsupported-media-type")

    def test_of_nothing(self, service: Served) -> None:
        agent = service.create()
        problem(service.call("POST", f"/agents/{agent}/turns/{new_id()}/cancel"), "turn-not-found")
        problem(service.call("POST", f"/agents/{agent}/turns/x/cancel"), "turn-not-found")
        problem(service.call("POST", f"/agents/nobody/turns/{new_id()}/cancel"), "agent-not-found")
