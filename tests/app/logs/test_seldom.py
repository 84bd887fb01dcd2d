"""What anybody can cause does not fill the log."""

import logging
import socket
from pathlib import Path

from pygents_app.logs.seldom import SECONDS, Seldom
from pygents_app.server import GARBAGE
from tests.helpers import eventually_sync
from tests.service import serving


def test_once_in_a_while_with_how_many_there_were() -> None:
    now = 0.0
    seldom = Seldom("text", clock=lambda: now)

    def passed(text: str) -> str | None:
        record = logging.LogRecord("uvicorn.error", logging.WARNING, __file__, 1, text, (), None)
        return record.getMessage() if seldom.filter(record) else None

    assert [passed("text"), passed("text"), passed("another"), passed("text")] == ["text", None, "another", None]
    now = SECONDS
    assert [passed("text"), passed("text")] == ["text (2 more since the last such line)", None]


def test_garbage_on_many_connections(tmp_path: Path) -> None:
    with serving(tmp_path, "--demo") as service:
        for _ in range(30):
            with socket.create_connection(("127.0.0.1", service.port), timeout=20) as connection:
                connection.sendall(b"\x16\x03\x01 no HTTP at all\r\n\r\n")
                assert connection.recv(12) == b"HTTP/1.1 400"
        eventually_sync(lambda: GARBAGE in service.log)
        assert service.log.count(GARBAGE) < 15
