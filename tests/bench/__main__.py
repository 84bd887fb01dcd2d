"""``python -m tests.bench [names]``: run the benches, print their tables, keep the figures.

Only a pass of all benches writes the record that README's figures come from (``results.json``, ``plots``): figures of
several commits in one record would lie. BENCH_SECONDS is the length of a burst (1.0): below 0.5 there is one round of
everything, which only shows that it works.
"""

import argparse
import os
import resource
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import uvloop

from . import (
    endtoend,
    fanout,
    growth,
    guard,
    latency,
    library,
    loglength,
    loops,
    mailbox,
    memory,
    parts,
    report,
    roundtrip,
    startup,
    submit,
    values,
)
from .harness import ROOT, Dose, Table, dose_of

BENCHES: Mapping[str, Callable[[Dose, Path], Awaitable[list[Table]]]] = {
    "submit": submit.measure,
    "guard": guard.measure,
    "parts": parts.measure,
    "roundtrip": roundtrip.measure,
    "endtoend": endtoend.measure,
    "latency": latency.measure,
    "fanout": fanout.measure,
    "values": values.measure,
    "loops": loops.measure,
    "library": library.measure,
    "startup": startup.measure,
    "memory": memory.measure,
    "growth": growth.measure,
    "mailbox": mailbox.measure,
    "loglength": loglength.measure,
}
RECORD = Path(__file__).resolve().parent / "results.json"
LATEST = Path(__file__).resolve().parent / "results" / "latest.json"
SCRATCH = ROOT / ".cache" / "bench"
"""Where stores are made: beside the tree, because a folder for temporary files may lie in memory."""


def main() -> None:
    asked = _arguments()
    dose = dose_of(float(os.environ.get("BENCH_SECONDS", "1")))
    _allow_many_descriptors()
    tables: list[Table] = []
    for name in asked.names or BENCHES:
        for table in uvloop.run(_measure(name, dose)):
            print(report.text(table), flush=True)
            tables.append(table)
    results = asked.results or destination(asked.names, dose)
    report.write(results, tables, dose, f'make bench ARGS="{" ".join(asked.names)}"' if asked.names else "make bench")
    print(f"\nkept in {os.path.relpath(results)}, plots in {_plots(results, dose)}")


def destination(names: Sequence[str], dose: Dose) -> Path:
    return LATEST if names or dose.small else RECORD


def _plots(results: Path, dose: Dose) -> str:
    try:
        return os.path.relpath(report.draw(results, install=not dose.small))
    except LookupError as reason:
        return f"no folder: skipped, {reason}"


async def _measure(name: str, dose: Dose) -> list[Table]:
    SCRATCH.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=SCRATCH, prefix=f"{name}-") as folder:
        return await BENCHES[name](dose, Path(folder))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure the service and the library.")
    parser.add_argument("names", nargs="*", metavar="BENCH", help=f"of {', '.join(BENCHES)}; all without")
    parser.add_argument("--results", type=Path, help="the JSON file to write, with the folder plots beside it")
    asked = parser.parse_args()
    if unknown := set(asked.names) - set(BENCHES):
        parser.error(f"there is no bench {', '.join(sorted(unknown))}")
    return asked


def _allow_many_descriptors() -> None:
    """A stream takes one here and one in the server, which inherits the limit."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


if __name__ == "__main__":
    main()
