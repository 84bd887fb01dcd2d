"""``pygents config show``: what counts, and why."""

import json
from pathlib import Path
from typing import Any

import pytest

from pygents_app.settings import Settings
from tests.app.cli.test_cli import run

KEY = "correct-horse-battery"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Every source has a say in the port, and each has something of its own."""
    (tmp_path / "pygents.toml").write_text('port = 1\nping = 1\nallowed_hosts = ["a.example", "b.example"]\n')
    (tmp_path / ".env").write_text("PYGENTS_PORT=2\nPYGENTS_DRAIN=2\n")
    (tmp_path / "key").write_text(KEY)
    return tmp_path


def shown(folder: Path, *arguments: str, **environ: str) -> dict[str, dict[str, Any]]:
    ended = run(folder, "config", "show", "--output", "json", *arguments, **environ)
    assert ended.returncode == 0, ended.stderr
    return {each["name"]: each for each in json.loads(ended.stdout)}


def test_every_setting_its_value_and_where_it_is_from(folder: Path) -> None:
    found = shown(folder, "--host", "::1", PYGENTS_PORT="3", PYGENTS_ADMIN_KEY_FILE="key")
    assert list(found) == list(Settings.model_fields)
    expected = {
        "host": ("::1", "flag", "--host"),
        "port": (3, "the environment", "PYGENTS_PORT"),
        "admin_key": ("**********", "the environment", "PYGENTS_ADMIN_KEY_FILE"),
        "drain": (2.0, ".env", "PYGENTS_DRAIN"),
        "ping": (1.0, "pygents.toml", "ping"),
        "allowed_hosts": (["a.example", "b.example"], "pygents.toml", "allowed_hosts"),
        "log": ("info", "default", ""),
        "insecure": (False, "default", ""),
    }
    assert expected == {
        name: (each["value"], each["from"]["where"], each["from"]["name"])
        for name, each in found.items()
        if name in expected
    }


def test_a_flag_goes_before_all_others(folder: Path) -> None:
    assert shown(folder, "--port", "4", PYGENTS_PORT="3")["port"]["value"] == 4
    assert shown(folder)["port"]["value"] == 2


def test_for_people_it_is_a_line_for_each(folder: Path) -> None:
    lines = run(folder, "config", "show").stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(Settings.model_fields)
    assert next(line for line in lines if line.startswith("drain")).split() == ["drain", "2.0", ".env", "PYGENTS_DRAIN"]


@pytest.mark.parametrize("output", ["text", "json"])
def test_no_secret_is_shown(folder: Path, output: str) -> None:
    secrets = {"PYGENTS_ADMIN_KEY": KEY, "PYGENTS_STORE": f"postgresql://{KEY}:{KEY}@{KEY}@host/name"}
    ended = run(folder, "config", "show", "--output", output, **secrets)
    assert ended.returncode == 2
    assert KEY not in ended.stdout + ended.stderr
    assert "The store 'postgresql://***@host/name' is not understood." in ended.stderr
    ended = run(folder, "config", "show", "--output", output, PYGENTS_ADMIN_KEY=KEY)
    assert ended.returncode == 0
    assert KEY not in ended.stdout + ended.stderr


def test_what_serve_would_refuse_is_refused_in_the_same_words(folder: Path) -> None:
    ended = run(folder, "config", "show", PYGENTS_PROT="1")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "PYGENTS_PROT, which is not a setting; did you mean PYGENTS_PORT?" in ended.stderr


@pytest.mark.parametrize("store", ["sqlite://pygents.db", "postgresql://host/name", "pygents.db", "sqlite:///x/"])
def test_a_store_that_is_none_is_refused_as_by_serve(folder: Path, store: str) -> None:
    ended = run(folder, "config", "show", PYGENTS_STORE=store)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == run(folder, "serve", "--demo", "--port", "0", PYGENTS_STORE=store).stderr


def test_a_service_that_would_be_open_to_others_is_refused_until_there_is_a_key(folder: Path) -> None:
    ended = run(folder, "config", "show", "--host", "::")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ":: can be reached from other machines and there is no key." in ended.stderr
    assert run(folder, "keys", "create", "--scope", "admin").returncode == 0
    assert shown(folder, "--host", "::")["host"]["value"] == "::"
