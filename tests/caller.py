"""The service's API as tests call it: each method asserts the status that it expects and returns what was answered."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import httpx

from tests.conformance.checker import as_described
from tests.helpers import eventually

Json = dict[str, Any]
ENDED = frozenset({"completed", "timeout", "error", "cancelled"})

_numbers = count(1)


class Caller:
    """``http`` for whatever has no method here."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    async def make_agent(self, *tools: str, name: str | None = None, **fields: object) -> str:
        """A new agent of its own for a test, so that tests can share a server; its name."""
        name = name or f"agent-{next(_numbers)}"
        answer = await self.http.post("/agents", json={"name": name, "tools": list(tools), **fields})
        assert answer.status_code == 201, answer.text
        return name

    async def agent(self, name: str) -> Json:
        return self._json(await self.http.get(f"/agents/{name}"))

    async def post(self, agent: str, tool: str, *, key: str | None = None, **fields: object) -> httpx.Response:
        headers = {"Idempotency-Key": key} if key is not None else {}
        return await self.http.post(f"/agents/{agent}/turns", json={"tool": tool, **fields}, headers=headers)

    async def submit(self, agent: str, tool: str, *, key: str | None = None, **fields: object) -> Json:
        """The accepted turn."""
        return self._json(await self.post(agent, tool, key=key, **fields), 202)

    async def turn(self, turn: Json | str) -> Json:
        return self._json(await self.http.get(f"/turns/{_id(turn)}"))

    async def ended(self, turn: Json | str) -> Json:
        """The turn, once it has ended."""
        found = self._json(await self.http.get(f"/turns/{_id(turn)}", params={"wait": 30}))
        assert found["status"] in ENDED, found
        return found

    async def do(self, agent: str, tool: str, **fields: Any) -> Json:
        """Submit a turn and wait for its end."""
        return await self.ended(await self.submit(agent, tool, **fields))

    async def becomes(self, turn: Json | str, status: str) -> Json:
        async def reached() -> Json | None:
            found = await self.turn(turn)
            return found if found["status"] == status else None

        return await eventually(reached, timeout=15) or {}

    async def agent_becomes(self, name: str, status: str) -> Json:
        async def reached() -> Json | None:
            found = await self.agent(name)
            return found if found["status"] == status else None

        return await eventually(reached, timeout=30) or {}

    async def cancel(self, turn: Json, reason: str | None = None) -> httpx.Response:
        path = f"/agents/{turn['agent']}/turns/{turn['id']}/cancel"
        return await self.http.post(path, json={"reason": reason} if reason else None)

    async def turns(self, agent: str) -> list[Json]:
        return [turn async for turn in self._pages(f"/agents/{agent}/turns")]

    async def events(self, agent: str, after: int = 0) -> list[Json]:
        return [event async for event in self._pages(f"/agents/{agent}/events", after)]

    async def of_turn(self, turn: Json) -> list[Json]:
        """The events of one turn."""
        return [event for event in await self.events(turn["agent"]) if event["turn_id"] == turn["id"]]

    async def _pages(self, path: str, after: object = None) -> AsyncIterator[Json]:
        while True:
            params = {"limit": "1000", **({} if after is None else {"after": str(after)})}
            page = self._json(await self.http.get(path, params=params))
            for item in page["items"]:
                yield item
            after = page["next"]
            if after is None:
                return

    def _json(self, answer: httpx.Response, status: int = 200) -> Json:
        assert answer.status_code == status, f"{answer.status_code}: {answer.text}"
        found: Json = answer.json()
        return found


class AskingAgain(httpx.AsyncHTTPTransport):
    """Sends a GET once more if the connection was closed before anything was answered.

    A server may close an idle connection at any time, also while a request is on its way on it: whoever goes on using
    connections beyond the end of a process has to be ready for that (RFC 9112 §9.3.1).
    """

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        try:
            return await super().handle_async_request(request)
        except (httpx.RemoteProtocolError, httpx.ReadError):
            if request.method != "GET":
                raise
            return await super().handle_async_request(request)


@asynccontextmanager
async def calling(url: str, key: str | None = None, *, across_restarts: bool = False) -> AsyncIterator[Caller]:
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    checks = {"response": [as_described]}
    headers = {"Authorization": f"Bearer {key}"} if key is not None else {}
    transport = AskingAgain(limits=limits) if across_restarts else None
    async with httpx.AsyncClient(
        base_url=url, timeout=40, limits=limits, trust_env=False, event_hooks=checks, headers=headers,
        transport=transport,
    ) as http:  # fmt: skip
        yield Caller(http)


def _id(turn: Json | str) -> str:
    return turn if isinstance(turn, str) else str(turn["id"])
