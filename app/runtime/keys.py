"""Making and revoking keys, and what follows from it at once: who is admitted, and whose streams end."""

import asyncio
import json
from collections.abc import Callable, Sequence

from ..access.commands import CreateKey, KeyReply, RevokeKey
from ..access.records import NO_LIMITS, AccessKey, Actor, Entry, KeyLimits
from ..auth import NOBODYS_STREAMS, Gate, digest_of, new_token
from ..grants import Grant
from ..ports import Store

LOOK_SECONDS = 1.0
"""How often it is looked whether the time of a key is over."""


class Keys:
    """``end_streams`` ends those that were opened with the key of an id. Construct it anywhere, use it on one loop."""

    def __init__(self, *, store: Store, gate: Gate, end_streams: Callable[[str], None]) -> None:
        self._store, self._gate, self._end_streams = store, gate, end_streams
        self._looking: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        """Learn the keys of the store."""
        self._gate.put(*await self._store.all_keys())
        self._look()

    def stop(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None

    async def create(
        self,
        name: str,
        grants: Sequence[Grant],
        *,
        expires_at: int | None,
        actor: Actor,
        limits: KeyLimits = NO_LIMITS,
    ) -> tuple[AccessKey, str]:
        """The key as it is stored, and its secret, which nobody can ever tell again. Raises NoAdminKey."""
        id_, token = new_token()
        key = AccessKey(id_, name, digest_of(token), tuple(dict.fromkeys(grants)), 0, expires_at, limits=limits)
        own = {limit: value for limit, value in limits._asdict().items() if value is not None}
        details = {"name": name, "scopes": [str(grant) for grant in key.grants], **own}
        entry = Entry(actor, "createKey", id_, json.dumps(details, ensure_ascii=False))
        return await self._execute(CreateKey(key, entry, self._gate.has_admin_elsewhere)), token

    async def revoke(self, id: str, *, actor: Actor) -> AccessKey:
        """Durable when it returns; the next request with the key is refused, its streams end. Raises KeyNotFound."""
        return await self._execute(RevokeKey(id, Entry(actor, "revokeKey", id)))

    async def _execute(self, command: CreateKey | RevokeKey) -> AccessKey:
        """What is committed takes effect here, also if whoever has asked for it does not wait for it any more."""
        done = self._store.execute(command)
        done.add_done_callback(self._take)
        return (await asyncio.shield(done)).key

    def _take(self, done: "asyncio.Future[KeyReply]") -> None:
        if done.cancelled() or done.exception() is not None:
            return
        key, was_open = done.result().key, self._gate.open
        self._gate.put(key)
        if key.revoked_at is not None:
            self._end_streams(key.id)
        if was_open:
            self._end_streams(NOBODYS_STREAMS)
        if self._looking is None:
            self._look()

    def _look(self) -> None:
        """By the clock, which may be set, and so again and again; only while there is a key with an end."""
        again = self._gate.expires()  # asked first: whose time is over by now is among those that have expired
        for id_ in self._gate.expired():
            self._end_streams(id_)
        self._looking = asyncio.get_running_loop().call_later(LOOK_SECONDS, self._look) if again else None
