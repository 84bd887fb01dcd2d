"""What the benches share: servers as processes with their CPU and memory, rounds in rotation, and tables of figures.

Absolute figures swing with whatever else the machine does. So all contenders of a table are up at once and take turns
in short bursts, and what counts is the median of the ratios within each round.
"""

import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import NamedTuple

from tests.helpers import free_port

ROOT = Path(__file__).resolve().parent.parent.parent
CONTENDERS = Path(__file__).resolve().parent / "contenders"
START_SECONDS = 30.0
POLL_SECONDS = 0.002

Sample = Mapping[str, float]
"""The figures of one burst by what they are: ``per s``, ``CPU µs``, ``p50 ms`` …"""


@dataclass(frozen=True, slots=True)
class Dose:
    """How much is measured: ``seconds`` of a burst, how many ``rounds`` of bursts, how many ``streams`` at once."""

    seconds: float
    rounds: int
    streams: tuple[int, ...]

    @property
    def small(self) -> bool:
        """Whether this pass only shows that the benches work."""
        return self.rounds == 1

    def finer(self, times: int, *, longer: int = 1) -> "Dose":
        """Bursts so many ``times`` as short and as many: what the machine does meanwhile hits all contenders alike.

        ``longer``: how many times as long it takes in all. For those whose bursts cost little to begin.
        """
        if self.small:
            return self
        return replace(self, seconds=self.seconds / times, rounds=self.rounds * times * longer)


def dose_of(seconds: float) -> Dose:
    return Dose(seconds, 5, (100, 1000, 5000)) if seconds >= 0.5 else Dose(seconds, 1, (20,))


# --- processes -------------------------------------------------------------------------------------------------------


class Server:
    """A process that serves HTTP on a port of loopback; ``started`` tells how many seconds its first answer took."""

    def __init__(self, process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
        self._process, self.port, self.pid, self._log = process, port, process.pid, log
        self._born = time.perf_counter()
        self.started = 0.0

    def await_answer(self) -> None:
        """Wait for the first answer, whatever its status. Raises RuntimeError if the process ends or none comes."""
        while not self._answers():
            if self._process.poll() is not None or time.perf_counter() - self._born > START_SECONDS:
                raise RuntimeError(f"{self._process.args!r} does not answer:\n{self._log.read_text()[-2000:]}")
            time.sleep(POLL_SECONDS)
        self.started = time.perf_counter() - self._born

    def _answers(self) -> bool:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=START_SECONDS)
        try:
            connection.request("GET", "/healthz")
            connection.getresponse().read()
        except (OSError, HTTPException):
            return False
        else:
            return True
        finally:
            connection.close()

    def cpu(self) -> float:
        """Seconds of CPU so far, of all threads that are alive; Linux only."""
        return sum(self.threads().values())

    def threads(self) -> dict[int, float]:
        """The same for each thread by its id, in the order in which they were made; the first one serves HTTP."""
        found: list[tuple[int, int, float]] = []
        for task in Path(f"/proc/{self._process.pid}/task").iterdir():
            with suppress(FileNotFoundError, ProcessLookupError):  # one that has ended meanwhile
                spent = int((task / "schedstat").read_text().split()[0]) / 1e9
                found.append((_started(task), int(task.name), spent))
        return {thread: spent for _, thread, spent in sorted(found)}

    def rss(self) -> int:
        """Bytes of resident memory; Linux only."""
        pages = int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()


def _started(task: Path) -> int:
    """In hundredths of a second. The ids of threads do not tell their order: some time they begin anew."""
    return int((task / "stat").read_text().rpartition(")")[2].split()[19])


@contextmanager
def serving(command: Sequence[str], folder: Path, env: Mapping[str, str] | None = None) -> Iterator[Server]:
    """Start a server and wait for its first answer; ``{port}`` in ``command`` is the port that it shall listen on."""
    port = free_port()
    ours = {name: value for name, value in os.environ.items() if not name.startswith("PYGENTS_")}
    log_file = folder / f"server-{port}.log"
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            [part.format(port=port) for part in command], cwd=folder, env=ours | dict(env or {}), stdout=log, stderr=log
        )
    server = Server(process, port, log_file)
    try:
        server.await_answer()
        yield server
    finally:
        server.kill()


