"""``python plot.py RESULTS.json FOLDER``: two curves of what was measured, as PNG. A plain script: it runs in an
environment of its own, which has matplotlib and nothing of ours. What was not measured is not drawn.
"""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

SIZE_INCHES, DOTS_PER_INCH = (7.0, 4.0), 100


class Curve(NamedTuple):
    """A line with a band around it, from the least to the most of all rounds."""

    label: str
    x: list[float]
    median: list[float]
    least: list[float]
    most: list[float]


def curve(label: str, rows: Mapping[str, Mapping[str, Any]], metric: str, scale: float = 1.0) -> Curve:
    """One figure of all rows, whose names are numbers; ``scale`` makes it the axis' unit."""
    x = [float(name.replace(",", "")) for name in rows]
    medians, leasts, mosts = (
        [row[metric][which] * scale for row in rows.values()] for which in ("median", "least", "most")
    )
    return Curve(label, x, medians, leasts, mosts)


def latency(table: Mapping[str, Any], axes: Any) -> None:
    for metric, label in (("p50 ms", "p50"), ("p99 ms", "p99")):
        _draw(axes, curve(label, table["rows"], metric))
    axes.set(xscale="log", yscale="log", xlabel="connections", ylabel="POST to result, ms")
    axes.yaxis.set_major_formatter("{x:g}")
    _whole_numbers(axes, [float(name) for name in table["rows"]])


def length(table: Mapping[str, Any], axes: Any) -> None:
    lines = [
        curve("submit (p50)", table["rows"], "submit µs", 1e-3),
        curve("CPU of the server per submit", table["rows"], "CPU µs", 1e-3),
        curve("resume: the last 100 events (p50)", table["rows"], "resume ms"),
    ]
    for line in lines:
        _draw(axes, line)
    highest = max(max(line.most) for line in lines)
    axes.set(xlabel="events in the agent's log", ylabel="ms", ylim=(0, highest * 1.3))
    first = lines[0].x[1]
    axes.set_xscale("symlog", linthresh=first)
    axes.set_xlim(left=-first / 5)
    _whole_numbers(axes, lines[0].x)


PLOTS: Mapping[str, tuple[str, Callable[[Mapping[str, Any], Any], None]]] = {
    "latency": ("latency against connections", latency),
    "length": ("cost against log length", length),
}
"""File names, the beginning of the title of the table that each one shows, and who draws it."""


def found(results: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The plots that can be drawn, each with its table."""
    for name, (beginning, _) in PLOTS.items():
        for table in results["tables"]:
            if table["title"].startswith(beginning):
                yield name, table


def main(results: Path, folder: Path) -> None:
    matplotlib, pyplot = import_module("matplotlib"), import_module("matplotlib.pyplot")
    matplotlib.use("agg")
    read = json.loads(results.read_text())
    for name, table in found(read):
        figure, axes = pyplot.subplots(figsize=SIZE_INCHES, dpi=DOTS_PER_INCH, layout="constrained")
        PLOTS[name][1](table, axes)
        axes.set_title(f"{table['title']}\n{read['machine']}", fontsize=8)
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
        folder.mkdir(parents=True, exist_ok=True)
        # No metadata: the same figures make the same file.
        figure.savefig(folder / f"{name}.png", metadata={"Software": None})
        pyplot.close(figure)


def _draw(axes: Any, line: Curve) -> None:
    (drawn,) = axes.plot(line.x, line.median, marker="o", markersize=4, label=line.label)
    axes.fill_between(line.x, line.least, line.most, color=drawn.get_color(), alpha=0.2, linewidth=0)


def _whole_numbers(axes: Any, x: list[float]) -> None:
    """A tick at each measured place, and at no other."""
    axes.set_xticks(x, [f"{each:,.0f}" for each in x])
    axes.set_xticks([], minor=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
