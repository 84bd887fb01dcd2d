"""The bill of materials is valid, complete and always the same; an audit never passes for what nobody has looked up."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from tests.supply.audit import failed, judge
from tests.supply.locked import pins
from tests.supply.sbom import ROOT, bill
from tests.test_architecture import HOSTS

LOCK, EXTRAS = ((ROOT / name).read_text() for name in ("requirements.lock", "extras.lock"))


def printed() -> str:
    command = [sys.executable, "-m", "tests.supply.sbom"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def text() -> str:
    return printed()


@pytest.fixture(scope="module")
def made(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text)
    return found


class TestBill:
    def test_it_is_cyclonedx(self, text: str) -> None:
        validator = JsonStrictValidator(SchemaVersion.V1_6)
        assert validator.validate_str(text) is None
        assert validator.validate_str(text.replace('"library"', '"libary"', 1)) is not None

    def test_it_has_every_pin_of_the_lock_with_every_hash(self, made: dict[str, Any]) -> None:
        shown = {(each["name"], each["version"], len(each["hashes"])) for each in made["components"]}
        assert shown == {(pin.name, pin.version, len(pin.hashes)) for pin in pins(EXTRAS)}
        assert len(shown) == sum("==" in line for line in EXTRAS.splitlines())

    def test_what_is_needed_by_itself_is_told_apart(self, made: dict[str, Any]) -> None:
        scopes = {each["name"]: each["scope"] for each in made["components"]}
        assert (scopes["fastapi"], scopes["setuptools"], scopes["pyjwt"]) == ("required", "excluded", "optional")
        (root,) = made["dependencies"]
        direct = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
        assert len(root["dependsOn"]) == len(direct)

    def test_the_same_tree_gives_the_same_bytes(self, text: str) -> None:
        assert printed() == text

    def test_another_lock_gives_another_number(self, made: dict[str, Any]) -> None:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())
        other = bill(project, LOCK, EXTRAS.replace("fastapi==", "fastapi==9", 1))
        assert other["serialNumber"] != made["serialNumber"]

    def test_no_registry_is_named(self, text: str) -> None:
        assert not [host for host in HOSTS if host in text]


class TestLock:
    def test_that_of_the_extras_has_what_the_others_have(self) -> None:
        tested = set(pins((ROOT / "tests" / "requirements.lock").read_text()))
        assert set(pins(LOCK)) < set(pins(EXTRAS))
        assert {(pin.name, pin.version) for pin in pins(EXTRAS)} <= {(pin.name, pin.version) for pin in tested}

    def test_pins_with_all_that_they_may_have(self) -> None:
        one, two = pins(
            f'Some_Name[extra]==1.0 ; sys_platform == "win32" \\\n    --hash=sha256:{"a" * 64} \\\n'
            f"    --hash=sha256:{'b' * 64}\nother==2 \\\n    --hash=sha256:{'c' * 64}\n"
        )
        assert (one.name, one.version, one.marker) == ("some-name", "1.0", 'sys_platform == "win32"')
        assert (len(one.hashes), two) == (2, ("other", "2", "", ("c" * 64,)))

    @pytest.mark.parametrize("line", ["name @ https://example.org/x.whl", "-e .", "--index-url x", "name>=1"])
    def test_what_is_no_pin_is_not_passed_over(self, line: str) -> None:
        with pytest.raises(ValueError, match="no pin"):
            pins(line)


class TestAudit:
    CLEAN = {"name": "a", "version": "1", "vulns": []}  # noqa: RUF012
    BAD = {"name": "b", "version": "2", "vulns": [{"id": "CVE-1", "fix_versions": ["2.1"]}]}  # noqa: RUF012
    UNKNOWN = {"name": "c", "skip_reason": "not found"}  # noqa: RUF012

    @pytest.mark.parametrize(
        ("packages", "code", "told"),
        [
            ([CLEAN], 0, "No known vulnerabilities in 1 packages."),
            ([CLEAN, BAD], 1, "b 2: CVE-1, mended in 2.1"),
            ([CLEAN, UNKNOWN], 2, "Not audited: 1 of 2 packages could not be looked up (not found)."),
            ([BAD, UNKNOWN], 1, "b 2: CVE-1, mended in 2.1"),
            ([], 2, "Not audited: 0 of 0 packages could not be looked up."),
        ],
    )
    def test_what_pip_audit_says(self, packages: list[dict[str, Any]], code: int, told: str) -> None:
        verdict = judge({"dependencies": packages})
        assert (verdict.code, verdict.lines[0]) == (code, told)

    def test_what_it_says_when_it_gives_up(self) -> None:
        assert failed("Traceback …\nConnectionError: no route").lines[0] == "Not audited: ConnectionError: no route"
        assert failed("").code == 2

    def test_the_makefile_asks_about_what_is_shipped(self) -> None:
        assert "tests.supply.audit extras.lock" in (Path(ROOT) / "Makefile").read_text()
