"""The SQL of the store, one statement to a file, by the file's name."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files


@cache
def statements() -> Mapping[str, str]:
    """All statements; read once, at the first use."""
    return _texts("sql")


def migrations() -> Mapping[int, str]:
    """The scripts that lead from one version of the schema to the next, by the version that they lead to."""
    return {int(name.partition("_")[0]): text for name, text in sorted(_texts("sql/migrations").items())}


def _texts(folder: str) -> dict[str, str]:
    found = (entry for entry in files(__package__).joinpath(folder).iterdir() if entry.name.endswith(".sql"))
    return {entry.name.removesuffix(".sql"): entry.read_text(encoding="utf-8") for entry in found}
