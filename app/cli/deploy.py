"""``pygents deploy``: the files that a deployment needs, out of the installed package."""

import json
from collections.abc import Sequence
from typing import Annotated

import typer

from ..deploy.files import FILES, DeploymentFile, find
from ..errors import StartupError
from .output import Output

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Files for proxies, systemd, Kubernetes and Prometheus."
)


@app.command("list")
def show_list(
    output: Annotated[Output, typer.Option(help="Print it for people (text) or for programs (json).")] = Output.TEXT,
) -> None:
    """List the files, and where each of them goes."""
    print(_as_json(FILES) if output is Output.JSON else _as_text(FILES))


@app.command()
def show(name: Annotated[str, typer.Argument(help="One of those that `pygents deploy list` shows.")]) -> None:
    """Print a file: pygents deploy show nginx > pygents.conf. What you have to change in it is marked CHANGE."""
    file = find(name)
    if file is None:
        known = ", ".join(each.name for each in FILES)
        raise StartupError(f"There is no deployment file {name!r}. Those are: {known}.")
    print(file.text(), end="")


def _as_text(files: Sequence[DeploymentFile]) -> str:
    lines = [f"{file.name:11} {file.purpose}\n{'':11} -> {file.place}" for file in files]
    return "\n".join([*lines, "Print one with: pygents deploy show NAME"])


def _as_json(files: Sequence[DeploymentFile]) -> str:
    return json.dumps([{"name": file.name, "place": file.place, "purpose": file.purpose} for file in files], indent=2)
