"""What the routes work with. ``main`` constructs it; the routes find it in ``app.state``."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol, cast

from msgspec import Struct
from starlette.requests import Request

from pygents_core.tool import Tool

from ..access.records import AccessKey, Actor, Entry, KeyLimits
from ..auth import Gate, Principal
from ..commands import AgentReply, Cancelled, Cascade, Enqueued
from ..grants import Grant
from ..model import Asker, Definition
from ..ports import Store
from ..rates import Rates
from ..runtime.requests import TurnRequest
from ..runtime.tickets import Admission
from ..settings import Settings
from ..streaming.hub import Hub
from ..telemetry import Emit, silent
from ..tracing.port import Tracing

Trouble = Literal["blocked", "stuck"]
"""``blocked``: code of the agent's turn blocks its event loop. ``stuck``: it does not stop although it was told to."""


class Submission(Protocol):
    """The one way into a mailbox, and out of it again."""

    async def submit(
        self,
        agent: str,
        requests: Sequence[TurnRequest],
        *,
        caller: str = "",
        key: str | None = None,
        digest: bytes = b"",
        batch: bool = False,
        asker: Asker | None = None,
    ) -> Enqueued: ...

    async def retry(
        self, agent: str, turn_id: str, *, caller: str = "", key: str | None = None, asker: Asker | None = None
    ) -> Enqueued: ...

    async def cancel(
        self,
        agent: str,
        turn_id: str,
        *,
        by: str,
        reason: str | None,
        cascade: Cascade | None = None,
        entry: Entry | None = None,
    ) -> Cancelled: ...


class Administration(Protocol):
    """Making and changing agents."""

    async def create(self, definition: Definition, entry: Entry | None = None) -> AgentReply: ...

    async def patch(self, name: str, changes: Mapping[str, Any], entry: Entry | None = None) -> AgentReply: ...

    async def pause(self, name: str, entry: Entry | None = None) -> AgentReply: ...

    async def resume(self, name: str, entry: Entry | None = None) -> AgentReply: ...

    async def delete(self, name: str, *, by: str, force: bool, entry: Entry | None = None) -> AgentReply: ...


class Keys(Protocol):
    async def create(
        self, name: str, grants: Sequence[Grant], *, expires_at: int | None, actor: Actor, limits: KeyLimits = ...
    ) -> tuple[AccessKey, str]: ...

    async def revoke(self, id: str, *, actor: Actor) -> AccessKey: ...


class Tickets(Protocol):
    async def issue(self, principal: Principal, agents: Sequence[str]) -> tuple[str, int]: ...

    async def redeem(self, token: str, path: str, agent: str) -> Admission: ...


class Sessions(Protocol):
    """Browsers that are signed in."""

    def find(self, token: bytes) -> Principal | None: ...

    def by_holder(self, id: str) -> Principal | None:
        """Of a session, or of whatever else admits a caller: who has this ``Principal.holder`` now."""
        ...

    async def begin(
        self, principal: Principal, scopes: Sequence[str], *, entry: Entry | None = None, replaces: bytes = b""
    ) -> tuple[str, Principal]: ...

    async def end(self, principal: Principal, entry: Entry | None = None) -> None: ...


class Tokens(Protocol):
    """Those of an issuer, beside keys."""

    async def admit(self, token: bytes, *, may_verify: Callable[[], None]) -> Principal: ...


class Catalogue(Protocol):
    def tools(self) -> Mapping[str, Tool]:
        """The tools that are registered in this process, by name."""
        ...


class Dispatcher(Protocol):
    @property
    def draining(self) -> bool: ...

    @property
    def exhausted(self) -> bool:
        """Whether code that blocks its event loop has as many workers as there may be."""
        ...

    def trouble(self, agent: str) -> Trouble | None: ...

    def waits_for_lock(self, turn_id: str) -> bool: ...


class Metrics(Protocol):
    async def text(self, *, ready: bool) -> bytes:
        """All metrics as they are now, in the format of Prometheus."""
        ...


class Services(Struct, frozen=True):
    """``node`` is this process's id; ``engine`` names the database and its version.

    ``code_agents`` are the agents of the code; a stored one of the code that is not among them is gone from it.
    """

    store: Store
    hub: Hub
    submission: Submission
    administration: Administration
    gate: Gate
    keys: Keys
    sessions: Sessions
    tickets: Tickets
    catalogue: Catalogue
    dispatcher: Dispatcher
    settings: Settings
    metrics: Metrics
    rates: Rates
    node: str
    tokens: Tokens | None = None
    engine: str = ""
    emit: Emit = silent
    code_agents: frozenset[str] = frozenset()
    tracing: Tracing | None = None


def services(request: Request) -> Services:
    return cast(Services, request.app.state.services)
