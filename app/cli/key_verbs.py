"""``pygents keys create|list|revoke``."""

from typing import Annotated

import typer

app = typer.Typer(
    add_completion=False, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False,
    help=(
        "Make, list and revoke keys, through the running server or in its file while it does not run. "
        "A server wants a key with the scope admin: PYGENTS_API_KEY or PYGENTS_ADMIN_KEY."
    ),
)  # fmt: skip

AS_SET = "[default: the settings']"
Url = Annotated[str | None, typer.Option(help="The server to ask, for example http://127.0.0.1:8000")]
Store = Annotated[str | None, typer.Option(help="Whose file to use while it is not served.  [default: the settings']")]


@app.command()
def create(  # noqa: PLR0917 (typer calls it by name)
    scope: Annotated[
        list[str],
        typer.Option(
            help="agents:read, turns:write, turns:cancel, stream:read or admin; with @name or @beginning* for some "
            "agents only. May be given again."
        ),
    ],
    name: Annotated[str, typer.Option(help="For people, to know it by.")] = "",
    expires: Annotated[str | None, typer.Option(help="30d, 12h, 90m or seconds.  [default: never]")] = None,
    rate: Annotated[float | None, typer.Option(help=f"Requests a second; 0: any number.  {AS_SET}")] = None,
    burst: Annotated[int | None, typer.Option(help=f"Requests at once before the rate holds.  {AS_SET}")] = None,
    streams: Annotated[int | None, typer.Option(help=f"Open at once; 0: any number.  {AS_SET}")] = None,
    url: Url = None,
    store: Store = None,
) -> None:
    """Make a key and print it. That is the only time: what is stored is its hash."""
    from ..access.records import KeyLimits  # noqa: PLC0415
    from . import keys  # noqa: PLC0415

    keys.create(name, scope, expires, KeyLimits(rate, burst, streams), url=url, store=store)


@app.command(name="list")
def list_(url: Url = None, store: Store = None) -> None:
    """List the keys, those that are void included."""
    from . import keys  # noqa: PLC0415

    keys.list_(url=url, store=store)


@app.command()
def revoke(
    id: Annotated[str, typer.Argument(metavar="ID", help="As pygents keys list shows it.")],
    url: Url = None,
    store: Store = None,
) -> None:
    """Revoke a key, for ever. The next request with it is refused, and its streams end."""
    from . import keys  # noqa: PLC0415

    keys.revoke(id, url=url, store=store)
