"""A file as an answer, piece by piece: it is never in memory as a whole."""

import asyncio
import os
from typing import BinaryIO

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from .documents import SQLITE

PIECE = 256 * 1024


class Download(Response):
    """Closes ``file``, whatever happens on the way."""

    media_type = SQLITE

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file = file
        headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
        super().__init__(headers=headers)
        self.headers["Content-Length"] = str(os.fstat(file.fileno()).st_size)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._file:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            while piece := await asyncio.to_thread(self._file.read, PIECE):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
