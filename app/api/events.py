"""``GET /agents/{name}/events``: the same events as on the stream, as JSON pages."""

from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..errors import AgentNotFound, Damaged
from ..model import EventType
from ..ports import Reads
from ..streaming.sse import event_json, parse_cursor
from .event_query import count_of, query_of, types_of

PARAMETERS = frozenset({"after", "limit", "types"})
READ_AT_ONCE = 100
PAGE_BYTES = 1024 * 1024
"""A page ends early when it is this large: events may have 256 KiB each."""
MAX_SCAN = 5000
"""A page ends early when a filter has passed over so many events, so that no request reads a whole log."""


class EventPage(NamedTuple):
    """``next`` is the cursor of the next page, None at the end of the log. A page may have less than was asked for."""

    items: list[bytes]
    next: int | None

    def to_json(self) -> bytes:
        return b'{"items":[%s],"next":%s}' % (b",".join(self.items), str(self.next or "null").encode())


class Events:
    """The endpoint. ``after`` is a seq; what retention has removed is skipped, as the seqs show."""

    def __init__(self, *, reads: Reads) -> None:
        self._reads = reads

    async def get(self, request: Request) -> Response:
        query = query_of(request.scope["query_string"], PARAMETERS)
        after = parse_cursor(query.get("after", "")) or 0
        limit = count_of(query, "limit") or 100
        types = types_of(query)
        name = request.path_params["name"]
        listed = await self._reads.get_agent(name)
        if listed is None:
            raise AgentNotFound(f"there is no agent {name!r}")
        # Below that lies what was pruned, and perhaps the log of a deleted agent that had the name before.
        begin = max(after, listed.head.earliest - 1)
        page = await self._page(name, begin, limit, types, listed.head.latest)
        return Response(page.to_json(), media_type="application/json", headers={"Cache-Control": "no-store"})

    async def _page(
        self, name: str, cursor: int, limit: int, types: frozenset[EventType] | None, latest: int
    ) -> EventPage:
        items: list[bytes] = []
        size = scanned = 0
        while True:
            try:
                events = await self._reads.read_events(name, cursor, READ_AT_ONCE)
            except Damaged:
                if items:  # what is intact first; the next page tells the rest
                    return EventPage(items, cursor)
                raise
            for event in events:
                if len(items) == limit or size >= PAGE_BYTES or scanned >= MAX_SCAN:
                    return EventPage(items, cursor)
                cursor = event.seq
                scanned += 1
                if types is None or event.type in types:
                    items.append(event_json(event))
                    size += len(items[-1])
            if cursor >= latest or not events:
                return EventPage(items, None)


def event_routes(*, reads: Reads) -> list[Route]:
    return [Route("/agents/{name}/events", Events(reads=reads).get, methods=["GET"], name="events")]
