"""The attacks by class: each draws one by dice, as the bytes to send and what may be answered to them."""

from collections.abc import Callable, Collection, Mapping, Sequence
from random import Random
from typing import NamedTuple
from urllib.parse import quote

from pygents_app.api.scopes import NEEDS
from tests.attacks import hostile
from tests.attacks.forging import forged
from tests.attacks.smuggling import AMBIGUOUS, CONTAINED, HIDDEN
from tests.attacks.target import ARGUMENT, Target

HANDLED: Collection[int] = range(200, 500)
"""Whatever is no failure of the service."""
REFUSED: Collection[int] = range(400, 500)
UNKNOWN: Collection[int] = (401,)
OUT_OF_REACH: Collection[int] = (403, 404)


class Attack(NamedTuple):
    """``pieces`` are sent one by one. ``most``: so many answers there may be; ``silent``: also none at all."""

    pieces: Sequence[bytes]
    allowed: Collection[int]
    most: int = 1
    silent: bool = False
    left: bool = False
    """Whether we go away before it is answered."""


Weapon = Callable[[Random, Target], Attack]

ID = "01a22eab-64f7-72e5-b3bd-0808b319cf64"
TURN = {
    "tool": "greet",
    "args": ["code", ARGUMENT],
    "kwargs": {"a": "code"},
    "metadata": {"note": ARGUMENT},
    "timeout": 5,
}
RETRY = {"max_attempts": 2, "delay": 0.01, "factor": 2, "max_delay": 60, "jitter": True, "on": ["error"]}
BODIES: Mapping[str, object] = {
    "POST /agents/code/turns": {**TURN, "delay": 0, "retry": RETRY},
    "POST /agents/code/turns/batch": [TURN, {"tool": "several", "args": ["code"]}],
    "POST /agents": {"name": "a1", "tools": ["greet"], "description": "code", "labels": {"a": "code"}, "hooks": {}},
    "PATCH /agents/a1": {"description": "code", "labels": {"a": "code"}, "tools": ["greet", "failing"]},
    "POST /stream-tickets": {"agents": ["code"]},
    "POST /keys": {"name": "code", "scopes": ["turns:write@code"], "expires_in": 60},
}
READS = (
    "/agents", "/agents/code", "/agents/code/turns", "/agents/code/events", "/turns", "/tools", "/tools/greet",
    "/limits",
    "/info", "/metrics", "/audit", "/keys", "/problems", "/problems/damaged", "/docs", "/openapi.json",
    "/guide/security",
    "/healthz", "/readyz", "/agents/code/stream", f"/turns/{ID}",
)  # fmt: skip
NAMES = (
    b"authorization", b"x-api-key", b"content-type", b"content-encoding", b"idempotency-key", b"last-event-id",
    b"prefer",
    b"accept", b"traceparent", b"tracestate", b"x-request-id", b"x-forwarded-for", b"forwarded", b"x-forwarded-host",
    b"range", b"if-none-match", b"if-modified-since", b"cookie", b"expect", b"te", b"upgrade", b"accept-encoding",
    b"access-control-request-method", b"x-http-method-override", b"x-original-url", b"connection",
)  # fmt: skip
PARAMETERS = (
    "limit", "after", "tail", "types", "status", "prefix", "wait", "force", "cascade", "ticket", "key", "agent",
    "state",
)  # fmt: skip
SEGMENTS = (
    b"..", b".", b"%2e%2e", b"%00", b"a%00b", b"a%0d%0aX:y", b"%0a", b"%ff", b"%", b"%zz", b"a.b", b"-a", b"_a",
    b"a" * 65,
    b"a" * 9_000, b"%F0%9F%98%80", b"%20", b"a%20b", b";x=1", b"a;b", b"%3Cscript%3E", b"%27%20OR%201=1", b"*", b"~",
    b"%25", b"%2e%2e%2f%2e%2e%2fetc%2fpasswd", b"__init__.", b"$where", b"{name}", b"a%E2%80%A8b", b"%C0%AE%C0%AE",
)  # fmt: skip
HOSTS = (
    b"evil.example",
    b"localhost.evil.example",
    b"",
    b"[::2]",
    b"127.0.0.2",
    b"user@localhost",
    b"localhost:x",
    b"a b",
)
ORIGINS = (
    b"https://evil.example",
    b"null",
    b"http://localhost.evil.example",
    b"",
    b"http://localhost:1",
    b"file://",
    b"*",
)


