"""The files of a container as they are read: Dockerfile, .dockerignore, compose.yaml."""

import ipaddress
import re
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from pygents_app.settings import Settings
from tests.container.dockerfile import Instruction, parse
from tests.container.image import context_of

ROOT = Path(__file__).parents[2]
STAGES = parse((ROOT / "Dockerfile").read_text())
LAST = {instruction.word: instruction for instruction in STAGES[-1].instructions}


def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
    return found


def of_service(key: str) -> Any:
    return compose()["services"]["pygents"][key]


class TestDockerfile:
    def test_everything_that_is_copied_is_there_and_not_ignored(self) -> None:
        context = context_of(ROOT)
        copies = [instruction for stage in STAGES for instruction in stage.instructions if instruction.word == "COPY"]
        sources = [source for copy in copies if "from" not in copy.flags for source in copy.text.split()[:-1]]
        assert {"app", "requirements.lock"} <= set(sources)
        assert not [
            source for source in sources if not any(path == source or path.startswith(source + "/") for path in context)
        ]

    def test_nothing_else_is_in_the_context(self) -> None:
        sources = {source for stage in STAGES for each in stage.instructions for source in each.text.split()}
        engines_own = {"Dockerfile", ".dockerignore"}
        assert not {path.split("/")[0] for path in context_of(ROOT)} - sources - engines_own

    def test_both_stages_have_the_same_python_which_is_a_supported_one(self) -> None:
        (base,) = {stage.base for stage in STAGES}
        version = re.fullmatch(r"python:(3\.\d+)-slim", base)
        assert version
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        assert f"Programming Language :: Python :: {version[1]}" in project["classifiers"]

    def test_its_settings_are_settings(self) -> None:
        env = LAST["ENV"].pairs({"PATH": ""})
        values = {name.removeprefix("PYGENTS_").lower(): value for name, value in env.items() if "PYGENTS_" in name}
        settings = Settings.model_validate(values | {"admin_key": "x" * 16})
        assert ipaddress.ip_address(settings.host).is_unspecified
        assert settings.store.startswith(f"sqlite:///{LAST['VOLUME'].text}/")
        assert int(LAST["EXPOSE"].text) == settings.port

    def test_its_user_is_a_number_and_not_root(self) -> None:
        assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", LAST["USER"].text)

    @pytest.mark.parametrize("word", ["ENTRYPOINT", "CMD", "HEALTHCHECK"])
    def test_no_shell_stands_between_the_engine_and_the_process(self, word: str) -> None:
        assert Instruction(word, {}, LAST[word].text.removeprefix("CMD ")).exec_form


class TestIgnored:
    @pytest.mark.parametrize(
        "left_behind",
        [
            ".env", ".git/config", ".venv/bin/python", "pygents.db", "pygents.db-wal", "admin_key", "tests/test_x.py",
            "app/.env", "app/x.db", "app/x.db-wal", "app/store/x.db.lock", "app/__pycache__/main.cpython-313.pyc",
            "pygents_core/x.pyc", "app/pygents.toml", "app/demo/.DS_Store", "pygents.egg-info/PKG-INFO",
        ],
    )  # fmt: skip
    def test_what_developing_leaves_behind(self, tmp_path: Path, left_behind: str) -> None:
        shutil.copy(ROOT / ".dockerignore", tmp_path)
        for name in (left_behind, "app/main.py", "app/store/sql/insert.sql"):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()
        assert context_of(tmp_path) - {".dockerignore"} == {"app/main.py", "app/store/sql/insert.sql"}


class TestCompose:
    def test_only_this_machine_can_connect(self) -> None:
        (port,) = of_service("ports")
        host, _, inside = port.split(":")
        assert ipaddress.ip_address(host).is_loopback
        assert inside == LAST["EXPOSE"].text

    def test_it_does_not_start_without_a_key(self) -> None:
        assert of_service("environment")["PYGENTS_ADMIN_KEY"].startswith("${PYGENTS_ADMIN_KEY:?Choose a key")

    def test_it_has_no_rights(self) -> None:
        assert of_service("read_only") is True
        assert of_service("cap_drop") == ["ALL"]
        assert of_service("security_opt") == ["no-new-privileges:true"]
        assert of_service("tmpfs") == ["/tmp"]  # noqa: S108

    def test_the_database_is_on_a_volume_that_is_kept(self) -> None:
        (volume,) = of_service("volumes")
        name, target = volume.split(":")
        assert name in compose()["volumes"]
        assert target == LAST["VOLUME"].text

    def test_there_is_time_to_drain(self) -> None:
        seconds = int(of_service("stop_grace_period").removesuffix("s"))
        assert seconds > Settings.model_fields["drain"].default + 5

    def test_its_environment_has_only_settings_and_the_endpoints(self) -> None:
        for name in of_service("environment"):
            assert name.startswith("OPENAI_") or name.removeprefix("PYGENTS_").lower() in Settings.model_fields

    def test_the_healthcheck_is_the_images(self) -> None:
        assert "healthcheck" not in compose()["services"]["pygents"]
