"""Whatever the service makes is for its owner only, from the first moment on, though the umask would give it to all."""

import os
import re
import shutil
import stat
import subprocess
from pathlib import Path

import httpx
import pytest

from pygents_app.store.owning import open_own
from tests.faults.conftest import AGENTS
from tests.service import COMMAND, Service, serving

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace, to see what is made and is gone")
GENEROUS = ("sh", "-c", 'umask 000; exec "$@"', "sh")
OPENED = re.compile(r'open(?:at)?\((?:AT_FDCWD, )?"(?P<path>[^"]+)", (?P<flags>[A-Z_|]+)(?:, (?P<mode>0\d*))?\)')
SOMEBODY = 12345
ALL_OF_THEM = {"", "-wal", "-shm", ".head", ".lock"}


def witnessed(trace: Path) -> tuple[str, ...]:
    # -D: a signal is for the service, not for the witness.
    return (*GENEROUS, "strace", "-D", "-f", "-qq", "-s", "4096", "-e", "trace=open,openat,creat", "-o", str(trace))


def made(folder: Path, trace: Path) -> dict[str, int]:
    """The files of the folder that were made, each with the mode that was asked for first.

    Later ones have no effect: SQLite asks for its usual mode, but the database and its copies are there by then, and
    what it puts beside them gets the mode that they have.
    """
    found: dict[str, int] = {}
    for match in OPENED.finditer(trace.read_text(errors="replace")):
        if "O_CREAT" in match["flags"] and match["path"].startswith(f"{folder}/"):
            found.setdefault(match["path"].removeprefix(f"{folder}/"), int(match["mode"], 8))
    return found


def open_to_others(files: dict[str, int]) -> dict[str, int]:
    return {name: mode for name, mode in files.items() if mode & 0o077}


def test_what_a_service_makes(tmp_path: Path) -> None:
    folder, trace = tmp_path / "data", tmp_path / "trace"
    folder.mkdir()
    service = Service(folder, AGENTS)
    try:
        service.start(*witnessed(trace))
        with httpx.Client(base_url=service.url, trust_env=False, timeout=60) as http:
            http.post("/agents", json={"name": "a", "tools": ["echo"]})
            turn = {"tool": "echo", "args": ["secret"]}
            assert http.post("/agents/a/turns", json=turn, headers={"Prefer": "wait=30"}).status_code == 200
            assert http.post("/backup").status_code == 200
        here = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.glob("pygents.db*")}
        assert set(here) == {f"pygents.db{part}" for part in ALL_OF_THEM}
        assert set(here.values()) == {0o600}
        service.stop(60)
    finally:
        service.end()
    files = made(folder, trace)
    assert any(".copy-" in name for name in files), "the copy that has no name any more was not seen"
    assert not open_to_others(files)


def test_what_the_verbs_make(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    service = Service(folder, AGENTS)
    try:
        service.start(*GENEROUS)
        # Through the server, and of the file.
        verb(tmp_path, "backup", folder / "one.db", "--url", service.url)
        service.stop(60)
    finally:
        service.end()
    store = f"sqlite:///{service.database}"
    verb(tmp_path, "backup", folder / "two.db", "--store", store)
    verb(tmp_path, "restore", folder / "two.db", "--store", store, "--force")
    verb(tmp_path, "restored", service.database)
    left = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.glob("*.db*")}
    assert any(".replaced-" in name for name in left)
    assert set(left.values()) == {0o600}, left


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to be root, as an operator who restores a backup is")
def test_what_root_makes_belongs_to_the_service(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    database = folder / "pygents.db"
    store = f"sqlite:///{database}"
    with serving(tmp_path, AGENTS) as service:
        service.stop()
    verb(tmp_path, "backup", tmp_path / "backup.db", "--store", f"sqlite:///{service.database}", watched=False)
    os.chown(folder, SOMEBODY, SOMEBODY)
    verb(tmp_path, "restore", tmp_path / "backup.db", "--store", store)
    verb(tmp_path, "restored", database)
    verb(tmp_path, "backup", folder / "two.db", "--store", store)
    owners = {path.name: path.stat().st_uid for path in folder.iterdir()}
    assert {"pygents.db", "pygents.db.lock", "pygents.db.head", "two.db"} <= owners.keys()
    assert set(owners.values()) == {SOMEBODY}


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to be root")
def test_what_was_there_keeps_its_owner(tmp_path: Path) -> None:
    """Or whom the folder belongs to could have root give them any file of the system, by a link."""
    (tmp_path / "of-root").touch()
    (tmp_path / "data").mkdir()
    os.chown(tmp_path / "data", SOMEBODY, SOMEBODY)
    for kind, link in (("symlink", os.symlink), ("hard", os.link)):
        path = tmp_path / "data" / kind
        link(tmp_path / "of-root", path)
        os.close(open_own(path))
    assert (tmp_path / "of-root").stat().st_uid == 0


def verb(tmp_path: Path, *arguments: str | Path, watched: bool = True) -> None:
    trace, environ = tmp_path / "trace", {k: v for k, v in os.environ.items() if not k.startswith("PYGENTS_")}
    command = [*witnessed(trace), str(COMMAND), *map(str, arguments)]
    subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, timeout=60, check=True)
    files = made(tmp_path / "data", trace)
    assert files or not watched
    assert not open_to_others(files)


@pytest.mark.parametrize(("mode", "doubted"), [(0o777, True), (0o1777, False), (0o700, False)])
def test_a_folder_in_which_others_could_put_another_database(tmp_path: Path, mode: int, doubted: bool) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    folder.chmod(mode)
    with serving(folder, AGENTS) as service:
        assert httpx.get(f"{service.url}/readyz", trust_env=False, timeout=60).status_code == 200
    assert ("put another database in place of this one" in service.log) is doubted
