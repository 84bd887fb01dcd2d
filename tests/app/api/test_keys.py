"""Keys over HTTP: how they are made and revoked, what is listed for whom, and what the audit log says of it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import httpx
import pytest

from pygents_app.api import visible
from pygents_app.clock import new_id, system_clock, to_rfc3339
from pygents_app.errors import ServiceError, StoreFull, Unavailable
from pygents_app.model import Outcome, TurnStatus
from pygents_app.settings import Settings
from tests.app.api.serving import TLS, Served, serving
from tests.app.api.test_guard import problem
from tests.helpers import eventually_sync

SETTINGS_KEY = "a-key-for-the-tests-0123456789"
ADMIN = {"X-API-Key": SETTINGS_KEY}


@pytest.fixture(scope="module")
def closed() -> Iterator[Served]:
    with serving(Settings.model_validate({"admin_key": SETTINGS_KEY})) as served:
        served.call("POST", "/backup", headers=ADMIN)  # which begins a thread of the loop's own: not one of a test's
        yield served


def make(served: Served, *scopes: str, headers: dict[str, str] = ADMIN, **fields: Any) -> Any:
    answer = served.call("POST", "/keys", json={"scopes": scopes, **fields}, headers=headers)
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"] == f"/keys/{answer.json()['id']}"
    return answer.json()


def of(key: Any) -> dict[str, str]:
    return {"Authorization": f"Bearer {key['key']}"}


class TestMaking:
    def test_it_is_shown_once(self, closed: Served) -> None:
        made = make(closed, "turns:write@a-*", "agents:read", name="the é desk")
        again = closed.get(f"/keys/{made['id']}", headers=ADMIN)
        assert made == {**again, "key": made["key"]}
        assert again["scopes"] == ["turns:write@a-*", "agents:read"]
        assert (again["name"], again["status"], again["expires_at"], again["revoked_at"]) == (
            "the é desk", "valid", None, None,
        )  # fmt: skip
        assert made["key"].startswith(f"pyg_{made['id']}_")
        secret = made["key"].rpartition("_")[2]
        assert secret not in closed.call("GET", "/keys?limit=1000", headers=ADMIN).text
        assert secret not in closed.call("GET", "/audit?limit=1000", headers=ADMIN).text

    def test_limits_of_its_own(self, closed: Served) -> None:
        made = make(closed, "agents:read", rate=0.5, burst=3.0, streams=0.0)
        for found in (made, closed.get(f"/keys/{made['id']}", headers=ADMIN)):
            assert (found["rate"], found["burst"], found["streams"]) == (0.5, 3, 0)
        plain = make(closed, "agents:read", rate=None)
        assert (plain["rate"], plain["burst"], plain["streams"]) == (None, None, None)
        entries = closed.get("/audit?limit=1000", headers=ADMIN)["items"]
        details = {entry["target"]: entry["details"] for entry in entries}
        assert details[made["id"]] == {"name": "", "scopes": ["agents:read"], "rate": 0.5, "burst": 3, "streams": 0}
        assert details[plain["id"]] == {"name": "", "scopes": ["agents:read"]}

    @pytest.mark.parametrize(
        ("body", "pointer"),
        [
            ({"scopes": ["admin"], "rate": -1}, "/rate"),
            ({"scopes": ["admin"], "rate": 1e7}, "/rate"),
            ({"scopes": ["admin"], "rate": "5"}, "/rate"),
            ({"scopes": ["admin"], "burst": 0}, "/burst"),
            ({"scopes": ["admin"], "burst": 1.5}, "/burst"),
            ({"scopes": ["admin"], "burst": True}, "/burst"),
            ({"scopes": ["admin"], "streams": -1}, "/streams"),
            ({"scopes": ["admin"], "streams": 10**10}, "/streams"),
            ({}, "/scopes"),
            ({"scopes": []}, "/scopes"),
            ({"scopes": ["turns"]}, "/scopes/0"),
            ({"scopes": ["admin", "turns:write@a*b"]}, "/scopes/1"),
            ({"scopes": ["admin"] * 65}, "/scopes"),
            ({"scopes": ["admin"], "name": "x" * 101}, "/name"),
            ({"scopes": ["admin"], "name": "\x1b[2J"}, "/name"),
            ({"scopes": ["admin"], "name": "\u202e"}, "/name"),
            ({"scopes": ["admin"], "expires_in": 0}, "/expires_in"),
            ({"scopes": ["admin"], "expires_in": 1e300}, "/expires_in"),
            ({"scopes": ["admin"], "expires_at": "tomorrow"}, "/expires_at"),
            ({"scopes": ["admin"], "expires_in": 1, "expires_at": "2030-01-01T00:00:00Z"}, ""),
            ({"scopes": ["admin"], "key": "mine"}, "/key"),
            ([], ""),
        ],
    )
    def test_a_body_that_is_not_valid(self, closed: Served, body: Any, pointer: str) -> None:
        found = problem(closed.call("POST", "/keys", json=body, headers=ADMIN), "invalid-request")
        assert [error["pointer"] for error in found["errors"]] == [pointer]

    def test_the_first_key_closes_the_service(self) -> None:
        with serving(Settings()) as served:
            problem(served.call("POST", "/keys", json={"scopes": ["turns:write"]}), "no-admin-key")
            assert served.get("/keys") == {"items": [], "next": None}
            root = make(served, "admin", headers={})
            problem(served.call("GET", "/keys"), "unauthorized")
            make(served, "turns:write", headers=of(root))
            served.call("DELETE", f"/keys/{root['id']}", headers=of(root))
            problem(served.call("GET", "/keys"), "unauthorized")

    def test_keys_of_the_settings_and_of_the_store_are_beside_each_other(self, closed: Served) -> None:
        made = make(closed, "admin")
        for headers in (ADMIN, of(made), {"X-API-Key": made["key"]}):
            assert closed.call("GET", "/keys", headers=headers).status_code == 200


class TestRevoking:
    def test_the_next_request_is_refused(self, closed: Served) -> None:
        made = make(closed, "agents:read")
        assert closed.call("GET", "/agents", headers=of(made)).status_code == 200
        for _ in range(2):
            assert closed.call("DELETE", f"/keys/{made['id']}", headers=ADMIN).status_code == 204
            problem(closed.call("GET", "/agents", headers=of(made)), "unauthorized")
        shown = closed.get(f"/keys/{made['id']}", headers=ADMIN)
        assert shown["status"] == "revoked"
        assert shown["revoked_at"] >= shown["created_at"]

    @pytest.mark.parametrize("id_", ["0123456789ab", "0123456789AB", "..%2F", "x" * 1000, "%00"])
    def test_one_that_is_not_there(self, closed: Served, id_: str) -> None:
        for method in ("GET", "DELETE"):
            assert closed.call(method, f"/keys/{id_}", headers=ADMIN).status_code == 404

    def test_expiry(self, closed: Served) -> None:
        made = make(closed, "agents:read", expires_in=1.5)
        assert closed.call("GET", "/agents", headers=of(made)).status_code == 200

        def refused() -> bool:
            return closed.call("GET", "/agents", headers=of(made)).status_code == 401

        eventually_sync(refused)
        assert closed.get(f"/keys/{made['id']}", headers=ADMIN)["status"] == "expired"

    def test_a_time_that_has_been(self, closed: Served) -> None:
        made = make(closed, "admin", expires_at=to_rfc3339(system_clock() - 1))
        problem(closed.call("GET", "/agents", headers=of(made)), "unauthorized")


class TestLists:
    def test_keys_in_pages(self, closed: Served) -> None:
        made = [make(closed, "admin", name=str(number))["id"] for number in range(3)]
        listed = closed.get(f"/keys?limit=2&after={made[0]}", headers=ADMIN)
        assert [key["id"] for key in listed["items"]][:2] == made[1:]

    @pytest.mark.parametrize("limit", [1, 2, 1000])
    def test_agents_that_may_be_read_and_no_others(self, closed: Served, limit: int) -> None:
        mark = new_id()
        names = [f"{mark}-{suffix}" for suffix in ("a", "a-1", "a-2", "b", "b-1", "c", "d-1", "d-2", "e")]
        for name in names:
            closed.create_named(name)
        scopes = [f"agents:read@{mark}-a*", f"agents:read@{mark}-c", f"agents:read@{mark}-d-*", f"stream:read@{mark}-e"]
        key = make(closed, *scopes)
        for prefix, expected in (("", "a a-1 a-2 c d-1 d-2"), ("a-", "a-1 a-2"), ("d-1", "d-1"), ("b", ""), ("e", "")):
            found: list[str] = []
            after = ""
            while True:
                query = f"/agents?limit={limit}&prefix={mark}-{prefix}{after}"
                page = closed.get(query, headers=of(key))
                found += [agent["name"].removeprefix(f"{mark}-") for agent in page["items"]]
                assert page["next"] is None or page["next"].removeprefix(f"{mark}-") in found
                if page["next"] is None:
                    break
                after = f"&after={page['next']}"
            assert found == expected.split()

    @pytest.mark.parametrize("limit", [1, 2, 1000])
    def test_turns_of_agents_that_may_be_read_and_no_others(self, closed: Served, limit: int) -> None:
        mine, others = closed.create(), closed.create()
        turns = [closed.submit(agent, headers=ADMIN) for agent in (others, mine, others, mine, mine, others)]
        key = make(closed, f"agents:read@{mine}")
        found: list[str] = []
        after = ""
        while True:
            page = closed.get(f"/turns?limit={limit}{after}", headers=of(key))
            found += [turn["id"] for turn in page["items"]]
            if page["next"] is None:
                break
            after = f"&after={page['next']}"
        assert found == [turn["id"] for turn in turns if turn["agent"] == mine]
        assert closed.get(f"/turns/{found[0]}", headers=of(key))["agent"] == mine
        problem(closed.call("GET", f"/turns/{turns[0]['id']}?wait=60", headers=of(key)), "turn-not-found")

    def test_a_turn_of_an_agent_that_is_seen_but_may_not_be_read(self, closed: Served) -> None:
        agent = closed.create()
        turn = closed.submit(agent, headers=ADMIN)
        key = make(closed, f"turns:write@{agent}", "agents:read@another")
        problem(closed.call("GET", f"/turns/{turn['id']}", headers=of(key)), "missing-scope")

    def test_a_cursor_tells_nothing_of_what_may_not_be_read(
        self, closed: Served, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        mine, others = closed.create(), closed.create()
        turns = [closed.submit(agent, headers=ADMIN)["id"] for agent in (mine, others, others, mine)]
        key = of(make(closed, f"agents:read@{mine}"))
        monkeypatch.setattr(visible, "MAX_SCAN", 1)
        monkeypatch.setattr(visible, "READ_AT_ONCE", 1)
        page = closed.get(f"/turns?limit=1&after={turns[0]}", headers=key)
        while not page["items"]:  # one that ended early has another's turn as its cursor
            assert page["next"].partition(".")[0] in turns[1:3]
            forged = page["next"][:-1] + ("0" if page["next"][-1] != "0" else "1")
            for cursor in (turns[1], turns[2], new_id(), f"{turns[1]}.{'0' * 16}", forged):
                answer = closed.call("GET", f"/turns?after={cursor}", headers=key)
                assert problem(answer, "invalid-request")["errors"][0]["pointer"] == "after"
            page = closed.get(f"/turns?limit=1&after={page['next']}", headers=key)
        assert [turn["id"] for turn in page["items"]] == turns[3:]


class TestOfOthers:
    """Who may not look at an agent's turns is not shown what is in one that he may cancel or retry."""

    PRIVATE = ("args", "kwargs", "metadata", "output")

    def ended(self, closed: Served) -> Any:
        turn = closed.submit(closed.create(), {"kwargs": {"text": "private"}}, headers=ADMIN)
        outcome = Outcome(TurnStatus.COMPLETED, output=b'"private"')
        closed.finish(turn["agent"], turn["id"], closed.begin(turn["agent"]), outcome)
        return turn

    @pytest.mark.parametrize("verb", ["cancel", "retry"])
    @pytest.mark.parametrize("reads", [False, True])
    def test_what_it_was_given(self, closed: Served, verb: str, reads: bool) -> None:
        turn = self.ended(closed)
        scopes = [f"turns:{'cancel' if verb == 'cancel' else 'write'}@{turn['agent']}"]
        key = make(closed, *scopes, *([f"agents:read@{turn['agent']}"] if reads else []))
        answer = closed.call("POST", f"{turn['links']['self']}/{verb}", headers=of(key))
        shown = problem(answer, "turn-ended")["turn"] if verb == "cancel" else answer.json()
        assert shown["agent"] == turn["agent"]
        assert ("private" in answer.text) == reads
        if reads:
            assert shown["kwargs"] == {"text": "private"}
            return
        assert [shown[name] for name in self.PRIVATE] == [None] * 4
        assert shown["truncated"] == list(self.PRIVATE if verb == "cancel" else self.PRIVATE[:3])

    def test_nor_when_it_is_cancelled(self, closed: Served) -> None:
        turn = closed.submit(closed.create(), {"kwargs": {"text": "private"}}, headers=ADMIN)
        key = make(closed, f"turns:cancel@{turn['agent']}")
        answer = closed.call("POST", turn["links"]["cancel"], headers=of(key))
        assert answer.json()["status"] == "cancelled"
        assert "private" not in answer.text

    def test_nor_are_the_events_of_what_is_retried(self, closed: Served) -> None:
        turn = self.ended(closed)
        key = make(closed, f"turns:write@{turn['agent']}")
        headers = {**of(key), "Accept": "text/event-stream"}
        answer = closed.call("POST", f"{turn['links']['self']}/retry", headers=headers)
        assert problem(answer, "missing-scope")["scope"] == "stream:read"

    def test_what_one_has_submitted_is_ones_own(self, closed: Served) -> None:
        agent = closed.create()
        key = make(closed, f"turns:write@{agent}")
        assert closed.submit(agent, {"kwargs": {"text": "mine"}}, headers=of(key))["kwargs"] == {"text": "mine"}


