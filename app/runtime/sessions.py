"""Browsers that are signed in: each has a token in a cookie, and is let in by what it was signed in with.

They are few, and each of their requests asks for one: nothing is read from the store on its way.
"""

import asyncio
import logging
import secrets
from asyncio import Future
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..access import rules
from ..access.commands import BeginSession, EndSession, SessionReply, UseSession
from ..access.records import Entry, Session
from ..auth import ADMIN, SESSION, Gate, Principal
from ..clock import Clock, system_clock
from ..grants import parse_grant
from ..ports import Store

LOOK_SECONDS = 2.0
"""How often it is looked whether the time of a session is over, while there is one."""
NOTE_SECONDS = 600
"""A browser that is busy is noted in the store as often as that, so that reading costs no write each time."""
log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Open:
    """``noted_at``: as of when the store knows that it is used. ``proven``: its token was seen by this process."""

    session: Session
    noted_at: int
    proven: bool
    principal: Principal | None = None


class Sessions:
    """``end_streams`` ends those that are held by an id. Construct it anywhere, use it on one loop."""

    def __init__(
        self, *, store: Store, gate: Gate, end_streams: Callable[[str], None], clock: Clock = system_clock
    ) -> None:
        self._store, self._gate, self._end_streams, self._clock = store, gate, end_streams, clock
        self._open: dict[bytes, _Open] = {}
        self._of_key: dict[str, set[bytes]] = {}
        self._looking: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        """Learn the sessions of the store, once the gate knows its keys."""
        for session in await self._store.all_sessions():
            self._remember(session, proven=session.key != ADMIN)
        self._look()

    def stop(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None

    # --- who is let in -----------------------------------------------------------------------------------------------

    def find(self, token: bytes) -> Principal | None:
        """Who was signed in with this token, if that is still valid. The session counts as used now."""
        for holder in ("", ADMIN):
            found = self._open.get(self._gate.digest_bound(token, holder))
            if found is not None:
                found.proven = True
                principal = self._principal(found)
                if principal is not None:
                    self._use(found)
                return principal
        return None

    def by_holder(self, id: str) -> Principal | None:
        """As the gate's, also for a session's: the caller that has this ``Principal.holder``, if it is valid now.

        What a session of the settings' key has given out counts again when its browser was heard of: until then nobody
        knows whether that key is the same as before.
        """
        if not id.startswith(SESSION):
            return self._gate.by_holder(id)
        found = self._open.get(bytes.fromhex(id.removeprefix(SESSION)))
        return self._principal(found) if found is not None and found.proven else None

    def digest_bound(self, token: bytes, holder: str) -> bytes:
        """As the gate's."""
        return self._gate.digest_bound(token, holder)

    def _principal(self, found: _Open) -> Principal | None:
        session = found.session
        caller = self._gate.by_holder(session.key)
        if caller is None or rules.is_over(session, self._clock()):
            return None
        if found.principal is None:
            if caller.credential:  # a token, which is not there to say what it allows
                try:
                    grants = [parse_grant(text) for text in session.scopes.split()]
                except ValueError:  # of a later version, which knows more scopes
                    return None
                caller = Principal.of(caller.id, session.name, grants)
            found.principal = replace(caller, credential=_id(session.digest), until=session.until)
        return found.principal

    def _use(self, found: _Open) -> None:
        now = self._clock()
        found.session = replace(found.session, used_at=now)
        if now - found.noted_at >= NOTE_SECONDS * rules.SECOND:
            found.noted_at = now
            self._store.execute(UseSession(found.session.digest)).add_done_callback(_noted)

    # --- in and out --------------------------------------------------------------------------------------------------

    async def begin(
        self, principal: Principal, scopes: Sequence[str], *, entry: Entry | None = None, replaces: bytes = b""
    ) -> tuple[str, Principal]:
        """The token of a new session, and its caller; ``replaces`` is the token of the one that the browser had.

        If the key has too many, those that were least lately used end.
        """
        token = "pys_" + secrets.token_hex(32)
        digest = self._gate.digest_bound(token.encode(), principal.holder)
        said = (principal.name, " ".join(scopes)) if principal.credential else ("", "")
        session = Session(digest, principal.holder, self._gate.end_of(principal), 0, *said)
        before = self._digest(replaces)
        done = self._store.execute(BeginSession(session, entry, before))
        done.add_done_callback(self._begun)
        began = (await asyncio.shield(done)).session
        return token, replace(principal, credential=_id(digest), until=began.until)

    async def end(self, principal: Principal, entry: Entry | None = None) -> None:
        """Durable when it returns: the next request with the cookie is refused, the streams of the session end."""
        digest = bytes.fromhex(principal.credential.removeprefix(SESSION))
        done = self._store.execute(EndSession(digest, entry))
        done.add_done_callback(lambda ended: None if _failed(ended) else self._forget(digest))
        await asyncio.shield(done)

    def end_streams(self, id: str) -> None:
        """End those that are held by ``id``, which is void, and by the sessions that were begun with it."""
        self._end_streams(id)
        for digest in tuple(self._of_key.get(id, ())):
            self._forget(digest)

    def _begun(self, done: "Future[SessionReply]") -> None:
        """What is committed takes effect here, also if whoever has asked for it does not wait for it any more."""
        if _failed(done):
            return
        session, ended = done.result()
        self._remember(session, proven=True)
        for digest in ended:
            self._forget(digest)
        if self._looking is None:
            self._look()

    def _digest(self, token: bytes) -> bytes:
        """Of the session that has this token; b"" if none has."""
        known = (self._gate.digest_bound(token, holder) for holder in ("", ADMIN))
        return next((digest for digest in known if digest in self._open), b"") if token else b""

    def _remember(self, session: Session, *, proven: bool) -> None:
        self._open[session.digest] = _Open(session, session.used_at, proven)
        self._of_key.setdefault(session.key, set()).add(session.digest)

    def _forget(self, digest: bytes) -> None:
        if (found := self._open.pop(digest, None)) is None:
            return
        others = self._of_key[found.session.key]
        others.discard(digest)
        if not others:
            del self._of_key[found.session.key]
        self._end_streams(_id(digest))

    def _look(self) -> None:
        """By the clock, which may be set, and so again and again; only while anybody is signed in."""
        for digest in [digest for digest, found in self._open.items() if self._principal(found) is None]:
            self._forget(digest)
        again = bool(self._open)
        self._looking = asyncio.get_running_loop().call_later(LOOK_SECONDS, self._look) if again else None


def _id(digest: bytes) -> str:
    """``Principal.credential``, from which the digest can be had again."""
    return SESSION + digest.hex()


def _failed(done: "Future[Any]") -> bool:
    return done.cancelled() or done.exception() is not None


def _noted(done: "Future[Any]") -> None:
    """If it was not, the session ends a little earlier after a restart; the next request tries again, later."""
    if _failed(done):
        log.debug("the use of a session could not be noted")