def service(folder: Path, name: str, durability: str = "full") -> tuple[list[str], dict[str, str]]:
    """Command and environment of the service on an empty store; with the durability ``memory`` it keeps none."""
    store = "memory://" if durability == "memory" else f"sqlite:///{folder}/{name}.db"
    command = [str(Path(sys.executable).with_name("pygents")), "serve", str(CONTENDERS / "bench_agents.py")]
    env = {"PYGENTS_MAILBOX_LIMIT": "10000000"}
    if durability != "memory":
        env["PYGENTS_DURABILITY"] = durability
    return [*command, "--port", "{port}", "--store", store, "--log", "warning"], env


def uvicorn(module: str, app: str = "app") -> list[str]:
    """Command of a contender that is an ASGI application."""
    command = [sys.executable, "-m", "uvicorn", f"tests.bench.contenders.{module}:{app}", "--app-dir", str(ROOT)]
    return [*command, "--port", "{port}", "--log-level", "warning", "--no-access-log", "--lifespan", "off"]


# --- rounds and figures ----------------------------------------------------------------------------------------------


class Spread(NamedTuple):
    median: float
    least: float
    most: float


def spread(values: Sequence[float]) -> Spread:
    return Spread(statistics.median(values), min(values), max(values))


def percentile(values: Sequence[float], percent: int) -> float:
    """The value at that place of the sorted ``values``; 0 if there are none."""
    return sorted(values)[min(len(values) * percent // 100, len(values) - 1)] if values else 0.0


class Goal(NamedTuple):
    """A bound on a figure that was measured. It is reported, and never fails anything."""

    what: str
    measured: float
    bound: float
    at_least: bool

    @property
    def met(self) -> bool:
        return self.measured >= self.bound if self.at_least else self.measured <= self.bound


@dataclass(slots=True)
class Table:
    """The samples of contenders, a list with one for each round; ratios are to those of ``base``."""

    title: str
    base: str
    rows: dict[str, list[Sample]]
    goals: list[Goal] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def metrics(self) -> list[str]:
        return list(dict.fromkeys(name for samples in self.rows.values() for sample in samples for name in sample))

    def figure(self, row: str, metric: str) -> Spread | None:
        values = [sample[metric] for sample in self.rows[row] if metric in sample]
        return spread(values) if values else None

    def ratio(self, row: str, metric: str, base: str | None = None) -> Spread | None:
        """The ratios within each round, to ``base`` if it is not the table's own."""
        pairs = zip(self.rows[row], self.rows.get(base or self.base, ()), strict=False)
        both = [(mine[metric], other[metric]) for mine, other in pairs if metric in mine and other.get(metric)]
        return spread([mine / other for mine, other in both]) if both else None

    def expect(self, what: str, row: str, metric: str, base: str, *, least: float = 0.0, most: float = 0.0) -> None:
        """Add a goal on the median ratio of a row; leaves it out if one of the two was not measured."""
        ratio = self.ratio(row, metric, base) if row in self.rows else None
        if ratio is not None:
            self.goals.append(Goal(what, ratio.median, least or most, at_least=bool(least)))

    def bound(self, what: str, row: str, metric: str, most: float) -> None:
        """Add a goal on the median of a figure itself."""
        figure = self.figure(row, metric)
        if figure is not None:
            self.goals.append(Goal(what, figure.median, most, at_least=False))


Burst = Callable[[], Awaitable[Sample]]


async def rotate(bursts: Mapping[str, Burst], rounds: int) -> dict[str, list[Sample]]:
    """Let the contenders take turns, each round beginning with another one, so that none always follows the same."""
    rows: dict[str, list[Sample]] = {name: [] for name in bursts}
    names = list(bursts)
    for number in range(rounds):
        start = number % len(names)
        for name in names[start:] + names[:start]:
            rows[name].append(await bursts[name]())
    return rows


def rates(times: Sequence[float], passed: float, spent: float) -> dict[str, float]:
    """Of operations that took ``times``, within ``passed`` seconds and for ``spent`` seconds of server CPU."""
    return {
        "per s": len(times) / passed,
        "CPU µs": spent / len(times) * 1e6,
        "p50 ms": percentile(times, 50) * 1e3,
        "p99 ms": percentile(times, 99) * 1e3,
    }


def fdatasync_times(folder: Path, seconds: float) -> list[float]:
    """Seconds that this disk needs to make one appended page of 4 KiB durable, again and again for ``seconds``."""
    page, deadline = b"\0" * 4096, time.perf_counter() + seconds
    times: list[float] = []
    with (folder / "probe").open("wb", buffering=0) as file:
        while not times or time.perf_counter() < deadline:
            start = time.perf_counter()
            file.write(page)
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - start)
    return times