class TestWaiting:
    @pytest.mark.parametrize("prefers", [False, True])
    def test_it_ends_with_its_key(self, closed: Served, monkeypatch: pytest.MonkeyPatch, prefers: bool) -> None:
        """As a stream does: the end of the turn comes too late for who may not see it any more."""
        hub, waits = closed.services.hub, Event()
        listen = hub.ending

        def ending(*given: Any) -> Any:
            waits.set()
            return listen(*given)

        monkeypatch.setattr(hub, "ending", ending)
        turn = closed.submit(closed.create(), headers=ADMIN)
        made = make(closed, "turns:write", "agents:read")
        path, options = f"{turn['links']['self']}?wait=60", {"headers": of(made), "timeout": 60}
        if prefers:
            path = f"/agents/{turn['agent']}/turns"
            options |= {"headers": {**of(made), "Prefer": "wait=60"}, "json": {"tool": "echo"}}
        with ThreadPoolExecutor(1) as others:
            answer = others.submit(closed.call, "POST" if prefers else "GET", path, **options)
            assert waits.wait(20)
            assert closed.call("DELETE", f"/keys/{made['id']}", headers=ADMIN).status_code == 204
            problem(answer.result(40), "unauthorized")


class TestCaller:
    def test_a_key_is_its_own_scope_of_idempotency(self, closed: Served) -> None:
        agent = closed.create()
        first, second = make(closed, "turns:write"), make(closed, "turns:write")
        ids = {
            closed.submit(agent, headers={**of(key), "Idempotency-Key": "k"})["id"] for key in (first, second, first)
        }
        assert len(ids) == 2

    def test_a_cancelled_turn_names_it(self, closed: Served) -> None:
        agent = closed.create()
        key = make(closed, "turns:write", "turns:cancel", "stream:read")
        turn = closed.submit(agent, headers=of(key))
        assert closed.call("POST", turn["links"]["cancel"], headers=of(key)).status_code == 200
        events = closed.get(f"/agents/{agent}/events", headers=of(key))["items"]
        assert events[-1]["data"]["by"] == key["id"]

    def test_an_admin_of_some_agents_makes_only_those(self, closed: Served) -> None:
        mark = new_id()
        key = make(closed, f"admin@{mark}-*")
        body = {"name": f"{mark}-1", "tools": ["echo"]}
        assert closed.call("POST", "/agents", json=body, headers=of(key)).status_code == 201
        assert closed.call("DELETE", f"/agents/{mark}-1", headers=of(key)).status_code == 204
        problem(closed.call("POST", "/agents", json={**body, "name": "x"}, headers=of(key)), "missing-scope")


