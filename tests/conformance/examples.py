"""``openapi/examples``: the examples of the OpenAPI document as files. ``make openapi`` writes them with this."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PROBLEM = "urn:pygents:problem:"


def files(document: Mapping[str, Any]) -> dict[str, Any]:
    """What is in which file: one for each body and answer, one for all problems by their types."""
    values = {name: example["value"] for name, example in document["components"]["examples"].items()}
    problems = {name: value for name, value in values.items() if is_problem(value)}
    return {f"{name}.json": value for name, value in values.items() if name not in problems} | {
        "problems.json": problems
    }


def is_problem(value: Any) -> bool:
    return isinstance(value, dict) and str(value.get("type")).startswith(PROBLEM)


def main(document: Path, folder: Path) -> None:
    found = files(json.loads(document.read_text()))
    folder.mkdir(exist_ok=True)
    for stale in {path.name for path in folder.iterdir()} - set(found):
        (folder / stale).unlink()
    for name, value in found.items():
        (folder / name).write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
