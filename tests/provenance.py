"""Where figures come from: which code, on which machine."""

import os
import platform
import sqlite3
import subprocess
from functools import partial
from pathlib import Path

ROOT = Path(__file__).parents[1]


def commit() -> str:
    git = partial(subprocess.run, cwd=ROOT, capture_output=True, text=True, check=False)
    changed = git(["git", "status", "--porcelain", "app", "pygents_core"]).stdout.strip()
    return git(["git", "rev-parse", "HEAD"]).stdout.strip() + (" with changes" if changed else "")


def machine() -> dict[str, object]:
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "cpu": models[0].partition(": ")[2] if models else platform.processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
    }
