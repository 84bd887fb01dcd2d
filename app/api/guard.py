"""What every request passes first, as one plain ASGI layer: Host, Origin, key, scope, size; and what every answer has.

The order is the threat's: a page of somebody else's that reaches this port by DNS rebinding shows a foreign Host
(CVE-2025-66414 and its kin), by a cross-site write a foreign Origin; only then is the caller asked for a key, and the
key for what it allows. Probes are let in, because those who send them know neither the name nor the key.
"""

import asyncio
import ipaddress
import logging
import re
from collections.abc import Callable, Iterable, Sequence
from time import perf_counter
from typing import Protocol

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..access.records import NO_LIMITS
from ..auth import ANYBODY, Principal
from ..clock import new_id
from ..errors import (
    BodyTooLarge,
    ForeignOrigin,
    MisdirectedHost,
    NotFound,
    RateLimited,
    ServiceError,
    StoreFull,
    Unavailable,
)
from ..logs.about import answering
from ..urls import HOST
from . import scopes
from .caller import ADMISSION, CALLER, PRINCIPAL, REQUEST_ID
from .cors import PREFLIGHT, Cors
from .entrance import SAFE_METHODS, Entrance, further_of
from .handover import HANDOVER
from .head import STREAMS
from .heads import HEADS, Heads, gather
from .own_address import is_own_address
from .presented import presented
from .problems import NOWHERE, answer_of, response, unexpected
from .services import Tickets
from .streams import not_now
from .turnstile import Turnstile

PROBES = frozenset({"/healthz", "/readyz"})
LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "[::1]")


class Given(Protocol):
    """What a request was answered: ``size`` in bytes of content. Status 0: its client has left before that."""

    status: int
    size: int
    headers: list[tuple[bytes, bytes]]


Ended = Callable[[Scope, Given, float], None]
"""Hears of every request that was answered, or whose stream was opened, and how many seconds that took."""

LINGER_BYTES, LINGER_SECONDS = 8 * 1024 * 1024, 2.0
"""How much of a refused body is thrown away, and for how long: closing at once would reset the connection under the
client's feet before it has read the answer."""

NOSNIFF = (b"x-content-type-options", b"nosniff")
"""An answer is what its Content-Type says, though a browser may think that it looks like a page."""

_HOST = re.compile(HOST.pattern.encode())
_REQUEST_ID = re.compile(rb"[!-~]{1,128}")
log = logging.getLogger(__name__)


def bound_hosts(host: str) -> tuple[str, ...]:
    """The Hosts that mean the address ``host``, which is listened on; none if that is every address (``0.0.0.0``)."""
    plain = host.strip("[]")
    try:
        address = ipaddress.ip_address(plain)
    except ValueError:
        return (plain,)
    if address.is_unspecified:
        return ()
    return tuple(f"[{text}]" if address.version == 6 else text for text in (plain, str(address)))


class _TooLarge(Exception):
    """A body grew over the limit while it was read. Private, so that no handler on the way answers it."""


