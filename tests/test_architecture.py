"""The tree keeps the rules of the house; and each rule is shown to notice when it is broken."""

import re
import subprocess
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.architecture import (
    CORE_NEVER,
    MAX_FILE_LINES,
    MAX_FUNCTION_LINES,
    RECEIVERS,
    Module,
    absolute_imports,
    broken_layers,
    constructions,
    cycles,
    forbidden_imports,
    hosts_in,
    machine_paths_in,
    sql_in,
    tasks_in,
    too_long,
)

ROOT = Path(__file__).resolve().parent.parent
# Folders of the product, by the name that they are installed under.
FOLDERS = {"pygents_core": ROOT / "pygents_core", "pygents_app": ROOT / "app"}
# In halves, so that this file passes its own test.
HOSTS = tuple(
    left + right
    for left, right in (
        ("pypi", ".org"),
        ("python", "hosted.org"),
        ("npmjs", ".org"),
        ("npmjs", ".com"),
        ("deb.debian", ".org"),
        ("security.debian", ".org"),
        ("proxy.golang", ".org"),
        ("crates", ".io"),
        ("docker", ".io"),
        ("ghcr", ".io"),
        ("quay", ".io"),
    )
)


@cache
def product() -> tuple[Module, ...]:
    return tuple(_module(path, folder, name) for name, folder in FOLDERS.items() for path in _sources(folder))


@cache
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def in_app() -> list[Module]:
    return [module for module in product() if module.name.startswith("pygents_app")]


def in_core() -> list[Module]:
    return [module for module in product() if module.unit == "pygents_core"]


