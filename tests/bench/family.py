"""All processes of one contender: those that it was started as, and those that they have started. Linux only."""

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


class Family:
    """CPU, memory and standstill of processes and of all that descend from them, as far as they are alive."""

    def __init__(self, roots: Sequence[int]) -> None:
        self._roots = tuple(roots)

    def pids(self) -> list[int]:
        parents = dict(_parents())
        found = [root for root in self._roots if root in parents]
        for pid in found:
            found += [child for child, parent in parents.items() if parent == pid and child not in found]
        return found

    def cpu(self) -> float:
        """Seconds of CPU so far, in steps of the kernel's clock (10 ms); threads that have ended count, too."""
        return sum(sum(map(int, _stat(pid)[11:13])) for pid in self.pids()) / TICKS_PER_SECOND

    def memory(self) -> int:
        """Bytes: what processes share is shared out among them, or a fork would count twice (PSS)."""
        return sum(_pss(pid) for pid in self.pids())

    def stop(self) -> None:
        """Let them stand still until they are woken, so that one which polls takes nothing from the others."""
        self._signal(signal.SIGSTOP)

    def wake(self) -> None:
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        self._signal(signal.SIGKILL)

    @contextmanager
    def awake(self) -> Iterator[None]:
        self.wake()
        try:
            yield
        finally:
            self.stop()

    def _signal(self, number: signal.Signals) -> None:
        for pid in self.pids():
            with suppress(ProcessLookupError):
                os.kill(pid, number)


@contextmanager
def beside(name: str, command: Sequence[str], folder: Path, env: Mapping[str, str]) -> Iterator[int]:
    """A process that works for a server; ``name`` is that of its log. Yields its id, and kills it with its children."""
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env={**os.environ, **env}, stdout=log, stderr=log)
    try:
        yield process.pid
    finally:
        Family([process.pid]).kill()
        process.wait()


def _parents() -> Iterator[tuple[int, int]]:
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            yield int(folder.name), int(_stat(int(folder.name))[1])


def _stat(pid: int) -> list[str]:
    """The fields after the command's name (it may hold anything): state, parent …; user and system time are 11, 12."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _pss(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
