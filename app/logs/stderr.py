"""Where the log goes: to stderr, in one form for all who write to it, unless the user's code has set logging up."""

import logging
import sys
import threading
from typing import Literal

from .forms import ForPeople, ForPrograms

Form = Literal["console", "json"]
FORMS = {"console": ForPeople, "json": ForPrograms}

log = logging.getLogger("pygents")


def log_to_stderr(level: str, form: Form) -> None:
    """Let everything of at least that level be logged. Does nothing if the user's code has set logging up already.

    Python's warnings, what ends a thread and what nobody could catch are lines of the log, too: nobody else would
    escape them.
    """
    root = logging.getLogger()
    if not root.hasHandlers():
        handler = logging.StreamHandler()
        handler.setFormatter(FORMS[form]())
        root.addHandler(handler)
        root.setLevel(level.upper())
        logging.captureWarnings(True)
        threading.excepthook, sys.unraisablehook = _thread_ended, _uncaught
    elif form != "console":  # whoever asked for it looks for it, and one line by the wrong way is enough to do so
        log.warning("the code that is served has set logging up: PYGENTS_LOG_FORMAT is without effect")
    httpx = logging.getLogger("httpx")
    if httpx.level == logging.NOTSET:  # it would log the address of every request of a tool, whatever is in it
        httpx.setLevel(max(logging.WARNING, root.level))


def _thread_ended(what: threading.ExceptHookArgs) -> None:
    if what.exc_type is SystemExit:  # as Python's own does
        return
    name = what.thread.name if what.thread is not None else "?"
    log.error("thread %s has ended by an exception", name, exc_info=what.exc_value)


def _uncaught(what: "sys.UnraisableHookArgs") -> None:
    """In a finalizer, for instance. What it was in may be half gone, and is not shown."""
    log.error("%s", what.err_msg or "an exception could not be raised", exc_info=what.exc_value)