def _sources(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.py") if "__pycache__" not in path.parts)


def _module(path: Path, folder: Path, name: str) -> Module:
    inner = path.relative_to(folder).with_suffix("").parts
    is_package = inner[-1] == "__init__"
    return Module(".".join([name, *(inner[:-1] if is_package else inner)]), path.read_text(), is_package)


def _texts() -> dict[str, str]:
    """Text files that are tracked, or would be; without a checkout (in an unpacked source distribution) all files."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\0")
    except (OSError, subprocess.CalledProcessError):
        listed = [str(path.relative_to(ROOT)) for path in ROOT.rglob("*")]
    files = [ROOT / name for name in listed if name and (ROOT / name).is_file()]
    data = {str(path.relative_to(ROOT)): path.read_bytes() for path in files}
    return {name: content.decode() for name, content in data.items() if b"\0" not in content}


def _flat(violations: list[list[str]]) -> list[str]:
    return [line for lines in violations for line in lines]


class TestTree:
    def test_the_product_was_found(self) -> None:
        assert in_app()
        assert in_core()

    def test_imports_go_down(self) -> None:
        assert not _flat([broken_layers(module) for module in product()])

    def test_imports_make_no_circle(self) -> None:
        assert not cycles(product())

    def test_the_service_imports_itself_relatively(self) -> None:
        assert not _flat([absolute_imports(module) for module in in_app()])

    def test_the_library_knows_no_http_and_no_database(self) -> None:
        assert not _flat([forbidden_imports(module, CORE_NEVER) for module in in_core()])

    def test_files_and_functions_fit_in_a_head(self) -> None:
        assert not _flat([too_long(module) for module in product()])

    def test_the_api_has_no_sql_and_starts_no_tasks(self) -> None:
        api = [module for module in product() if module.unit == "api"]
        assert not _flat([sql_in(module) + tasks_in(module) for module in api])

    def test_only_main_constructs(self) -> None:
        assert not _flat([constructions(module) for module in product() if module.unit in RECEIVERS])

    def test_tests_use_the_installed_name_of_the_service(self) -> None:
        tests = [_module(path, ROOT / "tests", "tests") for path in _sources(ROOT / "tests")]
        assert not _flat([forbidden_imports(module, {"app"}) for module in tests])

    def test_test_folders_are_packages(self) -> None:
        """Or two test files of one name could not live in two folders."""
        folders = {path.parent for path in _sources(ROOT / "tests")}
        assert not [str(folder) for folder in folders if not (folder / "__init__.py").is_file()]

    def test_no_registry_is_named(self) -> None:
        assert not [(name, hosts_in(text, HOSTS)) for name, text in _texts().items() if hosts_in(text, HOSTS)]

    def test_no_path_of_a_developers_machine(self) -> None:
        mine = str(Path(__file__).relative_to(ROOT))
        texts = {name: text for name, text in _texts().items() if name != mine}
        assert not [(name, machine_paths_in(text)) for name, text in texts.items() if machine_paths_in(text)]


class TestPackage:
    def test_listed_packages_are_the_folders_on_disk(self) -> None:
        on_disk = {
            ".".join([name, *path.parent.relative_to(folder).parts])
            for name, folder in FOLDERS.items()
            for path in _sources(folder)
        }
        listed = project()["tool"]["setuptools"]["packages"]
        assert listed == sorted(on_disk)

    @pytest.mark.parametrize("name", FOLDERS)
    def test_every_package_has_an_init_file(self, name: str) -> None:
        folders = {path.parent for path in _sources(FOLDERS[name])}
        assert not [str(folder) for folder in folders if not (folder / "__init__.py").is_file()]

    @pytest.mark.parametrize("name", FOLDERS)
    def test_every_data_file_is_packaged(self, name: str) -> None:
        folder = FOLDERS[name]
        patterns = project()["tool"]["setuptools"]["package-data"][name]
        packaged = {path for pattern in patterns for path in folder.glob(pattern)}
        code = {path for path in folder.rglob("*") if path.suffix == ".py" or "__pycache__" in path.parts}
        files = {path for path in folder.rglob("*") if path.is_file()}
        assert not sorted(str(path.relative_to(ROOT)) for path in files - code - packaged)

    def test_the_version_is_the_newest_in_the_changelog(self) -> None:
        headings = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
        assert headings[0] == project()["project"]["version"]

    @pytest.mark.parametrize("lock", ["requirements.lock", "extras.lock", "tests/requirements.lock"])
    def test_a_lock_is_hashed_and_names_no_address(self, lock: str) -> None:
        lines = (ROOT / lock).read_text().splitlines()
        pins = [line for line in lines if line and not line[0].isspace()]
        assert pins
        assert all("==" in pin and pin.endswith("\\") for pin in pins)
        assert not [line for line in lines if "://" in line]

    def test_the_tests_lock_is_a_superset(self) -> None:
        runtime, tests = ((ROOT / name).read_text() for name in ("requirements.lock", "tests/requirements.lock"))
        assert set(re.findall(r"^\S+==\S+", runtime, re.MULTILINE)) <= set(
            re.findall(r"^\S+==\S+", tests, re.MULTILINE)
        )


class TestRulesNotice:
    """Each rule against the smallest source that breaks it, and against its lawful twin."""

    @pytest.mark.parametrize(
        ("name", "source"),
        [
            ("pygents_app.model", "from .lifecycle import decide"),
            ("pygents_app.model", "from . import lifecycle"),
            ("pygents_app.errors", "def f() -> None:\n    from . import model"),
            ("pygents_app.ports", "if TYPE_CHECKING:\n    from .store.sqlite import Sqlite"),
            ("pygents_app.store.sqlite", "from ..runtime import runner"),
            ("pygents_app.runtime.runner", "from ..store.sqlite import Sqlite"),
            ("pygents_app.runtime.runner", "from ..streaming.hub import Hub"),
            ("pygents_app.streaming.hub", "from ..store import memory"),
            ("pygents_app.streaming.hub", "from ..runtime import runner"),
            ("pygents_app.api.turns", "from ..store.sqlite import Sqlite"),
            ("pygents_app.api.turns", "from ..main import create_app"),
            ("pygents_app.demo", "from .model import Event"),
            ("pygents_app.main", "from .cli import main"),
            ("pygents_core.agent", "import pygents_app.model"),
            ("pygents_app.bag", "import json"),
        ],
    )
    def test_layers(self, name: str, source: str) -> None:
        assert broken_layers(Module(name, source))

    @pytest.mark.parametrize(
        ("name", "source"),
        [
            ("pygents_app.lifecycle", "from .model import Event\nfrom . import errors, payloads"),
            ("pygents_app.store.sqlite", "from ..ports import Store\nfrom .committer import Committer"),
            ("pygents_app.runtime.runner", "from ..ports import Store\nfrom pygents_core import Agent"),
            ("pygents_app.api.turns", "from ..streaming import sse\nimport fastapi"),
            ("pygents_app.main", "from .store import sqlite\nfrom .api import turns"),
            ("pygents_app.metrics", "from .telemetry import emit"),
            ("pygents_app.demo", "from pygents_core import Agent, tool"),
            ("pygents_core.agent", "from .turn import Turn"),
        ],
    )
    def test_lawful_layers(self, name: str, source: str) -> None:
        assert not broken_layers(Module(name, source))

    def test_a_packages_own_dots_are_counted(self) -> None:
        assert not broken_layers(Module("pygents_app.store", "from .sqlite import Sqlite", is_package=True))
        assert broken_layers(Module("pygents_app.store", "from ..runtime import x", is_package=True))

    @pytest.mark.parametrize("back", ["from . import a", "from .a import f", "def f() -> None:\n    from .a import g"])
    def test_cycles(self, back: str) -> None:
        modules = [Module("p.a", "from .b import c"), Module("p.b", f"if TYPE_CHECKING:\n    from . import c\n{back}")]
        assert cycles([*modules, Module("p.c", "")]) == ["p.a -> p.b -> p.a"]

    def test_a_cycle_through_a_package(self) -> None:
        package = Module("p", "from .a import f", is_package=True)
        assert cycles([package, Module("p.a", "from . import name")]) == ["p -> p.a -> p"]
        assert not cycles([package, Module("p.a", "from .b import f"), Module("p.b", "import p.c"), Module("p.c", "")])

    @pytest.mark.parametrize("source", ["import pygents_app.model", "from app.model import Event"])
    def test_absolute_imports(self, source: str) -> None:
        assert absolute_imports(Module("pygents_app.api.turns", source))
        assert not absolute_imports(Module("pygents_app.api.turns", "from ..model import Event\nfrom apps import x"))

    @pytest.mark.parametrize(
        "source", ["import fastapi", "from starlette.responses import Response", "import app.main"]
    )
    def test_forbidden_imports(self, source: str) -> None:
        assert forbidden_imports(Module("pygents_core.agent", source), CORE_NEVER)
        assert not forbidden_imports(Module("pygents_core.agent", "import asyncio"), CORE_NEVER)

    def test_long_functions(self) -> None:
        line = "    pass\n"
        assert too_long(Module("m", f"async def f() -> None:\n{line * MAX_FUNCTION_LINES}"))
        assert not too_long(Module("m", f"@decorated\ndef f() -> None:\n{line * (MAX_FUNCTION_LINES - 1)}"))

    def test_long_files(self) -> None:
        assert too_long(Module("m", "x = 1\n" * (MAX_FILE_LINES + 1)))
        assert not too_long(Module("m", "x = 1\n" * MAX_FILE_LINES))

    @pytest.mark.parametrize("source", ["x = 'SELECT 1'", "x = f'DELETE FROM {t}'", "import sqlite3"])
    def test_sql(self, source: str) -> None:
        assert sql_in(Module("pygents_app.api.turns", source))
        assert not sql_in(Module("pygents_app.api.turns", "'''SELECT a turn.'''\nx = 'Select one'"))

    @pytest.mark.parametrize("call", ["asyncio.create_task(f())", "group.create_task(f())", "ensure_future(f())"])
    def test_tasks(self, call: str) -> None:
        assert tasks_in(Module("pygents_app.api.turns", f"def g() -> None:\n    {call}"))
        assert not tasks_in(Module("pygents_app.api.turns", "await asyncio.wait_for(f(), 1)"))

    def test_constructions(self) -> None:
        source = "from ..streaming.hub import Hub, frames\nhub = Hub()"
        assert constructions(Module("pygents_app.api.turns", source))
        lawful = "from ..streaming.hub import Hub, frames\ndef f(hub: Hub) -> None:\n    frames(Page())"
        assert not constructions(Module("pygents_app.api.turns", lawful))

    def test_hosts(self) -> None:
        assert hosts_in(f"--index https://{HOSTS[0].upper()}/simple", HOSTS) == [HOSTS[0]]
        assert not hosts_in("https://example.org/", HOSTS)

    @pytest.mark.parametrize("text", ["see /work/notes.md", "'/root/.cache'", "cd /root/", "file:///work/x"])
    def test_machine_paths(self, text: str) -> None:
        assert machine_paths_in(text)

    @pytest.mark.parametrize("text", ["parent/root/hops", "src/work/x", "GET /agents/root/", "/workers/1", "../work/x"])
    def test_lawful_paths(self, text: str) -> None:
        assert not machine_paths_in(text)
