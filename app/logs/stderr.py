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

    Python's warnings, and what ends a thread, are lines of the log, too: nobody else would escape them.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(FORMS[form]())
    if not logging.getLogger().hasHandlers():
        logging.captureWarnings(True)
        threading.excepthook = _thread_ended
    logging.basicConfig(level=level.upper(), handlers=[handler])
    httpx = logging.getLogger("httpx")
    if httpx.level == logging.NOTSET:  # it would log the address of every request of a tool, whatever is in it
        httpx.setLevel(max(logging.WARNING, logging.getLogger().level))


def _thread_ended(what: threading.ExceptHookArgs) -> None:
    if what.exc_type is SystemExit:  # as Python's own does
        return
    error = what.exc_value or what.exc_type()
    name = what.thread.name if what.thread is not None else "?"
    log.error("thread %s has ended by an exception", name, exc_info=(what.exc_type, error, what.exc_traceback))
    sys.stderr.flush()
