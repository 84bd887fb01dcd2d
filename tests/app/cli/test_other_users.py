"""What a verb says to a user that may not see what it is about: one line, and never a traceback."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.app.cli.test_cli import ENVIRON, PYGENTS
from tests.service import serving

SOMEBODY = 65534
PLAIN = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search")
"""Root without what lets it see everything: it may still read the Python that runs the tests, wherever that lies."""
pytestmark = pytest.mark.skipif(os.geteuid() != 0 or shutil.which(PLAIN[0]) is None, reason="needs root, and setpriv")


@pytest.fixture
def hidden(tmp_path: Path) -> Path:
    """A database in a folder that somebody else alone may search."""
    folder = tmp_path / "hidden"
    folder.mkdir()
    (folder / "pygents.db").touch()
    folder.chmod(0o700)
    os.chown(folder, SOMEBODY, SOMEBODY)
    return folder / "pygents.db"


def run(folder: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PLAIN, str(PYGENTS), *arguments], cwd=folder, env=ENVIRON | environ, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    "arguments",
    [
        "serve --demo --port 0", "keys list", "keys create --scope admin", "keys revoke 000000000000", "backup x.db",
        "restore {file} --force", "restored {file}", "doctor --full", "config show --host ::", "doctor --full {file}",
    ],
)  # fmt: skip
def test_one_line(tmp_path: Path, hidden: Path, arguments: str) -> None:
    words = arguments.format(file=hidden).split()
    ended = run(tmp_path, *words, PYGENTS_STORE=f"sqlite:///{hidden}")
    assert (ended.returncode, ended.stdout) == (2, "")
    (line,) = ended.stderr.splitlines()
    assert line.startswith("error: ")
    assert str(hidden.parent) in line
    assert "Permission denied" in line


def test_settings_in_a_folder_that_may_not_be_searched(tmp_path: Path, hidden: Path) -> None:
    for verb, code in (("config show", 2), ("serve --demo", 2), ("health", 1), ("keys list", 2)):
        ended = run(hidden.parent, *verb.split())
        assert ended.returncode == code
        assert ended.stderr.removeprefix("error: ") == ".env cannot be read (Permission denied).\n"


def looked(folder: Path, database: Path) -> dict[str, dict[str, str]]:
    ended = run(folder, "doctor", "--output", "json", PYGENTS_STORE=f"sqlite:///{database}")
    assert ended.stderr == ""
    return {finding["name"]: finding for finding in json.loads(ended.stdout)["findings"]}


def test_the_doctor_says_what_cannot_be_seen(tmp_path: Path, hidden: Path) -> None:
    found = looked(tmp_path, hidden)
    assert found["store"]["state"] == "problem"
    assert "Permission denied" in found["store"]["text"]


def test_the_doctor_does_not_guess_whether_a_server_of_another_user_runs(tmp_path: Path) -> None:
    with serving(tmp_path, "--demo") as service:
        for part in ("", ".lock"):
            os.chown(f"{service.database}{part}", SOMEBODY, SOMEBODY)
        found = looked(tmp_path, service.database)
    assert found["store"]["state"] == "problem"
    assert "may not be read and written" in found["store"]["text"]
    assert found["server"]["state"] == "warning"
    assert "cannot be known" in found["server"]["text"]