class Guard:
    """``any_host`` turns the check of Host off: for a service that others reach by names that it was not told."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        entrance: Entrance,
        tickets: Tickets,
        turnstile: Turnstile,
        max_body: int,
        allowed_hosts: Iterable[str],
        any_host: bool,
        cors: Cors,
        ended: Ended = lambda scope, given, seconds: None,
    ) -> None:
        self._cors, self._ended = cors, ended
        self._app, self._entrance, self._tickets, self._max_body = app, entrance, tickets, max_body
        self._turnstile = turnstile
        self._any_host = any_host
        self._hosts = frozenset(host.lower().encode() for host in (*LOOPBACK_HOSTS, *allowed_hosts))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._other(scope, receive, send)
            return
        headers = scope[HEADS] = gather(scope["headers"])
        request_id = scope[REQUEST_ID] = _request_id(headers)
        answering.set(request_id)
        further = self._cors.headers(headers.get(b"origin", ())) if self._cors else ()
        answer, began = _Answer(send, request_id, further), perf_counter()
        try:
            if self._cors and self._is_preflight(scope, headers):
                await answer.send({"type": "http.response.start", "status": 204, "headers": list(PREFLIGHT)})
                await answer.send({"type": "http.response.body", "body": b""})
                return
            principal = self._admit(scope, headers) or await self._entrance.by_token(scope, headers)
            if principal is None:
                await self._by_ticket(scope, receive, answer)
                return
            scope[PRINCIPAL], scope[CALLER] = principal, principal.id
            if (self._turnstile.counts or principal.limits is not NO_LIMITS) and not _is_uncounted(scope):
                answer.further += self._turnstile.enter(scope, principal)
            answer.further += further_of(principal)
            if not principal.everything:
                scopes.check(principal, scope["method"], scope["path"])
            counted = self._counted(receive) if b"transfer-encoding" in headers else receive
            await self._app(scope, counted, answer.send)
        except (_TooLarge, BodyTooLarge) as error:
            await self._refuse_body(receive, answer, error if isinstance(error, BodyTooLarge) else self._too_large())
        except ServiceError as error:
            if answer.started:
                raise
            await self._refuse(error, scope, receive, answer)
        except ClientDisconnect:  # in the middle of its body: nobody is there to be answered
            return
        except Exception:
            log.exception("request %s failed: %s %r", request_id.decode(), scope["method"], scope["path"])
            if answer.started:
                raise
            await unexpected(request_id.decode())(scope, receive, answer.send)
        finally:
            self._ended(scope, answer, perf_counter() - began)

    async def _other(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await self._app(scope, receive, send)

    # --- who may come in ---------------------------------------------------------------------------------------------

    def _admit(self, scope: Scope, headers: Heads) -> Principal | None:
        """The caller; None if it has sent a ticket, or a token that is not known yet.

        Raises ``ServiceError`` for a request that must not go further.
        """
        caller: Principal | None = ANYBODY
        if scope["path"] not in PROBES:
            self._check_host(scope, headers.get(b"host", []))
            if scope["method"] not in SAFE_METHODS and b"origin" in headers:
                self._check_origin(headers[b"origin"], headers.get(b"host", []))
            caller = self._entrance.admit(scope, headers)
            if scope["path"].endswith("\n"):  # the router's patterns end before it
                raise NotFound(NOWHERE)
        for length in headers.get(b"content-length", ()):
            if not length.isdigit() or len(length) > 18 or int(length) > self._max_body:
                raise self._too_large()
        return caller

    def _is_preflight(self, scope: Scope, headers: Heads) -> bool:
        """It has no key in it, and asks for nothing but what may be asked for. Raises MisdirectedHost."""
        asks = scope["method"] == "OPTIONS" and b"access-control-request-method" in headers
        if not asks or not self._cors.allows(headers.get(b"origin", ())):
            return False
        self._check_host(scope, headers.get(b"host", []))
        return True

    def _check_host(self, scope: Scope, hosts: Sequence[bytes]) -> None:
        match = _HOST.fullmatch(hosts[0]) if len(hosts) == 1 else None
        if match is None:
            raise MisdirectedHost("The request needs one valid Host header.")
        known = self._any_host or match[1].lower() in self._hosts or match[0].lower() in self._hosts
        if not known and not is_own_address(scope, match[0].decode()):
            raise MisdirectedHost(
                f"{match[0].decode()} is not served here. If it is a name of this service, add it to allowed_hosts "
                "(PYGENTS_ALLOWED_HOSTS)."
            )

    def _check_origin(self, origins: Sequence[bytes], hosts: Sequence[bytes]) -> None:
        """The page's own origin is fine: by either scheme, it is the Host that the request was sent to."""
        own = [scheme + hosts[0].lower() for scheme in (b"http://", b"https://")] if hosts else []
        if not (len(origins) == 1 and origins[0].lower() in own) and not self._cors.allows(origins):
            raise ForeignOrigin(
                "Only pages of this service's own origin may write, and those of cors_origins (PYGENTS_CORS_ORIGINS). "
                "A program should send no Origin."
            )

    async def _by_ticket(self, scope: Scope, receive: Receive, answer: "_Answer") -> None:
        """The ticket is left when the connection is over: here, or by whoever the open stream was handed over to."""
        asked = presented(scope)
        try:
            admission = await self._tickets.redeem(asked.token, asked.path, asked.agent)
        except (StoreFull, Unavailable):  # an EventSource would never come back after another status
            await not_now(answer.send)
            return
        scope[PRINCIPAL], scope[CALLER], scope[ADMISSION] = admission.principal, admission.principal.id, admission
        try:
            answer.further += self._turnstile.enter(scope, admission.principal)
            await self._app(scope, receive, answer.send)
        finally:
            handover = scope.get(HANDOVER)
            if handover is None or handover.follow is None:
                admission.leave()

    async def _refuse(self, error: ServiceError, scope: Scope, receive: Receive, answer: "_Answer") -> None:
        """A rate is something that passes: a stream is told so, because after a 429 an EventSource never comes back."""
        if isinstance(error, RateLimited) and scope["method"] in SAFE_METHODS and scope["path"].endswith(STREAMS):
            await not_now(answer.send, "busy")
        else:
            await answer_of(error)(scope, receive, answer.send)

    # --- how much may come in ----------------------------------------------------------------------------------------

    def _counted(self, receive: Receive) -> Receive:
        """``receive`` for a body whose length was not told: it is counted as it comes."""
        size = 0

        async def counted() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > self._max_body:
                raise _TooLarge
            return message

        return counted

    async def _refuse_body(self, receive: Receive, answer: "_Answer", error: BodyTooLarge) -> None:
        """Answer 413, then read on for a while and throw it away, then close the connection."""
        if answer.started:
            raise error
        refusal = response(error)
        headers = [*refusal.raw_headers, (b"connection", b"close")]
        await answer.send({"type": "http.response.start", "status": refusal.status_code, "headers": headers})
        await answer.send({"type": "http.response.body", "body": refusal.body, "more_body": True})
        await _linger(receive)
        await answer.send({"type": "http.response.body", "body": b""})

    def _too_large(self) -> BodyTooLarge:
        return BodyTooLarge(f"A body may have {self._max_body} bytes (max_body).", limit=self._max_body)


