"""The deployment files: what reads them accepts them, and their figures are those of the service."""

import json
import re
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml

from pygents_app.deploy.files import FILES, find
from pygents_app.settings import Settings
from tests.container.dockerfile import parse
from tests.service import COMMAND, Service

ROOT = Path(__file__).parents[2]
LAST = {instruction.word: instruction for instruction in parse((ROOT / "Dockerfile").read_text())[-1].instructions}
UNTIL_KILLED = Settings.model_fields["drain"].default + 5
"""Seconds that the service may take to end; whoever supervises it should give it more."""
EXPOSURE = "20"
"""The most that `systemd-analyze security` may find, of 100; a unit without a line of sandboxing has 96."""

AS_ROOT = {"fchown"}
"""Calls of SQLite that it makes only as root, as whom tests may run; the unit has a user of its own."""


def text(name: str) -> str:
    file = find(name)
    assert file is not None
    return file.text()


def run(*command: str | Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


class TestVerbs:
    def test_every_file_is_listed_and_shown(self) -> None:
        listed = json.loads(run(COMMAND, "deploy", "list", "--output", "json").stdout)
        assert [each["name"] for each in listed] == [file.name for file in FILES]
        for file in FILES:
            assert run(COMMAND, "deploy", "show", file.name).stdout == file.text()
            assert file.name in run(COMMAND, "deploy", "list").stdout

    def test_every_file_of_the_folder_is_in_the_table(self) -> None:
        folder = ROOT / "app" / "deploy"
        known = {file.file for file in FILES}
        files = (path for path in folder.rglob("*") if path.suffix not in {".py", ".pyc"} and path.is_file())
        assert known == {path.relative_to(folder).as_posix() for path in files}

    def test_one_that_is_not_there(self) -> None:
        ended = run(COMMAND, "deploy", "show", "../settings.py")
        assert (ended.returncode, ended.stdout) == (2, "")
        assert "Those are: nginx, caddy, systemd, kubernetes" in ended.stderr

    @pytest.mark.parametrize("file", FILES, ids=[file.name for file in FILES])
    def test_what_has_to_be_changed_is_marked(self, file: Any) -> None:
        assert ("CHANGE" in file.text()) == (file.name != "grafana")  # which asks for its data source by itself

    @pytest.mark.parametrize("file", FILES, ids=[file.name for file in FILES])
    def test_any_terminal_can_show_it(self, file: Any) -> None:
        assert file.text().isascii()


class TestKubernetes:
    @pytest.fixture
    def documents(self) -> dict[str, Any]:
        return {document["kind"]: document for document in yaml.safe_load_all(text("kubernetes"))}

    @pytest.fixture
    def pod(self, documents: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = documents["StatefulSet"]["spec"]["template"]["spec"]
        return found

    def test_it_is_what_kubernetes_takes_and_nothing_else(self, documents: dict[str, Any]) -> None:
        for document in documents.values():
            kubernetes_validate.validate(document, "1.37", strict=True)
        documents["StatefulSet"]["spec"]["replica"] = 1
        with pytest.raises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate(documents["StatefulSet"], "1.37", strict=True)

    def test_one_process_has_the_file(self, documents: dict[str, Any]) -> None:
        assert documents["StatefulSet"]["spec"]["replicas"] == 1

    def test_there_is_time_to_drain(self, pod: dict[str, Any]) -> None:
        assert pod["terminationGracePeriodSeconds"] >= UNTIL_KILLED + 5

    def test_the_database_is_where_the_image_keeps_it(self, documents: dict[str, Any], pod: dict[str, Any]) -> None:
        (claim,) = documents["StatefulSet"]["spec"]["volumeClaimTemplates"]
        mounts = {mount["name"]: mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
        assert mounts[claim["metadata"]["name"]] == LAST["VOLUME"].text

    def test_it_runs_as_the_images_user_without_rights(self, pod: dict[str, Any]) -> None:
        user, group = LAST["USER"].text.split(":")
        of_pod, of_container = pod["securityContext"], pod["containers"][0]["securityContext"]
        assert (of_pod["runAsUser"], of_pod["runAsGroup"], of_pod["fsGroup"]) == (int(user), int(group), int(group))
        assert of_pod["runAsNonRoot"] is of_container["readOnlyRootFilesystem"] is True
        assert of_container["allowPrivilegeEscalation"] is pod["automountServiceAccountToken"] is False
        assert of_container["capabilities"] == {"drop": ["ALL"]}
        assert of_pod["seccompProfile"] == {"type": "RuntimeDefault"}

    def test_its_variables_are_settings_and_the_secrets_are_mounted(self, pod: dict[str, Any]) -> None:
        (container,) = pod["containers"]
        ((name, path),) = [(each["name"], each["value"]) for each in container["env"]]
        assert name == "PYGENTS_ADMIN_KEY_FILE"
        assert any(path.startswith(mount["mountPath"] + "/") for mount in container["volumeMounts"])
        assert pod["enableServiceLinks"] is False

    def test_probes_ask_what_needs_no_key(self, pod: dict[str, Any]) -> None:
        (container,) = pod["containers"]
        asked = {probe: container[probe]["httpGet"]["path"] for probe in container if probe.endswith("Probe")}
        assert asked == {"startupProbe": "/healthz", "livenessProbe": "/healthz", "readinessProbe": "/readyz"}

    def test_the_image_is_of_this_version(self, pod: dict[str, Any]) -> None:
        assert pod["containers"][0]["image"] == f"pygents:{version('pygents')}"

    def test_ports_lead_to_the_service(self, documents: dict[str, Any], pod: dict[str, Any]) -> None:
        (port,) = pod["containers"][0]["ports"]
        assert str(port["containerPort"]) == LAST["EXPOSE"].text
        assert documents["Service"]["spec"]["ports"][0]["targetPort"] == port["name"]
        labels = documents["StatefulSet"]["spec"]["template"]["metadata"]["labels"]
        assert documents["Service"]["spec"]["selector"] == labels


class TestSystemd:
    @pytest.fixture
    def unit(self, tmp_path: Path) -> Path:
        """With the command that is here: the file of what it starts must be there."""
        if shutil.which("systemd-analyze") is None:
            pytest.skip("needs systemd-analyze")
        path = tmp_path / "pygents.service"
        path.write_text(text("systemd").replace("/opt/pygents/bin/pygents", str(COMMAND)))
        return path

    def test_it_is_what_systemd_takes_and_nothing_else(self, unit: Path) -> None:
        checked = run("systemd-analyze", "verify", "--man=no", unit)
        assert (checked.returncode, checked.stderr) == (0, "")
        unit.write_text(unit.read_text() + "\n[Service]\nProtectEverything=yes\n")
        assert "ProtectEverything" in run("systemd-analyze", "verify", "--man=no", unit).stderr

    def test_it_is_well_shut_in(self, unit: Path) -> None:
        command = ("systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE}", "--no-pager", unit)
        assert run(*command).returncode == 0
        unit.write_text(unit.read_text().replace("ProtectSystem=strict", "").replace("CapabilityBoundingSet=", ""))
        assert run(*command).returncode != 0

    def test_there_is_time_to_drain(self) -> None:
        assert int(re.findall(r"^TimeoutStopSec=(\d+)$", text("systemd"), re.MULTILINE)[0]) >= UNTIL_KILLED + 5

    def test_its_variables_are_settings(self) -> None:
        for name in re.findall(r"Environment=PYGENTS_(\w+)=", text("systemd")):
            assert name.removesuffix("_FILE").lower() in Settings.model_fields

    @pytest.mark.slow
    def test_the_service_needs_no_call_that_is_filtered(self, unit: Path, tmp_path: Path) -> None:
        """Started, used and stopped under a witness of all its system calls."""
        if shutil.which("strace") is None:
            pytest.skip("needs strace")
        service, calls = Service(tmp_path, "--demo"), tmp_path / "calls"
        try:
            service.start("strace", "-D", "-f", "-qq", "-o", str(calls))  # -D: the signal is for the service
            use = (
                "import httpx, sys; c = httpx.Client(base_url=sys.argv[1], trust_env=False, timeout=60);"
                "t = c.post('/agents/counter/turns', json={'tool': 'count', 'kwargs': {'to': 3}}).json();"
                "assert c.get(t['links']['self'] + '?wait=30').json()['status'] == 'completed';"
                "assert c.post('/backup').status_code == 200"
            )
            assert run(sys.executable, "-c", use, service.url).returncode == 0
            service.stop(60)
        finally:
            service.end()
        called = set(re.findall(r"^\d+ +(\w+)\(", calls.read_text(), re.MULTILINE))
        assert {"accept4", "fdatasync", "mmap"} <= called
        assert called - AS_ROOT <= allowed(unit.read_text())


def allowed(unit: str) -> set[str]:
    """The system calls that the filters of a unit let through, as this machine's systemd knows their groups."""
    listing = run("systemd-analyze", "syscall-filter", "--no-pager").stdout
    groups: dict[str, list[str]] = {}
    for block in re.split(r"\n(?=@)", listing):
        name, *members = (line.strip() for line in block.splitlines())
        groups[name] = [member for member in members if member and not member.startswith("#")]

    def flat(name: str) -> set[str]:
        return {call for member in groups[name] for call in flat(member)} if name.startswith("@") else {name}

    found: set[str] = set()
    for line in re.findall(r"^SystemCallFilter=(.*)$", unit, re.MULTILINE):
        calls = {call for name in line.removeprefix("~").split() for call in flat(name)}
        found = found - calls if line.startswith("~") else found | calls
    return found
