"""Somebody who reads a page and does what it says: types its commands, saves its files, looks at what is printed."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from itertools import groupby
from pathlib import Path
from typing import ClassVar

from playwright.sync_api import Page

from tests.examples.expect import is_shown
from tests.examples.markdown import ROOT, Block
from tests.helpers import free_port
from tests.service import NEVER_LOGGED, Service

ADDRESS, COLLECTOR = "127.0.0.1:8000", "4318"
BIN = Path(sys.executable).parent
SERVE = re.compile(r"(?P<set>(?:(?:PYGENTS|OTEL)_\w+=\S+ )*)(?:make run|(?:\.venv/bin/)?pygents serve(?P<rest>.*))")
KILL = re.compile(r"pkill (?P<hard>-9 )?-f 'pygents serve'")
STORE = re.compile(r"--store sqlite:///\./(\S+)")
COMMENT = re.compile(r"(?:^|\s+)#\s.*$")
CONTROL = re.compile(re.sub(r"\?P<\w+>", "", f"{SERVE.pattern}|{KILL.pattern}"))
PROBLEM = "urn:pygents:problem"
RUN = frozenset({"sh", "python", "html", "js"})
SECONDS, SOON = 60.0, 20.0
"""How long a script may take, and how soon a browser shows what a page says."""


class Session:
    """``do`` takes a page's blocks one after the other; ``browser`` is needed if it has scripts for one."""

    def __init__(self, folder: Path, browser: Page | None = None) -> None:
        self._folder, self._browser = folder, browser
        self._services: dict[tuple[str, ...], Service] = {}
        self._service: Service | None = None
        self._printed: Callable[[], str] = _nothing
        self._page: Page | None = None
        self._refusals = folder / "refusals"
        self._collector = str(free_port())
        self.unused: set[str] = set()
        shutil.copy(ROOT / "README.md", folder)
        self._bin = folder / "bin"
        self._bin.mkdir()
        parts = (sys.executable, Path(__file__).with_name("curl.py"), shutil.which("curl"), self._refusals)
        (self._bin / "curl").write_text(f'#!/bin/sh\nexec {" ".join(map(str, parts))} "$@"\n')
        (self._bin / "curl").chmod(0o755)

    def do(self, block: Block) -> None:
        if block.language in RUN:
            self._check_refusal()
        if block.file is not None:
            (self._folder / block.file).write_text(self._here(block.code))
            self.unused.add(block.file)
        else:
            self.ACTS[block.language](self, block)

    def check(self) -> None:
        """After the last block: nothing was left over."""
        self._check_refusal()
        assert not self.unused, f"nothing uses {self.unused}"

    def end(self) -> None:
        """Leave nothing behind."""
        for service in self._services.values():
            service.end()
            print(f"--- server log ---\n{service.log[-6000:]}")
            assert not [line for line in service.log.splitlines() if any(bad in line for bad in NEVER_LOGGED)]

    # --- one act for each language -----------------------------------------------------------------------------------

    def _shell(self, block: Block) -> None:
        """Services are started and killed by the test; all between two of those is one script."""
        printed = ""
        for control, lines in groupby(block.code.splitlines(), key=lambda line: bool(CONTROL.fullmatch(_bare(line)))):
            if control:
                for line in lines:
                    self._control(_bare(line))
            else:
                printed += self._run(["bash", "-euo", "pipefail", "-c", self._here("\n".join(lines))], block)
        self._print(printed)

    def _python(self, block: Block) -> None:
        script = self._folder / "example.py"
        script.write_text(self._here(block.code))
        self._print(self._run([sys.executable, str(script)], block))

    def _html(self, block: Block) -> None:
        """In a page of the service's own origin. What it logs is what it prints."""
        page, lines = self._browser, list[str]()
        assert page is not None
        page.on("console", lambda message: lines.append(message.text))
        page.on("pageerror", lambda error: lines.append(f"error: {error}"))
        page.route("**/example", lambda route: route.fulfill(body=self._here(block.code), content_type="text/html"))
        page.goto(f"{self._running().url}/example")
        self._printed, self._page = lambda: "\n".join(lines), page

    def _javascript(self, block: Block) -> None:
        self._html(block._replace(code=f'<script type="module">\n{block.code}</script>'))

    def _output(self, block: Block) -> None:
        """What the block before prints, or in a browser will soon print."""
        assert self._printed is not _nothing, f"{block.where}: nothing has printed this"
        deadline = time.monotonic() + (SOON if self._page is not None else 0)
        while not is_shown(block.language, block.code, printed := self._there(self._printed())):
            if self._page is None or time.monotonic() > deadline:
                raise AssertionError(f"{block.where} shows\n{block.code}\nbut what is printed is\n{printed}")
            self._page.wait_for_timeout(50)
        if PROBLEM in block.code:
            self._refusals.unlink()

    ACTS: ClassVar[Mapping[str, Callable[["Session", Block], None]]] = {
        "sh": _shell, "python": _python, "html": _html, "js": _javascript, "json": _output, "": _output,
    }  # fmt: skip

    # --- what they share ---------------------------------------------------------------------------------------------

    def _control(self, command: str) -> None:
        if serve := SERVE.fullmatch(command):
            self._serve(serve["set"].split(), shlex.split(serve["rest"]) if serve["rest"] is not None else ["--demo"])
        elif (kill := KILL.fullmatch(command)) and kill["hard"]:
            self._running().kill()
        else:
            self._running().stop()

    def _serve(self, settings: list[str], arguments: list[str]) -> None:
        self.unused -= {*arguments, "pygents.toml"}
        if self._service is not None and self._service.running:
            self._service.stop()
        key = (*settings, *arguments)
        if key not in self._services:
            folder = self._folder / f"service-{len(self._services)}"
            folder.mkdir()
            named = dict(self._here(pair).split("=", 1) for pair in settings)
            service = self._services[key] = Service(folder, *arguments, cwd=self._folder, environment=named)
            if store := STORE.search(" ".join(arguments)):  # one that the page's other commands may speak of, too
                service.database = self._folder / store[1]
        self._service = self._services[key]
        self._service.start()

    def _run(self, command: list[str], block: Block) -> str:
        self.unused -= {name for name in self.unused if name in command[-1]}
        own = {name: value for name, value in os.environ.items() if name in {"HOME", "LANG", "TMPDIR"}}
        path = f"{self._bin}:{BIN}:/usr/local/bin:/usr/bin:/bin"
        done = subprocess.run(
            command, cwd=self._folder, env={**own, "PATH": path}, capture_output=True, text=True, check=False,
            timeout=SECONDS,
        )  # fmt: skip
        assert done.returncode == 0, f"{block.where}\n{block.code}\n{done.stdout}{done.stderr}"
        return done.stdout

    def _print(self, printed: str) -> None:
        self._printed, self._page = lambda: printed, None

    def _check_refusal(self) -> None:
        refused = self._refusals.exists() and self._refusals.read_text()
        assert not refused, f"this is answered with a problem, and the page does not show one: {refused}"

    def _running(self) -> Service:
        assert self._service is not None, "the page has started no service"
        return self._service

    def _here(self, code: str) -> str:
        code = code.replace(COLLECTOR, self._collector)
        return code.replace(ADDRESS, f"127.0.0.1:{self._service.port}") if self._service is not None else code

    def _there(self, printed: str) -> str:
        return printed.replace(f"127.0.0.1:{self._service.port}", ADDRESS) if self._service is not None else printed


def _bare(line: str) -> str:
    return COMMENT.sub("", line)


def _nothing() -> str:
    return ""
