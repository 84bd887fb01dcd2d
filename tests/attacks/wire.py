"""Bytes as they are, to the service and back: an HTTP client would tidy what an attack is made of."""

import asyncio
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

PATIENCE = 20.0
"""Seconds within which the service ends every exchange by itself: its own bounds are a fraction of that here."""
STREAM_SECONDS = 0.1
"""How long an answer without end is looked at."""
STREAM = b"\r\ncontent-type: text/event-stream"
PAUSE = 0.002
"""Between pieces, so that the service reads them one by one."""


class Answer(NamedTuple):
    status: int
    headers: Mapping[bytes, bytes]
    body: bytes


class Exchange(NamedTuple):
    """What was received, and whether the service ended the connection (else we did: it was a stream, or too late)."""

    received: bytes
    ended: bool

    @property
    def answers(self) -> list[Answer]:
        """All of them, one after the other, without interim ones. Raises ValueError for bytes that are none."""
        return [answer for answer in _answers(self.received) if answer.status >= 200]


async def exchange(port: int, pieces: Sequence[bytes], *, patience: float = PATIENCE) -> Exchange:
    """Send the pieces, and read until the service closes. A stream is left after a moment."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    received, ended = b"", False
    try:
        async with asyncio.timeout(patience):
            with suppress(ConnectionError):  # what was received before a reset can be read all the same
                for number, piece in enumerate(pieces):
                    if number:
                        await asyncio.sleep(PAUSE)
                    writer.write(piece)
                    await writer.drain()
            while not ended:
                wait = asyncio.timeout(STREAM_SECONDS if STREAM in received else None)
                async with wait:
                    got = await reader.read(65536)
                received, ended = received + got, not got
    except ConnectionError:
        ended = True
    except TimeoutError:
        pass
    finally:
        writer.transport.abort()
    return Exchange(received, ended)


def _answers(received: bytes) -> Iterator[Answer]:
    while received:
        head, separator, rest = received.partition(b"\r\n\r\n")
        first, *fields = head.split(b"\r\n")
        found = re.fullmatch(rb"HTTP/1\.1 ([1-5]\d\d) [ -~]*", first)
        if found is None or not separator:
            raise ValueError(f"this is no answer: {received[:200]!r}")
        headers = {name.lower(): value.strip() for name, _, value in (field.partition(b":") for field in fields)}
        body, received = _body(headers, rest)
        yield Answer(int(found[1]), headers, body)


def _body(headers: Mapping[bytes, bytes], rest: bytes) -> tuple[bytes, bytes]:
    """The body, and what comes after it. One that is cut off is what there is of it."""
    if headers.get(b"transfer-encoding") != b"chunked":
        length = int(headers.get(b"content-length", b"0"))
        if rest.startswith(b"HTTP/1.1 "):  # the answer to HEAD tells a length and has no body
            return b"", rest
        return rest[:length], rest[length:]
    body = b""
    while rest:
        size, separator, rest = rest.partition(b"\r\n")
        if not separator:
            return body, b""
        length = int(size, 16)
        body, rest = body + rest[:length], rest[length + 2 :]
        if length == 0:
            return body, rest
    return body, b""
