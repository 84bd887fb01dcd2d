"""``pygents health`` as a process: its exit code, and the one line that it says."""

import json
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import pytest

from pygents_app.cli.health import MOST_BYTES
from tests.helpers import eventually_sync, free_port
from tests.service import COMMAND, serving

NOBODY = {name: value for name, value in os.environ.items() if not name.startswith("PYGENTS_")}


def health(folder: Path, *arguments: str, **environ: object) -> tuple[int, str]:
    """Exit code and line; the line is on stdout if all is well, else on stderr."""
    variables = {name: str(value) for name, value in environ.items()}
    ended = subprocess.run(
        [str(COMMAND), "health", *arguments], cwd=folder, env=NOBODY | variables, capture_output=True, text=True,
        timeout=30, check=False,
    )  # fmt: skip
    said, other = (ended.stdout, ended.stderr) if ended.returncode == 0 else (ended.stderr, ended.stdout)
    assert not other
    (line,) = said.splitlines()
    return ended.returncode, line


@contextmanager
def answering(status: int, body: bytes) -> Iterator[int]:
    """A server that gives this answer once; its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        yield server.server_port
        thread.join()


class TestService:
    def test_it_is_ready_then_drains_then_is_gone(self, tmp_path: Path) -> None:
        with serving(tmp_path, "--demo", settings={"drain": 20}) as service:
            assert health(tmp_path, PYGENTS_PORT=service.port) == (0, f"{service.url} is ready.")
            assert health(tmp_path, "--url", service.url + "/") == (0, f"{service.url}/ is ready.")
            turn = {"tool": "count", "kwargs": {"to": 1000}}
            submitted = httpx.post(f"{service.url}/agents/counter/turns", json=turn, trust_env=False)
            assert submitted.status_code == 202
            service.signal(signal.SIGTERM)
            ready = f"{service.url}/readyz"
            eventually_sync(lambda: httpx.get(ready, trust_env=False).status_code == 503)
            draining = health(tmp_path, PYGENTS_PORT=service.port)
            assert draining == (1, f"{service.url} is not ready: draining.")
            service.kill()
            code, line = health(tmp_path, PYGENTS_PORT=service.port)
            assert (code, line) == (1, f"{service.url} cannot be reached: Connection refused.")

    def test_the_settings_are_those_of_the_service(self, tmp_path: Path) -> None:
        port = free_port()
        (tmp_path / ".env").write_text(f"PYGENTS_PORT={port}\nPYGENTS_HOST=0.0.0.0\n")
        assert f"http://127.0.0.1:{port} " in health(tmp_path)[1]
        assert f"http://[::1]:{port} " in health(tmp_path, PYGENTS_HOST="::")[1]
        assert health(tmp_path, PYGENTS_PORT=0)[1].endswith("say which with --port.")
        assert "PYGENTS_PROT" in health(tmp_path, PYGENTS_PROT=1)[1]

    def test_host_and_port_are_given_as_to_serve(self, tmp_path: Path) -> None:
        port = str(free_port())
        (tmp_path / ".env").write_text("PYGENTS_PORT=1\nPYGENTS_HOST=127.0.0.2\n")
        assert f"http://127.0.0.2:{port} " in health(tmp_path, "--port", port)[1]
        assert f"http://127.0.0.1:{port} " in health(tmp_path, "--host", "0.0.0.0", "--port", port)[1]  # noqa: S104
        with answering(200, b'{"status":"ok"}') as found:
            assert health(tmp_path, "--host", "127.0.0.1", "--port", str(found))[0] == 0

    def test_an_address_is_given_once(self, tmp_path: Path) -> None:
        command = [str(COMMAND), "health", "--url", "http://127.0.0.1:1", "--port", "2"]
        ended = subprocess.run(command, cwd=tmp_path, env=NOBODY, capture_output=True, text=True, check=False)
        assert ended.returncode == 2
        assert "--url" in ended.stderr

    def test_a_proxy_is_not_asked(self, tmp_path: Path) -> None:
        proxy = f"http://127.0.0.1:{free_port()}"
        with answering(200, b'{"status":"ok"}') as port:
            assert health(tmp_path, PYGENTS_PORT=port, http_proxy=proxy, HTTP_PROXY=proxy)[0] == 0


class TestOthers:
    @pytest.mark.parametrize(
        ("status", "body", "said"),
        [
            (503, {"reasons": ["draining", "store"]}, "is not ready: draining, store."),
            (401, {"detail": "A key is needed"}, "is not ready: A key is needed."),
            (404, {}, "is not ready: it answers 404."),
            (200, [], "answers 200, but is not a pygents service."),
        ],
    )
    def test_what_it_makes_of_an_answer(self, tmp_path: Path, status: int, body: object, said: str) -> None:
        with answering(status, json.dumps(body).encode()) as port:
            assert health(tmp_path, PYGENTS_PORT=port) == (1, f"http://127.0.0.1:{port} {said}")

    def test_an_answer_is_read_up_to_a_bound(self, tmp_path: Path) -> None:
        with answering(200, json.dumps({"status": "ok", "more": "x" * MOST_BYTES}).encode()) as port:
            assert "not a pygents service" in health(tmp_path, PYGENTS_PORT=port)[1]

    def test_a_page(self, tmp_path: Path) -> None:
        with answering(200, b"<html>") as port:
            assert "not a pygents service" in health(tmp_path, PYGENTS_PORT=port)[1]

    def test_one_that_never_answers(self, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            port = silent.getsockname()[1]
            code, line = health(tmp_path, "--timeout", "0.2", PYGENTS_PORT=port)
        assert (code, line) == (1, f"http://127.0.0.1:{port} has not answered within 0.2 seconds.")

    @pytest.mark.parametrize("url", ["127.0.0.1:8000", "ftp://127.0.0.1", "http://127.0.0.1:x", "nonsense", "http://"])
    def test_an_address_that_is_none(self, tmp_path: Path, url: str) -> None:
        code, line = health(tmp_path, "--url", url)
        assert code == 1
        assert url in line

    def test_it_loads_neither_server_nor_library(self, tmp_path: Path) -> None:
        """It is started every few seconds for as long as the service lives."""
        script = "import sys; from pygents_app.cli import main; sys.argv = ['pygents', 'health']\ntry: main()\n"
        script += (
            "finally: print(sorted({'fastapi', 'uvicorn', 'sqlite3', 'httpx', 'pygents_core'} & set(sys.modules)))"
        )
        said = subprocess.run(
            [str(COMMAND.with_name("python")), "-c", script], cwd=tmp_path, env=NOBODY | {"PYGENTS_PORT": "1"},
            capture_output=True, text=True, check=False,
        ).stdout  # fmt: skip
        assert said.rstrip().endswith("[]")

    def test_help(self) -> None:
        said = subprocess.run([str(COMMAND), "health", "--help"], capture_output=True, text=True, check=True).stdout
        assert "--timeout" in said
        assert "exit code 0" in said
