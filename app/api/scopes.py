"""What each route asks of a key: the one table, and the check that the guard makes by it.

A caller that may do everything is not checked. For all others a route that is not in the table does not exist.
"""

from collections.abc import Callable, Mapping
from re import Match
from typing import NamedTuple

from starlette.routing import compile_path

from ..auth import Principal
from ..errors import MethodNotAllowed, MissingScope, NotFound
from ..grants import Scope
from .names import no_agent
from .problems import NOWHERE


class Need(NamedTuple):
    """``scope`` for the agent of the path; without one there, for any agent, and what is answered is of those only.

    ``everywhere``: for all agents. No ``scope``: any valid key will do.
    """

    scope: Scope | None
    everywhere: bool = False


READ, WRITE, CANCEL, STREAM = map(Need, (Scope.AGENTS_READ, Scope.TURNS_WRITE, Scope.TURNS_CANCEL, Scope.STREAM_READ))
ADMIN, OPERATE, ANY_KEY = Need(Scope.ADMIN), Need(Scope.ADMIN, everywhere=True), Need(None)
WATCH = Need(Scope.AGENTS_READ, everywhere=True)
"""Who may look at all agents may also look at how they do together; whoever scrapes need be no admin."""

NEEDS: Mapping[str, Need] = {
    "POST /agents/{name}/turns": WRITE,
    "GET /agents/{name}/turns/{id}": READ,
    "GET /agents/{name}/stream": STREAM,
    "GET /agents/{name}/turns/{id}/stream": STREAM,
    "GET /agents/{name}/events": STREAM,
    "POST /agents/{name}/turns/batch": WRITE,
    "POST /agents/{name}/turns/{id}/retry": WRITE,
    "POST /agents/{name}/turns/{id}/cancel": CANCEL,
    "GET /agents/{name}/turns": READ,
    "GET /agents/{name}": READ,
    "GET /turns/{id}": READ,
    "GET /turns": READ,
    "GET /agents": READ,
    "POST /agents": ADMIN,
    "PATCH /agents/{name}": ADMIN,
    "DELETE /agents/{name}": ADMIN,
    "POST /agents/{name}/pause": ADMIN,
    "POST /agents/{name}/resume": ADMIN,
    "POST /stream-tickets": STREAM,
    "GET /session": ANY_KEY,
    "POST /session": ANY_KEY,
    "DELETE /session": ANY_KEY,
    "GET /tools": READ,
    "GET /tools/{tool}": READ,
    "GET /keys": OPERATE,
    "POST /keys": OPERATE,
    "GET /keys/{key}": OPERATE,
    "DELETE /keys/{key}": OPERATE,
    "GET /audit": OPERATE,
    "POST /backup": OPERATE,
    "GET /metrics": WATCH,
    "GET /info": ANY_KEY,
    "GET /limits": ANY_KEY,
    "GET /problems": ANY_KEY,
    "GET /problems/{problem}": ANY_KEY,
    "GET /openapi.json": ANY_KEY,
    "GET /docs": ANY_KEY,
    "GET /docs.css": ANY_KEY,
    "GET /docs.js": ANY_KEY,
    "GET /docs-curl.js": ANY_KEY,
    "GET /docs-elements.js": ANY_KEY,
    "GET /docs-schemas.js": ANY_KEY,
    "GET /docs.svg": ANY_KEY,
    "GET /guide/": ANY_KEY,
    "GET /guide/{page}": ANY_KEY,
}
"""By method and path, the hottest first. The probes ask for no key, and are not in it."""


class _Route(NamedTuple):
    match: Callable[[str], Match[str] | None]
    need: Need
    of_agent: bool


def _compiled() -> dict[str, tuple[_Route, ...]]:
    """By method; patterns are those of the router, so that both find the same route for an address."""
    found: dict[str, list[_Route]] = {}
    for route, need in NEEDS.items():
        method, _, path = route.partition(" ")
        found.setdefault(method, []).append(_Route(compile_path(path)[0].match, need, "{name}" in path))
    return {method: tuple(routes) for method, routes in found.items()}


_ROUTES = _compiled()


def check(principal: Principal, method: str, path: str) -> None:
    """Raises ``NotFound``, ``MethodNotAllowed``, ``AgentNotFound``, ``MissingScope``.

    An agent whose name the caller does not see is answered as one that does not exist, before anything is looked up:
    neither the answer nor its time tells whether it does.
    """
    for route in _ROUTES.get("GET" if method == "HEAD" else method, ()):
        if found := route.match(path):
            _check(principal, route.need, found["name"] if route.of_agent else None)
            return
    raise _no_route(method, path)


def _check(principal: Principal, need: Need, name: str | None) -> None:
    if need.scope is None or (name is not None and principal.may(need.scope, name)):
        return
    if name is not None and not principal.sees(name):
        raise no_agent(name)
    require(principal, need.scope, name, everywhere=need.everywhere)


def require(principal: Principal, scope: Scope, agent: str | None = None, *, everywhere: bool = False) -> None:
    """Raises ``MissingScope``. Without ``agent`` any agent will do, or with ``everywhere`` all are needed."""
    names = principal.names(scope)
    if agent in names if agent is not None else names.everything if everywhere else names:
        return
    where = f" for agent {agent!r}" if agent is not None else " for all agents" if everywhere else ""
    raise MissingScope(f"This key does not have the scope {scope}{where}.", scope=scope.value)


def _no_route(method: str, path: str) -> NotFound | MethodNotAllowed:
    methods = {other for other, routes in _ROUTES.items() if any(route.match(path) for route in routes)}
    if not methods:
        return NotFound(NOWHERE)
    allowed = ", ".join(sorted(methods | {"HEAD"} if "GET" in methods else methods))
    return MethodNotAllowed(f"{method} is not allowed here; allowed: {allowed}.", headers={"Allow": allowed})
