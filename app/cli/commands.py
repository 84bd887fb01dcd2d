"""The verbs of ``pygents``. What a verb needs is imported when it is called: ``--help`` must not wait for a web server.

Whatever stops the service from starting is one line on stderr and exit code 2, or 75 for what may pass by itself.
"""

import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from ..errors import StartupError
from . import config, deploy, key_verbs
from .output import Output
from .uncollected import uncollected

app = typer.Typer(
    add_completion=False, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False,
    help="Long-lived agents as a durable REST/SSE service.",
)  # fmt: skip
app.add_typer(config.app, name="config")
app.add_typer(deploy.app, name="deploy")
app.add_typer(key_verbs.app, name="keys")


def main() -> None:
    """The entry point of the installed command."""
    try:
        app()
    except StartupError as error:
        print(f"error: {' '.join(error.detail.split())}", file=sys.stderr)
        sys.exit(error.exit_code)
    except OSError as error:  # of a file that this user may not see, say; any other is a defect
        if error.filename is None:
            raise
        print(f"error: {error.filename}: {error.strerror}.", file=sys.stderr)
        sys.exit(2)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"pygents {version('pygents')}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Every verb has --help of its own."""


@app.command()
def serve(  # noqa: PLR0917 (typer calls it by name)
    code: Annotated[str | None, typer.Argument(metavar="[FILE_OR_MODULE]", help="Your tools and agents.")] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.  [default: 127.0.0.1]")] = None,
    port: Annotated[int | None, typer.Option(help="TCP port; 0 takes a free one.  [default: 8000]")] = None,
    store: Annotated[str | None, typer.Option(help="sqlite:///./pygents.db, or memory://")] = None,
    drain: Annotated[float | None, typer.Option(help="Seconds for running turns at shutdown.  [default: 30]")] = None,
    log: Annotated[str | None, typer.Option(help="debug, info, warning or error.  [default: info]")] = None,
    demo: Annotated[bool, typer.Option("--demo", help="Serve the demo agents.")] = False,
    insecure: Annotated[bool, typer.Option("--insecure", help="Listen beyond loopback without a key.")] = False,
    fd: Annotated[int | None, typer.Option(help="Listen on this socket, inherited from the parent process.")] = None,
) -> None:
    """Serve the tools and agents of a file (my_agents.py) or a module (my.agents).

    Further settings come from PYGENTS_... variables, .env and pygents.toml.
    """
    with uncollected():
        from .serve import serve_code  # noqa: PLC0415

    flags = {"host": host, "port": port, "store": store, "drain": drain, "log": log, "insecure": insecure or None}
    serve_code(code, demo=demo, flags=flags, descriptor=fd)


@app.command()
def dev(  # noqa: PLR0917 (typer calls it by name)
    code: Annotated[str, typer.Argument(metavar="FILE_OR_MODULE", help="Your tools and agents.")],
    host: Annotated[str | None, typer.Option(help="Address to listen on.  [default: 127.0.0.1]")] = None,
    port: Annotated[int | None, typer.Option(help="TCP port; 0 takes a free one.  [default: 8000]")] = None,
    store: Annotated[str | None, typer.Option(help="sqlite:///./pygents.db, or memory://")] = None,
    drain: Annotated[float | None, typer.Option(help="Seconds for running turns at a reload.  [default: 3]")] = None,
    log: Annotated[str | None, typer.Option(help="debug, info, warning or error.  [default: info]")] = None,
) -> None:
    """Serve as serve does, and start anew whenever a Python file beside yours, .env or pygents.toml changes.

    Nothing that was accepted is lost: a reload drains the service as a shutdown does, and clients wait meanwhile.
    """
    from .dev import dev as supervise  # noqa: PLC0415

    flags = {"host": host, "port": port, "store": store, "drain": drain, "log": log}
    raise typer.Exit(supervise(code, flags=flags))


@app.command()
def health(
    url: Annotated[str | None, typer.Option(help="Of a service elsewhere.", show_default=False)] = None,
    host: Annotated[str | None, typer.Option(help="The one that serve was given.", show_default=False)] = None,
    port: Annotated[int | None, typer.Option(help="The one that serve was given.", show_default=False)] = None,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds to wait for an answer.")] = 3.0,
) -> None:
    """Ask the service whether it is ready: exit code 0 if so, 1 if not, and one line that says why not.

    It is the service that the same PYGENTS_... variables, .env and pygents.toml describe. No key is needed.
    """
    from .health import health as ask  # noqa: PLC0415

    if url is not None and (host, port) != (None, None):
        raise typer.BadParameter("has host and port in it: give either --url, or --host and --port", param_hint="--url")
    found = ask(url, timeout, host=host, port=port)
    typer.echo(found.line, err=not found.ready)
    raise typer.Exit(0 if found.ready else 1)


@app.command()
def openapi() -> None:
    """Print the OpenAPI description of the service."""
    from ..api.install import Application  # noqa: PLC0415
    from ..api.openapi import text  # noqa: PLC0415

    print(text(Application()), end="")


@app.command()
def doctor(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="The database.  [default: that of the settings]")
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Read all of the file and check it; no server may use it.")
    ] = False,
    output: Annotated[Output, typer.Option(help="Print it for people (text) or for programs (json).")] = Output.TEXT,
) -> None:
    """Look at this machine and the settings; with --full at a database file. Exit code 1 if there is a problem."""
    from .doctor import check_file, check_machine  # noqa: PLC0415
    from .files import database_of  # noqa: PLC0415

    if full:
        check_file(file or database_of(None), output)
    else:
        check_machine(file, output)


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write it; must not exist.")],
    url: Annotated[str | None, typer.Option(help="The server to ask, for example http://127.0.0.1:8000")] = None,
    store: Annotated[str | None, typer.Option(help="Whose file to copy while it is not served.")] = None,
) -> None:
    """Copy the database, while it is served or while it is not. The key is PYGENTS_API_KEY or PYGENTS_ADMIN_KEY."""
    from . import backup as verbs  # noqa: PLC0415

    verbs.backup(file, url=url, store=store)


@app.command()
def restore(
    backup: Annotated[Path, typer.Argument(metavar="BACKUP", help="What pygents backup has written.")],
    store: Annotated[str | None, typer.Option(help="Whose file to replace.  [default: that of the settings]")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that exists; the old one is kept.")] = False,
) -> None:
    """Put a backup in the place of the database. Streams of clients begin anew, with higher numbers."""
    from . import backup as verbs  # noqa: PLC0415

    verbs.restore(backup, store=store, force=force)


@app.command()
def restored(file: Annotated[Path, typer.Argument(metavar="FILE", help="The database.")]) -> None:
    """Say that a database was copied here by hand, or has lost its end: it is taken as it is, as by restore."""
    from . import backup as verbs  # noqa: PLC0415

    verbs.restored(file)