class _Answer:
    """``send`` with the headers that every answer carries. A plain function that hands on the server's own awaitable:
    nothing is added to the cost of a stream's later frames."""

    __slots__ = ("_request_id", "_send", "further", "headers", "size", "status")

    def __init__(self, send: Send, request_id: bytes, further: tuple[tuple[bytes, bytes], ...]) -> None:
        self._send, self._request_id, self.further = send, request_id, further
        self.status = self.size = 0
        self.headers: list[tuple[bytes, bytes]] = []

    @property
    def started(self) -> bool:
        return self.status > 0

    def send(self, message: Message) -> "asyncio.Future[None]":
        if message["type"] == "http.response.body":
            self.size += len(message.get("body", b""))
        elif message["type"] == "http.response.start":
            self.status = message["status"]
            headers = self.headers = list(message.get("headers", ()))
            headers += ((b"x-request-id", self._request_id), NOSNIFF)
            headers += self.further
            for name, _ in headers:
                if name == b"cache-control":
                    break
            else:
                headers.append((b"cache-control", b"no-store"))
            message["headers"] = headers
        return self._send(message)  # type: ignore[return-value]


def _request_id(headers: Heads) -> bytes:
    match headers.get(b"x-request-id"):
        case [given] if _REQUEST_ID.fullmatch(given):
            return given
        case _:
            return new_id().encode()


def _is_uncounted(scope: Scope) -> bool:
    """Probes are, and to sign out, which must always be possible."""
    path: str = scope["path"]
    return path in PROBES or (path == "/session" and scope["method"] == "DELETE")


async def _linger(receive: Receive) -> None:
    thrown_away = 0
    try:
        async with asyncio.timeout(LINGER_SECONDS):
            while thrown_away < LINGER_BYTES:
                message = await receive()
                thrown_away += len(message.get("body", b""))
                if not message.get("more_body"):
                    return
    except TimeoutError:
        return
