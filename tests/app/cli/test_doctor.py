"""``pygents doctor``: each judgement by itself, and the whole of it on a real machine beside a real server."""

import json
import os
import signal
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from pygents_app.cli import findings
from pygents_app.cli.findings import State
from pygents_app.store.lockfile import LockFile, holder
from tests.app.cli.test_cli import run
from tests.helpers import eventually_sync
from tests.service import serving

NOW = datetime(2026, 11, 30, tzinfo=UTC)
GIB = 1 << 30


class TestJudgements:
    @pytest.mark.parametrize(
        ("version", "has"),
        [((3, 6, 23), False), ((3, 7, 0), True), ((3, 40, 1), True), ((3, 44, 5), True), ((3, 44, 6), False),
         ((3, 45, 0), True), ((3, 50, 6), True), ((3, 50, 7), False), ((3, 51, 2), True), ((3, 51, 3), False),
         ((3, 52, 0), False), ((4, 0, 0), False)],
    )  # fmt: skip
    def test_which_releases_have_the_wal_reset_bug(self, version: tuple[int, int, int], has: bool) -> None:
        assert findings.has_wal_reset_bug(version) is has

    @pytest.mark.parametrize(
        ("finding", "state"),
        [
            (findings.of_python((3, 10, 9), "Linux"), State.PROBLEM),
            (findings.of_python((3, 11, 0), "Linux"), State.OK),
            (findings.of_sqlite((3, 39, 4)), State.PROBLEM),
            (findings.of_sqlite((3, 51, 2)), State.WARNING),
            (findings.of_sqlite((3, 51, 3)), State.OK),
            (findings.of_file_system("nfs4"), State.PROBLEM),
            (findings.of_file_system("tmpfs"), State.WARNING),
            (findings.of_file_system("ext4"), State.OK),
            (findings.of_file_system(None), State.OK),
            (findings.of_sync(0.03, 0.1), State.WARNING),
            (findings.of_sync(0.001, 0.1), State.OK),
            (findings.of_space(1 << 20, 0), State.PROBLEM),
            (findings.of_space(GIB // 2, 0), State.WARNING),
            (findings.of_space(4 * GIB, 5 * GIB), State.WARNING),
            (findings.of_space(4 * GIB, 3 * GIB), State.OK),
            (findings.of_clock(datetime(1970, 1, 1, tzinfo=UTC), None), State.PROBLEM),
            (findings.of_clock(NOW, NOW + timedelta(hours=1)), State.PROBLEM),
            (findings.of_clock(NOW, NOW + timedelta(seconds=5)), State.OK),
            (findings.of_clock(NOW, None), State.OK),
            (findings.of_descriptors(64), State.WARNING),
            (findings.of_descriptors(1024), State.OK),
        ],
    )
    def test_what_is_how_bad(self, finding: findings.Finding, state: State) -> None:
        assert finding.state is state, finding.text

    @pytest.mark.parametrize(
        ("mode", "told"), [(0o100600, False), (0o100400, False), (0o100440, False), (0o100640, True), (0o100604, True)]
    )
    def test_files_of_secrets_are_for_their_owner(self, mode: int, told: bool) -> None:
        assert (findings.of_secret_file("key", mode) is not None) is told


def looked(folder: Path, *arguments: str, code: int = 0, **environ: str) -> dict[str, list[dict[str, Any]]]:
    ended = run(folder, "doctor", "--output", "json", *arguments, **environ)
    assert ended.returncode == code, ended.stdout + ended.stderr
    report = json.loads(ended.stdout)
    assert report["ok"] is (code == 0)
    found: dict[str, list[dict[str, Any]]] = {}
    for finding in report["findings"]:
        found.setdefault(finding["name"], []).append(finding)
    return found


class TestMachine:
    def test_all_is_looked_at(self, tmp_path: Path) -> None:
        found = looked(tmp_path)
        assert list(found) == [
            "Python", "SQLite", "descriptors", "settings", "clock", "store", "file system", "sync", "space", "server",
        ]  # fmt: skip
        assert sqlite3.sqlite_version in found["SQLite"][0]["text"]
        assert list(tmp_path.iterdir()) == []

    def test_for_people_it_is_a_line_for_each(self, tmp_path: Path) -> None:
        ended = run(tmp_path, "doctor", PYGENTS_STORE="memory://")
        assert ended.returncode == 0
        assert "WARNING  store" in ended.stdout

    def test_a_server_that_uses_the_database_and_one_that_used_it(self, tmp_path: Path) -> None:
        with serving(tmp_path, "--demo") as service:
            port, store = str(service.port), f"sqlite:///{service.database}"
            (found,) = looked(tmp_path, PYGENTS_PORT=port, PYGENTS_STORE=store)["server"]
            assert found["text"] == f"process {service.pid} uses the database; {service.url} is ready."
            assert looked(tmp_path, str(service.database))["server"][0]["text"].startswith(f"process {service.pid} ")
            service.kill()
            assert looked(tmp_path)["server"][0]["text"] == "none uses the database now"

    def test_a_server_that_is_not_ready(self, tmp_path: Path) -> None:
        with serving(tmp_path, "--demo", settings={"drain": 60}) as service:
            turn = {"tool": "count", "kwargs": {"to": 10_000}}
            assert httpx.post(f"{service.url}/agents/counter/turns", json=turn, trust_env=False).status_code == 202
            service.signal(signal.SIGTERM)
            ready = f"{service.url}/readyz"
            eventually_sync(lambda: httpx.get(ready, trust_env=False).status_code == 503)
            (found,) = looked(tmp_path, PYGENTS_PORT=str(service.port))["server"]
            assert found["state"] == "warning"
            assert "is not ready: draining." in found["text"]

    @pytest.mark.parametrize("store", ["sqlite://pygents.db", "postgresql://u:s/ecret@host/name"])
    def test_a_store_that_is_none(self, tmp_path: Path, store: str) -> None:
        found = looked(tmp_path, code=1, PYGENTS_STORE=store)
        assert "is not understood" in found["settings"][1]["text"]
        assert "store" not in found
        assert "ecret" not in json.dumps(found)

    def test_files_of_settings_without_a_secret_may_be_read(self, tmp_path: Path) -> None:
        (tmp_path / "pygents.toml").write_text('store = "sqlite:///./mine.db"\n')
        (tmp_path / "pygents.toml").chmod(0o644)
        assert "files" not in looked(tmp_path)
        (tmp_path / "pygents.toml").write_text('admin_key = "correct-horse-battery"\n')
        assert looked(tmp_path)["files"][0]["text"].startswith("pygents.toml can be read by others")

    def test_a_key_file_that_dotenv_names(self, tmp_path: Path) -> None:
        (tmp_path / "key").write_text("correct-horse-battery")
        (tmp_path / "key").chmod(0o644)
        (tmp_path / ".env").write_text("PYGENTS_ADMIN_KEY_FILE=key\n")
        assert looked(tmp_path)["files"][0]["text"].startswith("key can be read by others")

    def test_settings_that_are_not_valid(self, tmp_path: Path) -> None:
        found = looked(tmp_path, code=1, PYGENTS_PROT="1")
        assert "did you mean PYGENTS_PORT?" in found["settings"][0]["text"]
        assert "store" not in found

    def test_a_service_that_would_be_open_to_others(self, tmp_path: Path) -> None:
        found = looked(tmp_path, code=1, PYGENTS_HOST="::")
        assert [each["state"] for each in found["settings"]] == ["ok", "problem"]
        assert "there is no key" in found["settings"][1]["text"]
        assert list(tmp_path.iterdir()) == []
        assert run(tmp_path, "keys", "create", "--scope", "admin").returncode == 0
        assert [each["state"] for each in looked(tmp_path, PYGENTS_HOST="::")["settings"]] == ["ok"]

    def test_a_key_is_not_shown_and_a_file_that_others_can_read_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "key").write_text("correct-horse-battery")
        os.chmod(tmp_path / "key", 0o644)
        ended = run(tmp_path, "doctor", PYGENTS_ADMIN_KEY_FILE="key")
        assert "correct-horse" not in ended.stdout
        assert "WARNING  files        key can be read by others (644): chmod 600" in ended.stdout
        os.chmod(tmp_path / "key", 0o600)
        assert "files" not in looked(tmp_path, PYGENTS_ADMIN_KEY_FILE="key")

    def test_a_database_that_others_can_read(self, tmp_path: Path) -> None:
        (tmp_path / "pygents.db").touch(0o644)
        (tmp_path / "pygents.db").chmod(0o644)
        assert "pygents.db can be read by others" in looked(tmp_path)["files"][0]["text"]

    def test_a_folder_in_which_others_can_write(self, tmp_path: Path) -> None:
        for mode in (0o777, 0o770):
            tmp_path.chmod(mode)
            (finding,) = looked(tmp_path)["files"]
            assert (finding["state"], f"({mode:o})" in finding["text"]) == ("warning", True)
        tmp_path.chmod(0o1777)
        assert "files" not in looked(tmp_path)

    def test_a_database_of_the_future(self, tmp_path: Path) -> None:
        (tmp_path / "pygents.db").touch()
        os.utime(tmp_path / "pygents.db", (2**33, 2**33))
        assert looked(tmp_path, code=1)["clock"][0]["state"] == "problem"

    def test_a_folder_that_is_not_there(self, tmp_path: Path) -> None:
        assert "no folder" in looked(tmp_path, str(tmp_path / "no" / "x.db"), code=1)["store"][0]["text"]

    def test_a_folder_in_the_place_of_the_file(self, tmp_path: Path) -> None:
        assert "is a folder" in looked(tmp_path, str(tmp_path), code=1)["store"][0]["text"]

    def test_a_folder_that_takes_no_files(self, tmp_path: Path) -> None:
        assert "no file can be written in /proc" in looked(tmp_path, "/proc/x.db", code=1)["sync"][0]["text"]


def test_a_whole_file_as_json(tmp_path: Path) -> None:
    with serving(tmp_path, "--demo") as service:
        service.stop()
    ended = run(tmp_path, "doctor", "--full", "--output", "json", str(service.database))
    report = json.loads(ended.stdout)
    assert (ended.returncode, report["ok"], report["problems"]) == (0, True, [])
    assert report["counted"]["agents"] > 0


def test_asking_who_holds_the_lock_leaves_it_alone(tmp_path: Path) -> None:
    """A process that closes a file loses its locks on it, whatever it opened it for (fcntl(2))."""
    database = tmp_path / "pygents.db"
    assert holder(database) is None
    lock = LockFile(database)
    try:
        assert holder(database) == os.getpid()
        assert looked(tmp_path)["server"][0]["text"].startswith(f"process {os.getpid()} uses the database")
    finally:
        lock.release()
    assert holder(database) is None
