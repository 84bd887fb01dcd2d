"""``pygents dev``: serve, and serve anew whenever the code changes.

The service is a process of its own, told to drain by SIGTERM: to it a reload is a shutdown like any other. The socket
stays open in this process, so that clients which come meanwhile wait instead of being refused.
"""

import asyncio
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from watchfiles import Change, PythonFilter, awatch

from .. import settings as settings_module
from ..errors import StartupError
from .serve import listen

DRAIN_SECONDS = 3.0
"""For running turns, unless it is said otherwise: nobody wants to wait for what was just changed."""
CHILD = f"{__package__}.child"
SETTINGS = (".env", "pygents.toml")


class _Changes(PythonFilter):
    """Of the code and of the settings; not what a test or an environment writes."""

    def __call__(self, change: Change, path: str) -> bool:
        return super().__call__(change, path) or Path(path) in {Path(name).resolve() for name in SETTINGS}


def dev(code: str, *, flags: Mapping[str, Any]) -> int:
    """Serve until a signal; the exit code. Raises ``StartupError`` for a port that cannot be had, or no such code."""
    settings = settings_module.load(flags)
    folders = _folders(code)
    with listen(settings) as listener:
        arguments = [code, "--fd", str(listener.fileno())]
        given = {name: value for name, value in flags.items() if value is not None}
        for name, value in {"drain": DRAIN_SECONDS, **given}.items():
            arguments += [f"--{name}", str(value)]
        supervisor = Supervisor([sys.executable, "-m", CHILD, "serve", *arguments], listener.fileno())
        return asyncio.run(supervisor.run(folders))


def _folders(code: str) -> tuple[Path, ...]:
    """Where changes matter: the folder of a file, for a module the current one."""
    path = Path(code)
    if path.suffix == ".py" or path.is_file():
        if not path.is_file():
            raise StartupError(f"There is no file {code}.")
        return tuple(dict.fromkeys((path.resolve().parent, Path.cwd())))
    return (Path.cwd(),)


class Supervisor:
    """One child at a time. ``descriptor`` is a listening socket that each of them inherits."""

    def __init__(self, command: Sequence[str], descriptor: int) -> None:
        self._command, self._descriptor = command, descriptor
        self._child: asyncio.subprocess.Process | None = None
        self._stopped = asyncio.Event()

    async def run(self, folders: Sequence[Path]) -> int:
        """Until SIGINT, SIGTERM or SIGHUP; the exit code of the last child. A second signal ends that at once."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._stop)
        # First: a change that comes while the child starts must not be missed.
        changes = awatch(*folders, watch_filter=_Changes(), stop_event=self._stopped, recursive=True)
        changing = asyncio.ensure_future(anext(changes, None))
        code = 0
        while not self._stopped.is_set():
            ending = asyncio.ensure_future(self._serve())
            await asyncio.wait([ending, changing], return_when=asyncio.FIRST_COMPLETED)
            if ending.done() and not changing.done():
                say(f"The service has ended (exit code {ending.result()}); it starts again when the code changes.")
            if changed := await changing:
                say(f"{_names(changed)} changed: the service starts again.")
                self._tell()
                changing = asyncio.ensure_future(anext(changes, None))
            code = await ending
        return code

    async def _serve(self) -> int:
        """A group of its own: what Ctrl-C sends comes through here, once."""
        self._child = await asyncio.create_subprocess_exec(
            *self._command, stdin=asyncio.subprocess.PIPE, pass_fds=[self._descriptor], start_new_session=True
        )
        if self._stopped.is_set():
            self._tell()
        code = await self._child.wait()
        return code if code >= 0 else 128 - code

    def _stop(self) -> None:
        self._stopped.set()
        self._tell()

    def _tell(self) -> None:
        if self._child is not None and self._child.returncode is None:
            self._child.send_signal(signal.SIGTERM)


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _names(changes: set[tuple[Change, str]]) -> str:
    names = sorted({Path(path).name for _, path in changes})
    return ", ".join(names[:3]) + (" …" if len(names) > 3 else "")
