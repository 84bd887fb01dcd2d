"""Import the user's code, as ``python my_agents.py`` would find it, and tell in one line why that fails."""

import importlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from pygents_core.registry import AgentRegistry, ToolRegistry

from ..errors import StartupError


def load_code(given: str) -> None:
    """Import a file or a dotted module; its folder (the current one for a module) goes first on ``sys.path``.

    Raises ``StartupError`` if there is no such file or module, if importing it fails, or if it has neither tools nor
    agents.
    """
    path = Path(given)
    if path.suffix == ".py" or path.is_file():
        _load_file(path, given)
    else:
        _load_module(given)
    if not ToolRegistry.all() and not AgentRegistry.all():
        raise StartupError(f"{given} has no tools and no agents. Mark a function with @tool, and make an Agent of it.")


DEMO = ("counter", "greeter", "library")
"""The modules of the demo that need nothing of the environment."""


def load_demo() -> None:
    """Import the agents that come with the service; the one that chats only if there is somebody to chat with.

    Raises ``StartupError`` if ``OPENAI_BASE_URL`` is set and is no address.
    """
    for module in DEMO:
        importlib.import_module(f"..demo.{module}", __package__)
    endpoint = os.environ.get("OPENAI_BASE_URL", "").strip()
    if endpoint:
        _check_endpoint(endpoint)
        importlib.import_module("..demo.chat", __package__)


def _check_endpoint(given: str) -> None:
    try:
        parts = urlsplit(given)
        valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid:  # it is not shown: it may be a key that is in the wrong variable
        raise StartupError(
            "OPENAI_BASE_URL is not the address of an endpoint. Write http://127.0.0.1:11434/v1, or unset it."
        )


def _load_file(path: Path, given: str) -> None:
    if not path.is_file():
        raise StartupError(f"There is no file {given}.")
    if path.suffix != ".py":
        raise StartupError(f"{given} is not Python: give a file whose name ends in .py, or the name of a module.")
    name = path.stem
    if not name.isidentifier() or name in sys.stdlib_module_names or name in sys.modules:
        raise StartupError(
            f"{given} cannot be imported as {name!r}: another module or no module has that name. Rename it."
        )
    folder = path.resolve().parent
    sys.path.insert(0, str(folder))
    _import(lambda: importlib.import_module(name), given, folder)


def _load_module(given: str) -> None:
    folder = Path.cwd()
    sys.path.insert(0, str(folder))
    if not all(part.isidentifier() for part in given.split(".")):
        raise StartupError(f"{given!r} is neither a file nor the name of a module.")
    try:
        found = importlib.util.find_spec(given.partition(".")[0])
    except ValueError:
        found = None
    if found is None:
        raise StartupError(f"There is no file {given} and no module of that name (looked in {folder} first).")
    _import(lambda: importlib.import_module(given), given, folder)


def _import(load: Callable[[], object], given: str, folder: Path) -> None:
    try:
        load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a module may also exit
        message = str(error) or "no message"
        raise StartupError(
            f"{given} cannot be imported: {type(error).__name__}: {message}{_where(error, folder)}"
        ) from error


def _where(error: BaseException, folder: Path) -> str:
    """The last line of the user's own code that was on the way to the error."""
    if isinstance(error, SyntaxError) and error.filename:
        return f" ({error.filename}:{error.lineno})"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).is_relative_to(folder) and ".venv" not in frame.filename]
    return f" ({own[-1].filename}:{own[-1].lineno})" if own else ""
