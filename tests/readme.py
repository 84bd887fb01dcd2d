"""The parts of README.md and of the guide that are made: ``python -m tests.readme`` writes them anew.

The settings come from the code, what survived which faults from what ``make chaos`` has kept, which attacks got through
from what ``make attacks`` has, the figures from what ``make bench`` has.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from pydantic_core import PydanticUndefined

from pygents_app.explanations.catalogue import catalogue
from pygents_app.explanations.entry import Kind
from pygents_app.settings import PREFIX, Settings
from tests.attacks.topics import table as topics_table
from tests.attacks.weapons import WEAPONS
from tests.bench.record import figures_table, medians_table

ROOT = Path(__file__).parents[1]
README, SPEED = ROOT / "README.md", ROOT / "app" / "guide" / "speed.md"
PROBLEMS = ROOT / "app" / "guide" / "problems.md"
SECURITY = ROOT / "app" / "guide" / "security.md"
RESULTS = Path(__file__).parent / "faults" / "results.json"
HARM = Path(__file__).parent / "attacks" / "results.json"
FIGURES = Path(__file__).parent / "bench" / "results.json"
ATTACKS: Mapping[str, tuple[str, str]] = {
    "kills": ("`kill -9` under load, at any moment or at a named point of the code", "kills"),
    "restarts": ("a restart under load, with open streams and running turns", "rolling restarts"),
    "twins": ("the same submit twice at once, with one Idempotency-Key", "twins"),
    "cancels": ("a cancel against the finish of its turn, with kills", "cancels answered"),
    "resumes": ("events read by streams that were cut off and resumed, with kills", "resumed events"),
    "cuts": ("a power cut under load: what was not synced is lost", "power cuts"),
}
"""What is told of each campaign, and which of its counts."""


BUSY = ("p50 ms, busy tool", "p99 ms, busy tool", "stream p99 ms", "stream p99 ms, busy tool")


def settings_table() -> str:
    rows = ["| variable | default | meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        rows.append(f"| `{PREFIX}{name.upper()}` | {_shown(field.default)} | {field.description} |")
    return "\n".join(rows) + "\n"


def _shown(default: object) -> str:
    if default is PydanticUndefined or default is None or default in ((), False) or isinstance(default, SecretStr):
        return ""
    return f"`{default}`"


def attacks_table(results: Mapping[str, Any]) -> str:
    rows = ["| attack | how often | acknowledged requests | lost or wrong |", "|---|---|---|---|"]
    for name, (attack, counted) in ATTACKS.items():
        counts = results["counts"][name]
        known = sum(count for what, count in counts.items() if what.endswith(" ok"))
        failed = sum(failure["chapter"].startswith(f"{name}:") for failure in results["failures"])
        rows.append(f"| {attack} | {counts[counted]:,} | {f'{known:,}' if known else ''} | {failed} |")
    machine, relaxed = results["machine"], results["counts"]["relaxed"]
    rows.append(
        f"\nFrom `{results['command']}` in {round(results['seconds'] / 60)} minutes at {results['commit'][:12]} "
        f"({machine['cores']} cores, Python {machine['python']}, SQLite {machine['sqlite']}); all counts are in "
        "[tests/faults/results.json](tests/faults/results.json). With `PYGENTS_DURABILITY=relaxed` "
        f"{relaxed['relaxed power cuts']} power cuts lost {relaxed['relaxed, acknowledged and lost']:,} of "
        f"{relaxed['relaxed, acknowledged']:,} acknowledged turns: always the last ones, of at most "
        f"{relaxed['longest loss, ms'] / 1000:.1f} seconds."
    )
    return "\n".join(rows) + "\n"


def harm_table(results: Mapping[str, Any]) -> str:
    rows = ["| what | how often | got through |", "|---|---|---|"]
    for name, (_, attack, _) in WEAPONS.items():
        through = sum(what.startswith(f"{name} ") for what in results["through"])
        rows.append(f"| {attack} | {results['attacks'][name]:,} | {through} |")
    return "\n".join(rows) + f"\n\n{_harm(results)}\n"


def harm_line(results: Mapping[str, Any]) -> str:
    page = "[A page](app/guide/security.md#what-is-tried-against-it)"
    return f"{page} tells what is tried against it. {_harm(results)}\n"


def _harm(results: Mapping[str, Any]) -> str:
    machine, through = results["machine"], len(results["through"])
    return (
        f"`{results['command']}` made {sum(results['attacks'].values()):,} attacks in {results['seconds']} seconds "
        f"at {results['commit'][:12]} ({machine['cores']} cores, Python {machine['python']}); "
        f"{through or 'nothing'} got through, and the process had grown by {results['grown_bytes'] / 2**20:.0f} MiB."
    )


def problems_table(kind: Kind) -> str:
    """What the service itself says at ``/problems``."""
    rows = ["| name | status | meaning | remedy | again |", "|---|---|---|---|---|"]
    rows = rows if kind is Kind.HTTP else ["| name | meaning | remedy | again |", "|---|---|---|---|"]
    for entry in catalogue().values():
        if entry.kind is kind:
            meaning, remedy, repeat = entry.explanation
            name, status = (entry.name, f"{entry.status} | ") if kind is Kind.HTTP else (entry.type, "")
            rows.append(f"| `{name}` | {status}{meaning} | {remedy} | {repeat} |")
    return "\n".join(rows) + "\n"


def _medians(title: str, metrics: Sequence[str]) -> str:
    return medians_table(json.loads(FIGURES.read_text()), title, metrics)


BLOCKS: Mapping[str, tuple[Path, Callable[[], str]]] = {
    "settings": (README, settings_table),
    "attacks": (README, lambda: attacks_table(json.loads(RESULTS.read_text()))),
    "harm": (SECURITY, lambda: harm_table(json.loads(HARM.read_text()))),
    "harmless": (README, lambda: harm_line(json.loads(HARM.read_text()))),
    "topics": (SECURITY, topics_table),
    "figures": (README, lambda: figures_table(json.loads(FIGURES.read_text()))),
    **{
        name: (PROBLEMS, partial(problems_table, kind))
        for name, kind in zip(("requests", "closings", "resets", "turns"), Kind, strict=True)
    },
    "submit": (
        SPEED,
        partial(_medians, "submit:", ["per s", "CPU µs", "HTTP µs", "committer µs", "worker µs", "p50 ms", "p99 ms"]),
    ),
    "parts": (SPEED, partial(_medians, "parts of a submit", ["µs"])),
    "guard": (SPEED, partial(_medians, "guard:", ["per s", "CPU µs", "HTTP µs", "committer µs", "p50 ms", "p99 ms"])),
    "guard parts": (SPEED, partial(_medians, "parts of guarding", ["µs", "% of a submit"])),
    "delivery": (SPEED, partial(_medians, r"fan-out: .* to 1000 streams, \d", ["CPU µs", "p50 ms", "p99 ms"])),
    "event": (SPEED, partial(_medians, "parts of a delivered event", ["µs"])),
    "values": (SPEED, partial(_medians, "values of a turn", ["values per commit", "CPU µs"])),
    "interval": (
        SPEED,
        partial(_medians, "switch interval", ["round trips per s", "submit p50 ms", *BUSY]),
    ),
}


def block(name: str) -> "re.Pattern[str]":
    """What stands between two marks of that name. In the guide they are link definitions, which are not shown."""
    first, last = (rf"(?:<!-- {mark} -->|\[//\]: # \({mark}\))" for mark in (name, f"/{name}"))
    return re.compile(rf"({first}\n+)(.*?)(\n*{last})", re.DOTALL)


def shown(name: str) -> str | None:
    """What stands there now."""
    found = block(name).search(BLOCKS[name][0].read_text())
    return found[2] if found is not None else None


def main() -> None:
    for name, (page, made) in BLOCKS.items():
        text = page.read_text()
        found = block(name).search(text)
        if found is None:
            raise LookupError(f"{page.name} has no place for {name}")
        rest = text[found.end(2) :]
        ending = "" if rest.startswith("\n") else "\n\n"  # nothing stood there yet
        page.write_text(text[: found.start(2)] + made().rstrip("\n") + ending + rest)


if __name__ == "__main__":
    main()
