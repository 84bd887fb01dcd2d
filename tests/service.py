"""A real server process on a file of its own: started, stopped, killed, started again, as by operators and faults."""

import http.client
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.helpers import eventually_sync, free_port

COMMAND = Path(sys.executable).with_name("pygents")
START_SECONDS = 20.0
DESCRIPTORS = 8192
NEVER_LOGGED = ("was never awaited", "exception was never retrieved", "Task was destroyed but it is pending")
"""What asyncio says of code that forgot something."""


class Service:
    """``serve`` are the arguments of ``pygents serve`` (or another ``verb``); ``settings`` are its settings by name.

    ``environment`` are further variables.

    Port, database and log stay the same for all processes that it starts, one after the other.
    """

    def __init__(
        self,
        folder: Path,
        *serve: str | Path,
        cwd: Path | None = None,
        settings: Mapping[str, object] | None = None,
        environment: Mapping[str, str] | None = None,
        verb: str = "serve",
    ) -> None:
        self._verb = verb
        self.folder, self.port = folder, free_port()
        self.database, self._log = folder / "pygents.db", folder / "server.log"
        self._cwd = cwd or folder
        self._serve = [str(part) for part in serve]
        self._settings = {f"PYGENTS_{name.upper()}": str(value) for name, value in (settings or {}).items()}
        self._environment = dict(environment or {})
        self._process: subprocess.Popen[bytes] | None = None
        self._log.touch()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        return self._running().pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    # --- its life ----------------------------------------------------------------------------------------------------

    def launch(self, *wrapper: str) -> None:
        """Start a process, under the command ``wrapper`` if there is one; it is not ready yet."""
        assert not self.running
        command = [*wrapper, str(COMMAND), self._verb, *self._serve, "--port", str(self.port)]
        command += ["--store", f"sqlite:///{self.database}"]
        others = {name: value for name, value in os.environ.items() if not name.startswith("PYGENTS_")}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self._cwd,
                env={**others, **self._environment, **self._settings, "PYTHONUNBUFFERED": "1"}, start_new_session=True,
            )  # fmt: skip

    def start(self, *wrapper: str) -> None:
        """Start a process and wait until it is ready."""
        self.launch(*wrapper)
        eventually_sync(self.is_ready, timeout=START_SECONDS)

    def is_ready(self) -> bool:
        """Ask once. Fails the test if the process has ended."""
        assert self.running, f"the server has ended:\n{self.log[-4000:]}"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=START_SECONDS)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def kill(self) -> None:
        """kill -9, and gone when this returns."""
        self.signal(signal.SIGKILL)
        self.wait(5)

    def restart(self) -> None:
        """kill -9, then start again."""
        self.kill()
        self.start()

    def stop(self, timeout: float = 20.0) -> int:
        """SIGTERM; the exit code, once it has exited."""
        self.signal(signal.SIGTERM)
        return self.wait(timeout)

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def wait(self, timeout: float) -> int:
        return self._running().wait(timeout)

    def end(self) -> None:
        """Whatever happened, nothing stays behind."""
        if self.running:
            os.killpg(self.pid, signal.SIGKILL)
            self.wait(5)

    # --- what the kernel knows of it ---------------------------------------------------------------------------------

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def threads(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/task"))

    def resident(self) -> int:
        """Bytes of its memory that are in RAM now."""
        return self._status_of("VmRSS")

    def peak(self) -> int:
        """The most that ``resident`` has been."""
        return self._status_of("VmHWM")

    def _status_of(self, field: str) -> int:
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field + ":"))

    def _running(self) -> "subprocess.Popen[bytes]":
        assert self._process is not None, "nothing was started"
        return self._process


@contextmanager
def serving(
    folder: Path,
    *serve: str | Path,
    cwd: Path | None = None,
    settings: Mapping[str, object] | None = None,
    verb: str = "serve",
) -> Iterator[Service]:
    """A started service that is gone when the block ends. Its log is printed, for pytest to show if a test fails."""
    service = Service(folder, *serve, cwd=cwd, settings=settings, verb=verb)
    try:
        service.start()
        yield service
    finally:
        service.end()
        print(f"--- server log ---\n{service.log[-8000:]}")
    assert not [line for line in service.log.splitlines() if any(bad in line for bad in NEVER_LOGGED)]


def allow_many_descriptors() -> None:
    """Raise this process's limit, and with it that of the servers it starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < DESCRIPTORS:
        resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, hard))
