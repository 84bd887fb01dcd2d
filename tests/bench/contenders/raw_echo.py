"""The least that any server on uvicorn does for a POST: read the body, and answer it with a few headers."""

from starlette.types import Receive, Scope, Send


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers as long as what the service answers to a submit. The body is expected to come whole."""
    body = (await receive()).get("body", b"")
    answer = b"%-760b" % body
    headers = [
        (b"content-length", b"%d" % len(answer)),
        (b"content-type", b"application/json"),
        (b"location", b"/agents/a0/turns/00000000-0000-7000-8000-000000000000"),
        (b"cache-control", b"no-store"),
        (b"x-request-id", b"00000000-0000-7000-8000-000000000000"),
    ]
    await send({"type": "http.response.start", "status": 202, "headers": headers})
    await send({"type": "http.response.body", "body": answer})
