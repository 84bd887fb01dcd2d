"""Key x route x agent: every operation of the OpenAPI document, with every kind of key."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest

from pygents_app.api.guard import PROBES
from pygents_app.api.install import Application
from pygents_app.api.openapi import operations, text
from pygents_app.api.scopes import NEEDS
from pygents_app.auth import new_token
from pygents_app.clock import new_id
from pygents_app.grants import Scope
from pygents_app.settings import Settings
from tests.app.api.serving import TLS, Served, serving

DOCUMENT: Mapping[str, Any] = json.loads(text(Application()))
OPERATIONS = [(f"{method.upper()} {path}", operation) for path, method, operation in operations(DOCUMENT)]
ROUTES = [route for route, _ in OPERATIONS if route.partition(" ")[2] not in PROBES]
OF_AGENTS = [route for route in ROUTES if "{name}" in route]
SCOPED = [route for route in ROUTES if NEEDS[route].scope is not None]
UNSEEN_ELSEWHERE = {"GET /turns/{id}": 404, "POST /stream-tickets": 404, "POST /agents": 403}
"""Routes that find out only from the body, or from what is stored, which agent it is about."""


@pytest.fixture(scope="module")
def closed() -> Iterator["Closed"]:
    with serving(Settings(wrong_keys=0)) as served:
        yield Closed(served)


class Closed:
    """A service with keys, an agent of its own for each request, and a turn of it."""

    def __init__(self, served: Served) -> None:
        self.served = served
        self.root = served.call("POST", "/keys", json={"scopes": ["admin"]}).json()["key"]
        self.ask("POST /backup", self.root)  # which begins a thread of the event loop's own: not one of a test's

    def key(self, *scopes: str) -> str:
        answer = self.served.call("POST", "/keys", json={"scopes": scopes}, headers={"X-API-Key": self.root})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["key"])

    def agent(self, name: str) -> str:
        """An agent with a turn that waits; the id of that."""
        headers = {"X-API-Key": self.root}
        assert (
            self.served.call("POST", "/agents", json={"name": name, "tools": ["echo"]}, headers=headers).status_code
            == 201
        )
        return str(self.served.submit(name, headers=headers)["id"])

    def cookie(self) -> str:
        """Of a browser that an admin has signed in."""
        answer = self.served.call("POST", "/session", json={"key": self.root})
        return str(answer.headers["set-cookie"]).partition(";")[0]

    def ask(
        self, route: str, key: str | None, *, agent: str = "a-none", turn: str | None = None, **further: str
    ) -> httpx.Response:
        """The head of the answer and, unless it is a stream, its body."""
        method, _, path = route.partition(" ")
        path = path.format(name=agent, id=turn or new_id(), tool="echo", key="0123456789ab", problem="damaged")
        bodies: Mapping[str, Any] = {
            "POST /agents": {"name": agent, "tools": ["echo"]},
            "POST /agents/{name}/turns": {"tool": "echo"},
            "POST /agents/{name}/turns/batch": [{"tool": "echo"}],
            "PATCH /agents/{name}": {"labels": {"a": "b"}},
            "POST /stream-tickets": {"agents": [agent]},
            "POST /keys": {"scopes": ["admin"]},
        }
        body = {"json": bodies[route]} if route in bodies else {}
        headers = {name.replace("_", "-"): value for name, value in further.items()}
        headers |= {"X-API-Key": key} if key is not None else {}
        client = httpx.Client(trust_env=False, verify=TLS)
        with client, client.stream(method, self.served.url + path, headers=headers, **body) as answer:
            if answer.headers.get("content-type") != "text/event-stream":
                answer.read()
            return answer


def test_every_route_says_what_it_needs(closed: Closed) -> None:
    """A new one without a line in the table fails here, and is refused to all but those who may do everything."""
    served = {
        f"{method} {path.replace('{turn_id}', '{id}')}"
        for route in closed.served.app.router.routes
        if (path := route.path) not in PROBES  # type: ignore[attr-defined]
        for method in route.methods - {"HEAD"}  # type: ignore[attr-defined]
    }
    assert served == NEEDS.keys()


def test_the_document_names_the_scopes() -> None:
    for route, operation in OPERATIONS:
        need = NEEDS.get(route)
        given = operation.get("security", DOCUMENT["security"])
        named = [role for entry in given for roles in entry.values() for role in roles]
        assert named == ([need.scope] * 3 if need is not None and need.scope is not None else [])


@pytest.mark.parametrize("route", ROUTES)
def test_nobody_comes_in(closed: Closed, route: str) -> None:
    known = closed.key("agents:read")
    for key in (None, "", new_token()[1], known[:-1] + ("0" if known[-1] != "0" else "1"), known[:17], "admin"):
        answer = closed.ask(route, key)
        assert answer.status_code == 401, (route, key)
        assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("path", sorted(PROBES))
def test_probes_let_everybody_in(closed: Closed, path: str) -> None:
    assert closed.ask(f"GET {path}", None).status_code == 200


@pytest.mark.parametrize("route", SCOPED)
def test_without_the_scope_it_is_refused_by_name(closed: Closed, route: str) -> None:
    """All other scopes for the agent do not help, nor does its own, or admin, for this one where it is for all."""
    need = NEEDS[route]
    others = [scope for scope in Scope if scope not in {need.scope, Scope.ADMIN}]
    local = {f"{need.scope}@a-*", "admin@a-*"} if need.everywhere else set()
    key = closed.key(*(f"{scope}@a-*" for scope in others), *local)
    answer = closed.ask(route, key)
    assert answer.status_code == 403, route
    assert answer.json()["type"] == "urn:pygents:problem:missing-scope"
    assert answer.json()["scope"] == need.scope


@pytest.mark.parametrize("route", OF_AGENTS)
def test_a_name_that_is_not_seen_is_as_one_that_does_not_exist(closed: Closed, route: str) -> None:
    there, nowhere = f"a-{new_id()}", f"a-{new_id()}"
    turn = closed.agent(there)
    for key in (closed.key(f"{NEEDS[route].scope}@b-*"), closed.key("admin@b-*")):
        answers = [closed.ask(route, key, agent=name, turn=turn) for name in (there, nowhere)]
        assert [answer.status_code for answer in answers] == [404, 404]
        first, second = (answer.text.replace(name, "…") for answer, name in zip(answers, (there, nowhere), strict=True))
        assert first == second
        headers = [sorted(name for name in answer.headers) for answer in answers]
        assert headers[0] == headers[1]


@pytest.mark.parametrize(("route", "status"), UNSEEN_ELSEWHERE.items())
def test_nor_is_it_where_the_address_does_not_name_it(closed: Closed, route: str, status: int) -> None:
    there = f"a-{new_id()}"
    turn = closed.agent(there)
    key = closed.key(f"{NEEDS[route].scope}@b-*")
    assert closed.ask(route, key, agent=there, turn=turn).status_code == status


@pytest.mark.parametrize("route", ROUTES)
def test_with_the_right_key_it_is_let_in(closed: Closed, route: str) -> None:
    need, agent = NEEDS[route], f"a-{new_id()}"
    turn = closed.agent(agent)
    if need.scope is None:
        key = closed.key("turns:cancel@nobody")
    else:
        key = closed.key(need.scope if need.everywhere else f"{need.scope}@a-*")
    answer = closed.ask(route, key, agent=f"a-{new_id()}" if route == "POST /agents" else agent, turn=turn)
    if "{key}" in route:
        assert answer.json()["type"] == "urn:pygents:problem:key-not-found"
    else:
        assert answer.status_code not in range(401, 405), (answer.status_code, route)


@pytest.mark.parametrize("site", ["same-origin", "same-site", "cross-site", None])
@pytest.mark.parametrize("route", ROUTES)
def test_a_cookie_is_for_the_services_own_pages(closed: Closed, route: str, site: str | None) -> None:
    """Reads are refused where the browser says that another page asks, writes where it does not say that ours does."""
    if route == "POST /session":
        return  # takes a key, and no cookie
    said = {"Sec_Fetch_Site": site} if site is not None else {}
    agent, reads = f"a-{new_id()}", route.startswith("GET ")
    turn = closed.agent(agent)
    made = f"a-{new_id()}" if route == "POST /agents" else agent
    answer = closed.ask(route, None, agent=made, turn=turn, Cookie=closed.cookie(), **said)
    if site == "same-origin" or (reads and site is None):
        assert answer.status_code not in {401, 403}, answer.status_code
    else:
        assert answer.status_code == (401 if reads else 403), answer.status_code


@pytest.mark.parametrize("route", ["GET /nothing", "GET /agents/a-1/nothing", "PUT /agents", "POST /audit"])
def test_what_is_not_there_is_not_there_for_any_key(closed: Closed, route: str) -> None:
    for key in (closed.key("agents:read@a-*"), closed.root):
        answer = closed.ask(route, key)
        assert answer.status_code == (405 if route in {"PUT /agents", "POST /audit"} else 404)
        assert ("allow" in answer.headers) == (answer.status_code == 405)