class TestTickets:
    def test_only_for_agents_whose_streams_one_may_follow(self, closed: Served) -> None:
        mine, seen, unseen = closed.create(), closed.create(), closed.create()
        key = make(closed, f"stream:read@{mine}", f"agents:read@{seen}")

        def ask(*agents: str) -> Any:
            return closed.call("POST", "/stream-tickets", json={"agents": agents}, headers=of(key))

        assert ask(mine, mine).status_code == 201
        problem(ask(mine, seen), "missing-scope")
        problem(ask(mine, unseen), "agent-not-found")
        problem(ask(), "invalid-request")
        closed.call("DELETE", f"/agents/{mine}", headers=ADMIN)
        problem(ask(mine), "agent-not-found")

    def test_a_ticket_is_for_a_get_and_alone(self, closed: Served) -> None:
        agent = closed.create()
        answer = closed.call("POST", "/stream-tickets", json={"agents": [agent]}, headers=ADMIN)
        path = f"/agents/{agent}/stream?ticket={answer.json()['ticket']}"
        for headers in (ADMIN, {"Authorization": f"Bearer {SETTINGS_KEY}"}):
            problem(closed.call("GET", path, headers=headers), "unauthorized")
        for method in ("POST", "DELETE", "PUT"):
            problem(closed.call(method, path), "unauthorized")
        with httpx.stream("GET", closed.url + path, trust_env=False, verify=TLS, timeout=20) as stream:
            assert stream.status_code == 200, "it was good all the time"

    @pytest.mark.parametrize("cause", [StoreFull("full"), Unavailable("closed")])
    def test_what_passes_by_itself_does_not_end_a_page(
        self, closed: Served, monkeypatch: pytest.MonkeyPatch, cause: ServiceError
    ) -> None:
        """An EventSource that sees another status than 200 never comes back."""

        async def refuse(*_: object) -> None:
            raise cause

        monkeypatch.setattr(closed.services.tickets, "redeem", refuse)
        answer = closed.call("GET", f"/agents/{closed.create()}/stream?ticket=pyt_{'0' * 64}")
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream")
        assert answer.text.startswith("retry: ")
        assert answer.text.endswith('event: stream.closing\ndata: {"reason":"unavailable"}\n\n')