def request(
    route: str, *lines: bytes, body: bytes | None = None, key: str | None = None, host: bytes = b"localhost"
) -> bytes:
    """The last one of its connection. ``route`` is a method and a path."""
    method, _, path = route.partition(" ")
    head = [f"{method} {path} HTTP/1.1".encode(), b"Host: " + host, b"Connection: close", *lines]
    if key is not None:
        head.append(b"X-API-Key: " + key.encode())
    if body is not None:
        head += [b"Content-Type: application/json", b"Content-Length: %d" % len(body)]
    return b"\r\n".join([*head, b"", body or b""])


def _route(dice: Random) -> str:
    """Any operation that asks for a key; to sign in asks for nothing else."""
    return _address(dice.choice([route for route in NEEDS if route != "POST /session"]))


def _address(route: str) -> str:
    return route.format(
        name="code", id=ID, turn_id=ID, tool="greet", key="0123456789ab", problem="damaged", page="security"
    )


def _body(dice: Random, route: str) -> bytes | None:
    return hostile.written(dice, BODIES.get(route, {})) if route.startswith(("POST", "PATCH")) else None


def bodies(dice: Random, target: Target) -> Attack:
    route, document = dice.choice(list(BODIES.items()))
    body = hostile.written(dice, hostile.changed(dice, document))
    return Attack([request(route, body=body, key=target.secrets.admin)], HANDLED)


def headers(dice: Random, target: Target) -> Attack:
    lines = [dice.choice(NAMES) + b": " + hostile.field(dice) for _ in range(dice.randint(1, 4))]
    if dice.random() < 0.3:
        raw = request("POST /agents/code/turns", *lines, body=hostile.written(dice, TURN), key=target.secrets.admin)
    else:
        raw = request(f"GET {dice.choice(READS)}", *lines, key=target.secrets.admin)
    return Attack([raw], HANDLED, silent=True)


def credentials(dice: Random, target: Target) -> Attack:
    """Keys that are none: wrong, broken, revoked, twice, in the wrong place, of somebody else."""
    secrets, route = target.secrets, _route(dice)
    good = dice.choice((secrets.admin, secrets.root, secrets.token, secrets.ticket)).encode()
    bad = dice.choice((
        b"", good[:-1], good + b"0", good.swapcase(), good[::-1], good[: dice.randrange(len(good))],
        secrets.revoked.encode(),
        secrets.ticket.encode(), hostile.field(dice), good * 50, b"Bearer " + good, b'"' + good + b'"',
        good.hex().encode(),
    ))  # fmt: skip
    lines = dice.choice((
        [b"Authorization: Bearer " + bad], [b"X-API-Key: " + bad], [b"Authorization: " + good],
        [b"Cookie: key=" + good],
        [b"Authorization: Basic " + good], [b"Authorization: Bearer " + good] * 2, [b"X-API-Key: " + good] * 2,
        [b"X-API-Key: " + bad, b"Authorization: Bearer " + bad], [b"X-Api_Key: " + good], [],
    ))  # fmt: skip
    if dice.random() < 0.3:
        name = dice.choice(("key", "api_key", "access_token", "token", "X-API-Key", "authorization"))
        route, lines = f"{route}?{name}={quote(good)}", lines[:0]
    return Attack([request(route, *lines, body=_body(dice, route))], UNKNOWN)


