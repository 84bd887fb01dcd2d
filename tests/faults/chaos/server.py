"""The server under attack, and its supervisor: starts it, arms it, kills it, and knows how it ended."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from time import monotonic

from tests.helpers import free_port

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent.parent
AGENTS = HERE / "agents.py"
READY_SECONDS = 30.0
SETTINGS: Mapping[str, object] = {
    "PYGENTS_CANCEL_GRACE": 0.3, "PYGENTS_DRAIN": 1, "PYGENTS_MAILBOX_LIMIT": 150, "PYGENTS_MAX_HOPS": 64,
    "PYGENTS_LOG": "warning",
}  # fmt: skip
HASTE: Mapping[str, object] = {
    "pygents_app.runtime.pruner:GRACE_SECONDS": 1.0,
    "pygents_app.runtime.pruner:LOOK_SECONDS": 0.3,
    "pygents_app.runtime.pruner:SLICE_ROWS": 50,
    "pygents_app.runtime.dispatcher:SCAN_SECONDS": 2.0,
}
"""What takes a minute in production and would never be met here."""


class Server:
    """One database file and the processes that serve it, one after the other. ``environ`` is for all of them."""

    def __init__(self, folder: Path, spawner: asyncio.subprocess.Process, environ: Mapping[str, object]) -> None:
        self.folder, self.port = folder, free_port()
        self.database, self.log_file = folder / "pygents.db", folder / "server.log"
        self.trace = folder / "trace"
        self._spawner = spawner
        self._environ = {**SETTINGS, **environ, "CHAOS_TRACE": str(self.trace)}
        self._pid: int | None = None
        self._ended: asyncio.Task[int] | None = None
        self.starts = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def running(self) -> bool:
        return self._ended is not None and not self._ended.done()

    async def launch(self, failpoints: str = "", haste: Mapping[str, object] | None = None) -> None:
        """Start a process; it is not ready yet."""
        assert not self.running
        argv = ["serve", str(AGENTS), "--port", str(self.port), "--store", f"sqlite:///{self.database}"]
        environ = {**self._environ, "PYGENTS_FAILPOINTS": failpoints}
        order = {"argv": argv, "environ": environ, "haste": {**HASTE, **(haste or {})}}
        assert self._spawner.stdin is not None
        self._spawner.stdin.write(json.dumps(order).encode() + b"\n")
        self._pid = int((await self._heard())["pid"])
        self.starts += 1
        self._ended = asyncio.ensure_future(self._end())

    async def becomes_ready(self) -> bool:
        """Wait until it is; False if the process ends before."""
        deadline = monotonic() + READY_SECONDS
        while self.running:
            if await self._is_ready():
                return True
            assert monotonic() < deadline, f"not ready after {READY_SECONDS} s:\n{self.log[-4000:]}"
            await asyncio.sleep(0.005)
        return False

    async def start(self, failpoints: str = "") -> None:
        await self.launch(failpoints)
        assert await self.becomes_ready(), f"the server has ended:\n{self.log[-4000:]}"

    async def signal(self, number: int, timeout: float = 15.0) -> int:
        """Send a signal; the exit code once the process is gone. One that has ended already is no error."""
        if self.running and self._pid is not None:
            with suppress(ProcessLookupError):  # it has just ended, and the spawner has not said so yet
                os.kill(self._pid, number)
        return await self.ends(timeout)

    async def kill(self) -> int:
        return await self.signal(signal.SIGKILL)

    async def ends(self, timeout: float) -> int:
        assert self._ended is not None
        return await asyncio.wait_for(asyncio.shield(self._ended), timeout)

    @property
    def log(self) -> str:
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    async def _end(self) -> int:
        return int((await self._heard())["ended"])

    async def _heard(self) -> dict[str, int]:
        assert self._spawner.stdout is not None
        line = await self._spawner.stdout.readline()
        assert line, "the spawner has ended"
        heard: dict[str, int] = json.loads(line)
        return heard

    async def _is_ready(self) -> bool:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        try:
            writer.write(b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            return (await reader.read(64)).startswith(b"HTTP/1.1 200")
        except OSError:
            return False
        finally:
            writer.transport.abort()


@asynccontextmanager
async def serving(folder: Path, environ: Mapping[str, object] | None = None) -> AsyncIterator[Server]:
    """A server that is not started yet; nothing of it is left at the end. ``environ`` is the spawner's, too."""
    given = {name: str(value) for name, value in (environ or {}).items()}
    others = {name: value for name, value in os.environ.items() if not name.startswith("PYGENTS_")}
    paths = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    spawner = await asyncio.create_subprocess_exec(
        sys.executable, str(HERE / "spawner.py"), str(folder / "server.log"), stdin=-1, stdout=-1, cwd=folder,
        env={**others, **given, "PYTHONPATH": paths},
    )  # fmt: skip
    server = Server(folder, spawner, given)
    try:
        yield server
    finally:
        if server.running:
            await server.kill()
        assert spawner.stdin is not None
        spawner.stdin.close()  # which is its end
        await spawner.stdin.wait_closed()
        await spawner.wait()
