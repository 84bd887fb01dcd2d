"""A finished answer as an ASGI application: starlette's ``Response`` without what the hot routes do not need."""

from msgspec import Struct
from starlette.types import Receive, Scope, Send

RawHeader = tuple[bytes, bytes]

JSON: RawHeader = (b"content-type", b"application/json")


class Answer(Struct, frozen=True):
    """``headers`` have lower-case names; ``Content-Length`` is added."""

    status: int
    body: bytes
    headers: tuple[RawHeader, ...] = (JSON,)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [*self.headers, (b"content-length", b"%d" % len(self.body))]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})