def tickets(dice: Random, target: Target) -> Attack:
    """For another stream than theirs, for what is no stream, not as they are, or with a key beside them."""
    ticket, route = target.secrets.ticket, _route(dice)
    stream = "GET /agents/code/stream"
    bad = dice.choice(
        (ticket[:-1], ticket + "0", ticket.upper(), ticket.replace("pyt_", "pyg_"), "", target.secrets.root)
    )
    asked, lines = dice.choice((
        (f"{stream}?ticket={bad}", []), (f"{stream}?ticket={ticket}&ticket={ticket}", []),
        (f"{stream}?Ticket={ticket}", []),
        (f"GET /agents/nobody/stream?ticket={ticket}", []),
        (f"{stream}?ticket={ticket}", [b"X-API-Key: " + target.secrets.weak.encode()]),
        (stream, [b"X-API-Key: " + ticket.encode()]), (f"POST /agents/code/stream?ticket={ticket}", []),
        *([(f"{route}?ticket={ticket}", [])] if not route.endswith("/stream") else []),
    ))  # fmt: skip
    return Attack([request(asked, *lines)], UNKNOWN)


def tokens(dice: Random, target: Target) -> Attack:
    token = forged(dice, target.issuer)
    return Attack([request(_route(dice), b"Authorization: Bearer " + token.encode())], UNKNOWN)


def scopes(dice: Random, target: Target) -> Attack:
    """With a key, or a token, that may follow an agent that is not there."""
    route = dice.choice([route for route, need in NEEDS.items() if need.scope is not None])
    path = _address(route)
    if dice.random() < 0.5:
        path += f"?{dice.choice(PARAMETERS)}={quote(dice.choice(hostile.STRINGS), errors='replace')}"
    path = path.replace("ticket=", "tickets=")  # that is a credential of its own
    body = hostile.written(dice, BODIES["POST /agents/code/turns"]) if "POST" in route else None
    if route == "POST /stream-tickets":
        path, body = route, b'{"agents":["code"]}'
    who = target.secrets
    lines = [b"Authorization: Bearer " + dice.choice((who.weak, who.token)).encode()]
    return Attack(
        [request(path, *lines, body=body)], (*OUT_OF_REACH, 422) if body and "tickets" in path else OUT_OF_REACH
    )


def paths(dice: Random, target: Target) -> Attack:
    segment = dice.choice(SEGMENTS)
    path = dice.choice((
        b"/agents/%b", b"/agents/%b/turns", b"/agents/%b/stream", b"/turns/%b", b"/tools/%b", b"/problems/%b",
        b"/guide/%b",
        b"/keys/%b", b"/%b", b"/docs/%b", b"/agents/code/turns/%b", b"/agents/code/%b", b"//%b",
        b"/agents/%b/turns/%b/cancel",
    ))  # fmt: skip
    path = path.replace(b"%b", segment)
    method = dice.choice((b"GET", b"POST", b"DELETE", b"PATCH", b"PUT", b"OPTIONS", b"BREW", b"TRACE"))
    raw = request("GET /", key=target.secrets.admin, body=b"{}").replace(b"GET /", method + b" " + path, 1)
    return Attack([raw], REFUSED)


def queries(dice: Random, target: Target) -> Attack:
    given = [(dice.choice(PARAMETERS), str(hostile.scalar(dice))) for _ in range(dice.randint(1, 3))]
    given = [(name, value if name != "wait" else "0") for name, value in given]
    query = "&".join(f"{name}={quote(value, errors='replace')}" for name, value in given)
    return Attack([request(f"GET {dice.choice(READS)}?{query}", key=target.secrets.admin)], HANDLED)


def cursors(dice: Random, target: Target) -> Attack:
    cursor = dice.choice((hostile.field(dice), str(dice.choice(hostile.NUMBERS)).encode(), b"9" * dice.randint(1, 40)))
    route = dice.choice(("GET /agents/code/stream", f"GET /agents/code/turns/{ID}/stream"))
    return Attack([request(route, b"Last-Event-ID: " + cursor, key=target.secrets.admin)], HANDLED)


