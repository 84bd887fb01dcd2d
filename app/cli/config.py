"""``pygents config``: the settings that a service would start with here, and where each of them comes from."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .output import Output, plain

if TYPE_CHECKING:
    from ..settings import Collected

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="What a service would be started with.")


@app.callback()
def _verbs() -> None:
    """Without this there would be no verb of its own: typer takes a lone command for the whole."""


@app.command()
def show(  # noqa: PLR0917 (typer calls it by name)
    host: Annotated[str | None, typer.Option(help="As for serve.")] = None,
    port: Annotated[int | None, typer.Option(help="As for serve.")] = None,
    store: Annotated[str | None, typer.Option(help="As for serve.")] = None,
    drain: Annotated[float | None, typer.Option(help="As for serve.")] = None,
    log: Annotated[str | None, typer.Option(help="As for serve.")] = None,
    insecure: Annotated[bool, typer.Option("--insecure", help="As for serve.")] = False,
    output: Annotated[Output, typer.Option(help="Print it for people (text) or for programs (json).")] = Output.TEXT,
) -> None:
    """Show every setting, its value and its origin: a flag, the environment, .env, pygents.toml or the default.

    Secrets are never shown. What would keep a service from starting is told as serve tells it, with exit code 2.
    """
    from ..settings import collect  # noqa: PLC0415 (--help must not wait for pydantic)
    from .closed import check  # noqa: PLC0415

    flags = {"host": host, "port": port, "store": store, "drain": drain, "log": log, "insecure": insecure or None}
    collected = collect(flags)
    check(collected.settings)
    found = _described(collected)
    print(json.dumps(found, indent=2) if output is Output.JSON else _as_text(found))


def _described(collected: "Collected") -> list[dict[str, Any]]:
    from ..settings import PREFIX, Origin  # noqa: PLC0415

    values, fields = collected.settings.printable(), type(collected.settings).model_fields
    found = []
    for name, field in fields.items():
        origin = collected.origins.get(name, Origin("default", ""))
        found.append(
            {
                "name": name,
                "variable": PREFIX + name.upper(),
                "value": values[name],
                "from": origin._asdict(),
                "description": field.description,
            }
        )
    return found


def _as_text(found: list[dict[str, Any]]) -> str:
    rows = [(each["name"], plain(each["value"]), " ".join(each["from"].values()).rstrip()) for each in found]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    return "\n".join(f"{name:{widths[0]}}  {value:{widths[1]}}  {origin}" for name, value, origin in rows)