class TestHostile:
    """What only looks like a key, or is sent as none should be: 401, never a defect."""

    @pytest.mark.parametrize("name", ["Authorization", "X-API-Key"])
    def test_headers(self, closed: Served, name: str) -> None:
        key = make(closed, "admin")["key"].encode()
        prefix = b"Bearer " if name == "Authorization" else b""
        wrong = (
            key + b"\xff", b"\xff" * 81, key[:16], key[:17] + b"0" * 64, key.upper(), key + b"=", b"pyg_" + b"x" * 77,
            key * 500, b"\xc3\xa9" * 40, b"pyg__", key[:16] + key[16:].translate(bytes.maketrans(b"0123", b"4567")),
        )  # fmt: skip
        for value in wrong:
            assert closed.call("GET", "/agents", headers=[(name, prefix + value)]).status_code == 401, value
        doubled = [(name, prefix + key)] * 2
        assert closed.call("GET", "/agents", headers=doubled).status_code == 401
        assert closed.call("GET", "/agents", headers=[(name, prefix + key)]).status_code == 200

    def test_a_key_in_the_address_is_none(self, closed: Served) -> None:
        key = make(closed, "admin")["key"]
        agent = closed.create()
        for query in (f"key={key}", f"api_key={key}", f"access_token={key}", f"ticket={key}", f"X-API-Key={key}"):
            for path in ("/agents", f"/agents/{agent}/stream"):
                assert closed.call("GET", f"{path}?{query}").status_code == 401

    def test_the_form_of_a_foreign_page_makes_no_key(self) -> None:
        """A service without keys is the one that would obey it."""
        with serving(Settings()) as served:
            for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {}):
                for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
                    sent = {**headers, "Content-Type": kind}
                    answer = served.call("POST", "/keys", content=b'{"scopes":["admin"]}', headers=sent)
                    assert answer.status_code in {403, 415}
            assert served.get("/keys")["items"] == []


