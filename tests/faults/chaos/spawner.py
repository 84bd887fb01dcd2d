"""Started as a program: has everything imported, and makes servers by forking, which saves each most of its start.

Speaks JSON by lines. In: ``{"argv": [...], "environ": {...}, "haste": {"module:NAME": value}}``. Out: ``{"pid": n}``
for each line, and ``{"ended": code}`` once that process is gone, which is before the next line is read.
"""

import ctypes
import importlib
import json
import os
import signal
import sys
from pathlib import Path

import pygents_app.main
import pygents_app.server  # noqa: F401
from pygents_app import failpoints
from pygents_app.cli import main

PR_SET_PDEATHSIG = 1
"""Of prctl(2): the signal to get when the parent is gone."""


def _die_with_the_parent() -> None:
    """Where the system can do that: a campaign that is killed leaves no servers behind."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _serve(order: dict[str, dict[str, object]], log: str) -> None:
    os.setsid()
    _die_with_the_parent()
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.environ.update({name: str(value) for name, value in order["environ"].items()})
    for place, value in order["haste"].items():
        module, _, name = place.partition(":")
        setattr(importlib.import_module(module), name, value)
    failpoints.arm()
    sys.argv = ["pygents", *map(str, order["argv"])]
    main()


def _say(**words: object) -> None:
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _die_with_the_parent()
    for line in iter(sys.stdin.readline, ""):
        pid = os.fork()
        if not pid:
            _serve(json.loads(line), str(Path(sys.argv[1])))
            sys.exit(0)
        _say(pid=pid)
        _say(ended=os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
