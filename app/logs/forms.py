"""The two forms of a line: for people, and JSON for programs. Neither lets what is logged forge another line.

A log shows what others have sent: paths, names, texts of errors. In the form for people a record begins at the margin,
with its time, and whatever follows in it is indented; other control characters are escaped, so that a terminal does
nothing of what they say. In JSON a record is one line of ASCII, tracebacks included.
"""

import json
import logging
import re
from typing import Any

from ..clock import to_rfc3339
from .about import ABOUT, here

INDENT = "    "
MOST_CHARACTERS = 32 * 1024
"""Of one text in a line: an error may quote all that it has met."""

MOST_BITS = 1024
"""Of a number: Python makes no text of one with more than some thousand digits."""

_LINES = re.compile(r"\r\n|[\r\n\v\f\x1c-\x1e\x85\u2028\u2029]")
"""Whatever some reader of a log takes for the end of a line."""
_HARMFUL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Controls of terminals and of the direction of text, and halves of characters, which cannot be written at all."""

_OWN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName", "color_message", ABOUT}
"""Attributes of a record that are no fields which somebody has added with ``extra``."""


class ForPeople(logging.Formatter):
    """``2026-11-22 10:48:00,123 WARNING  pygents.runner: text [agent=greeter turn=0198… attempt=1]``."""

    def format(self, record: logging.LogRecord) -> str:
        marks = " ".join(f"{name}={value}" for name, value in _about(record).items())
        first, *rest = _LINES.split(_message(record).rstrip())
        head = f"{self.formatTime(record)} {record.levelname:8} {_name(record)}: {first}"
        parts = [f"{head} [{marks}]" if marks else head, *rest]
        for text in (_exception(record), record.stack_info):
            parts += _LINES.split(text) if text else ()
        return f"\n{INDENT}".join(_HARMFUL.sub(_escaped, part) for part in parts)


class ForPrograms(logging.Formatter):
    """One JSON object: time, level, logger, message; what ``extra`` added; agent, turn, attempt, request; exception."""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = {
            "time": to_rfc3339(round(record.created * 1_000_000)),
            "level": record.levelname.lower(),
            "logger": _name(record),
            "message": _message(record),
        }
        for name, value in vars(record).items():
            if name not in _OWN and name not in fields:
                fields[str(name)] = _plain(value)
        fields |= _about(record)
        if exception := _exception(record):
            fields["exception"] = exception
        if record.stack_info:
            fields["stack"] = _short(record.stack_info)
        return json.dumps(fields, separators=(",", ":"))


def _name(record: logging.LogRecord) -> str:
    """uvicorn logs that it has started as ``uvicorn.error``, which frightens whoever reads it."""
    return "uvicorn" if record.name == "uvicorn.error" else record.name


def _about(record: logging.LogRecord) -> dict[str, Any]:
    """What the line says itself comes before where it was written."""
    said = getattr(record, ABOUT, {})
    found = here() | said if isinstance(said, dict) else here()
    return {name: _plain(value) for name, value in found.items() if value is not None}


def _message(record: logging.LogRecord) -> str:
    """Also if somebody has given it the wrong arguments, which are not shown then."""
    try:
        return _short(record.getMessage())
    except Exception:
        return f"{_shown(record.msg)} (its arguments do not fit)"


def _exception(record: logging.LogRecord) -> str:
    """The traceback; "" if there is none. Of an exception that cannot be shown it is the name of the class."""
    if not record.exc_info or record.exc_info[1] is None:
        return record.exc_text or ""
    try:
        return _short(_PYTHONS.formatException(record.exc_info))
    except Exception:
        return type(record.exc_info[1]).__name__


def _plain(value: object) -> object:
    """As JSON has it, or else its text: what somebody has added may be anything."""
    if isinstance(value, str):
        return _short(value)
    if value is None or (isinstance(value, int) and value.bit_length() <= MOST_BITS):
        return value
    try:
        text = json.dumps(value, allow_nan=False)
    except Exception:
        return _shown(value)
    return json.loads(text) if len(text) <= MOST_CHARACTERS else _short(text)


def _shown(value: object) -> str:
    """A value that cannot be shown costs the line nothing else."""
    try:
        return _short(str(value))
    except Exception:
        return f"<{type(value).__name__}>"


def _short(text: str) -> str:
    return text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}… ({len(text)} characters)"


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()


_PYTHONS = logging.Formatter()