class TestAudit:
    def since(self, closed: Served, before: int) -> list[Any]:
        items: list[Any] = closed.get(f"/audit?after={before}&limit=1000", headers=ADMIN)["items"]
        return items

    def last(self, closed: Served) -> int:
        items = closed.get("/audit?limit=1000", headers=ADMIN)["items"]
        return int(items[-1]["number"]) if items else 0

    def test_every_action_of_an_admin_has_one_entry(self, closed: Served) -> None:
        before, agent = self.last(closed), f"a{new_id()}"
        headers = {**ADMIN, "X-Request-Id": "mine", "X-Forwarded-For": "203.0.113.9"}
        key = make(closed, "stream:read", headers=headers, name="page")
        call = closed.call
        call("POST", "/agents", json={"name": agent, "tools": ["echo"]}, headers=headers)
        call("PATCH", f"/agents/{agent}", json={"labels": {"a": "secret"}}, headers=headers)
        call("POST", f"/agents/{agent}/pause", headers=headers)
        call("POST", f"/agents/{agent}/resume", headers=headers)
        turn = closed.submit(agent, headers=headers)
        call("POST", turn["links"]["cancel"], headers=headers)
        call("DELETE", f"/agents/{agent}?force=true", headers=headers)
        call("POST", "/backup", headers=headers)  # which is refused: this store has no file
        call("DELETE", f"/keys/{key['id']}", headers=headers)
        entries = self.since(closed, before)
        assert [(entry["action"], entry["target"], entry["details"]) for entry in entries] == [
            ("createKey", key["id"], {"name": "page", "scopes": ["stream:read"]}),
            ("createAgent", agent, {}),
            ("patchAgent", agent, {"changed": ["labels"]}),
            ("pauseAgent", agent, {}),
            ("resumeAgent", agent, {}),
            ("cancelTurn", agent, {"turn_id": turn["id"], "cascade": False}),
            ("deleteAgent", agent, {"force": True}),
            ("revokeKey", key["id"], {}),
        ]
        for entry in entries:
            assert entry["by"] == {"id": "admin", "name": "PYGENTS_ADMIN_KEY"}
            assert (entry["address"], entry["request_id"]) == ("127.0.0.1", "mine")
        assert [entry["number"] for entry in entries] == list(range(before + 1, before + 9))

    def test_what_others_do_and_what_is_refused_has_none(self, closed: Served) -> None:
        agent = closed.create()
        key = make(closed, f"turns:write@{agent}", f"turns:cancel@{agent}")
        before = self.last(closed)
        turn = closed.submit(agent, headers=of(key))
        assert closed.call("POST", turn["links"]["cancel"], headers=of(key)).status_code == 200
        closed.call("POST", f"/agents/{agent}/pause", headers=of(key))
        closed.call("DELETE", "/agents/nobody", headers=ADMIN)
        closed.call("POST", "/agents", json={"name": agent, "tools": ["nothing"]}, headers=ADMIN)
        assert self.since(closed, before) == []

    def test_pages(self, closed: Served) -> None:
        for _ in range(3):
            make(closed, "admin")
        first = closed.get("/audit?limit=2", headers=ADMIN)
        assert [entry["number"] for entry in first["items"]] == [1, 2]
        assert closed.get(f"/audit?limit=1&after={first['next']}", headers=ADMIN)["items"][0]["number"] == 3
