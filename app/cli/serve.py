"""``pygents serve``: settings, port, code, service; in this order, so that nothing is started that cannot be served."""

import asyncio
import errno
import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from types import FrameType
from typing import Any

from pydantic import BaseModel

from pygents_core.registry import AgentRegistry, ToolRegistry

from .. import settings as settings_module
from ..errors import StartupError
from ..settings import Settings
from .addresses import local_url
from .banner import banner
from .closed import check
from .code import load_code, load_demo
from .uncollected import uncollected

BACKLOG = 2048

log = logging.getLogger("pygents")


def serve_code(code: str | None, *, demo: bool, flags: Mapping[str, Any], descriptor: int | None = None) -> None:
    """Serve until a signal, on a new socket or on that of ``descriptor``. Raises ``StartupError`` if it cannot be."""
    if code is None and not demo:
        raise StartupError(
            "Say what to serve: pygents serve my_agents.py (a file or a module), or pygents serve --demo."
        )
    signal.signal(signal.SIGTERM, _end)
    settings = settings_module.load(flags)
    with _told(settings):
        inherited = _inherited(descriptor) if descriptor is not None else None
        if inherited is not None:
            settings = _listening(settings, inherited)
        check(settings)
        with inherited or listen(settings) as listener:
            if code is not None:
                load_code(code)
            if demo:
                load_demo()
            _run(settings, listener, code or "the demo")


@contextmanager
def _told(settings: Settings) -> Iterator[None]:
    """What keeps the service from starting, as its log would have it, if that is for programs."""
    try:
        yield
    except StartupError as error:
        if settings.log_format != "json":
            raise
        from ..logs.stderr import log_to_stderr  # noqa: PLC0415 (the server does it otherwise)

        log_to_stderr(settings.log, settings.log_format)
        log.critical("%s", error.detail)
        sys.exit(error.exit_code)


def _end(number: int, _frame: FrameType | None) -> None:
    """End by the signal, as if nobody handled it. The first process of a container does not even notice one that nobody
    handles: stopped while it starts, it would be waited for in vain.
    """
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)
    os._exit(128 + number)


def _run(settings: Settings, listener: socket.socket, title: str) -> None:
    with uncollected():
        with _deferred_models():
            import fastapi  # noqa: F401, PLC0415 (before all that imports it)
        from ..main import create_app  # noqa: PLC0415 (a port in use or a wrong setting is told before the slow imports)
        from ..server import serve  # noqa: PLC0415

        app = create_app(settings)
    try:
        port = int(listener.getsockname()[1])
        shown = banner(
            settings, version=version("pygents"), title=title, port=port, agents=AgentRegistry.all(),
            tools=ToolRegistry.all(),
        )  # fmt: skip
    except BaseException:
        asyncio.run(app.state.service.close())  # its store has a thread, which would keep the process alive
        raise

    def ready() -> None:
        its_gate = app.state.service.services.gate
        open_to_all = not settings.loopback and its_gate.open
        warning = f"there is no key; everybody who reaches {settings.host} can use this service."
        if settings.log_format == "json":  # whoever reads that reads nothing else
            log.info("serves %s on %s", title, local_url(settings.host, port))
            if open_to_all:
                log.warning("%s", warning)
            return
        print(shown, flush=True)
        if settings.admin_key is None and not its_gate.open:
            token = f" or a token of {settings.jwt_issuer}" if settings.jwt_issuer is not None else ""
            print(
                f"Every request needs a key{token}, as -H 'Authorization: Bearer …'; pygents keys list shows them.",
                flush=True,
            )
        if open_to_all:
            print(f"WARNING: {warning}", file=sys.stderr)

    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # from here on uvicorn's; it raises the signal again at the end
    try:
        serve(app, settings, sockets=[listener], on_ready=ready)
    except KeyboardInterrupt:
        sys.exit(128 + 2)


@contextmanager
def _deferred_models() -> Iterator[None]:
    """Let pydantic models that are defined in the block be built when they are first used (its own ``defer_build``).

    For FastAPI, whose models of an OpenAPI document take a tenth of the time to start; only making one needs them.
    """
    before = dict(BaseModel.model_config)
    BaseModel.model_config["defer_build"] = True
    try:
        yield
    finally:
        if "defer_build" not in before:
            del BaseModel.model_config["defer_build"]
        BaseModel.model_config.update(before)  # type: ignore[typeddict-item]


def _inherited(descriptor: int) -> socket.socket:
    try:
        listener = socket.socket(fileno=descriptor)
    except OSError:
        raise StartupError(f"File descriptor {descriptor} is not a socket that this process was given.") from None
    if not listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        raise StartupError(f"The socket of file descriptor {descriptor} does not listen.")
    if listener.family not in (socket.AF_INET, socket.AF_INET6):
        raise StartupError(f"The socket of file descriptor {descriptor} is not one of TCP.")
    return listener


def _listening(settings: Settings, listener: socket.socket) -> Settings:
    """With the address that is in truth listened on, if who may reach that is not who may reach the one that is set."""
    there = settings.model_copy(update={"host": listener.getsockname()[0]})
    return settings if settings.loopback == there.loopback else there


def listen(settings: Settings) -> socket.socket:
    """A listening socket: connections wait in it until the service is ready. Raises ``StartupError``."""
    host = settings.host.strip("[]")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError):
        raise StartupError(f"The host {settings.host!r} is not an address of this machine.") from None
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise StartupError(_why(error, settings), passes=error.errno == errno.EADDRINUSE) from None
    return listener


def _why(error: OSError, settings: Settings) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return (
                f"Port {settings.port} of {settings.host} is in use. Stop what uses it, or choose another with --port."
            )
        case errno.EACCES:
            return f"Port {settings.port} needs more rights than this process has. Choose one above 1023 with --port."
        case errno.EADDRNOTAVAIL:
            return f"The host {settings.host!r} is not an address of this machine."
        case _:
            return f"Cannot listen on {settings.host} port {settings.port}: {error.strerror}."