def foreigners(dice: Random, target: Target) -> Attack:
    """A page of somebody else's: its Host, if it rebinds a name; its Origin, if it writes."""
    if dice.random() < 0.5:
        route = _route(dice)
        return Attack(
            [request(route, host=dice.choice(HOSTS), key=target.secrets.admin, body=_body(dice, route))], (421, 400)
        )
    route = dice.choice(list(BODIES))
    kind = dice.choice(
        (b"text/plain", b"application/x-www-form-urlencoded", b"multipart/form-data", b"application/json")
    )
    raw = request(route, b"Origin: " + dice.choice(ORIGINS), key=target.secrets.admin, body=_body(dice, route))
    return Attack([raw.replace(b"application/json", kind)], (403,))


def smuggled(dice: Random, target: Target) -> Attack:
    """Cut anywhere. What is refused in its head needs no key; else it is asked for one."""
    data = dice.choice([*AMBIGUOUS.values(), *CONTAINED.values()]) + HIDDEN
    places = sorted(dice.sample(range(1, len(data)), k=dice.randrange(4)))
    pieces = [data[begin:end] for begin, end in zip([0, *places], [*places, len(data)], strict=True)]
    return Attack(pieces, REFUSED, silent=True)


def noise(dice: Random, target: Target) -> Attack:
    """Bytes of no kind, and requests of which some were changed: there may be several by then."""
    good = request("POST /agents/code/turns", body=hostile.written(dice, TURN), key=target.secrets.weak)
    read = request(f"GET {dice.choice(READS)}", key=target.secrets.admin)
    data = dice.choice((dice.randbytes(dice.randrange(400)), hostile.flipped(dice, good), hostile.flipped(dice, read)))
    return Attack([data or b"\n", b"\r\n\r\n"], HANDLED, most=3, silent=True)


def halves(dice: Random, target: Target) -> Attack:
    """A request that goes on no further."""
    whole = request("POST /agents/code/turns", body=hostile.written(dice, TURN), key=target.secrets.admin)
    return Attack([whole[: dice.randrange(1, len(whole))]], HANDLED, silent=True)


def departures(dice: Random, target: Target) -> Attack:
    """A request, or a stream, whose client leaves at any moment."""
    whole = dice.choice((
        request("POST /agents/code/turns", body=hostile.written(dice, TURN), key=target.secrets.admin),
        request("GET /agents/code/stream", key=target.secrets.admin),
    )) + HIDDEN  # fmt: skip
    return Attack([whole[: dice.randrange(1, len(whole))]], HANDLED, most=2, silent=True, left=True)


WEAPONS: Mapping[str, tuple[Weapon, str, int]] = {
    "bodies": (bodies, "bodies that are no JSON, or not what was asked for, of any depth and size", 6),
    "headers": (headers, "headers with any value, doubled, huge, in any letters", 6),
    "credentials": (credentials, "keys that are wrong, broken, revoked, doubled, or in the address", 6),
    "tickets": (tickets, "stream tickets for another stream, changed, doubled, as keys", 3),
    "tokens": (tokens, "forged tokens: unsigned, of other keys, issuers and audiences, expired", 2),
    "scopes": (scopes, "a key or token without the scope, on every operation", 5),
    "paths": (paths, "addresses that climb, with NUL, line ends, in any coding, with any method", 5),
    "queries": (queries, "parameters that are unknown, doubled, out of bounds", 5),
    "cursors": (cursors, "cursors that are no numbers, or too large", 2),
    "foreigners": (foreigners, "a foreign Host; writes with a foreign Origin, as a form sends them", 4),
    "smuggled": (smuggled, "requests that hide in others, cut anywhere", 5),
    "noise": (noise, "bytes of no kind, requests with changed bytes", 5),
    "halves": (halves, "requests that never end", 1),
    "departures": (departures, "clients that leave in the middle of a request, an answer or a stream", 3),
}
"""By name: what draws one, what it is, and how many of it there are among others."""
