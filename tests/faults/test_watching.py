"""A disk that hangs or is full is seen by whoever watches the service: by its figures, not only by its probes."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.faults.conftest import AGENTS
from tests.faults.test_storage import no_space
from tests.helpers import eventually_sync
from tests.service import Service

AGENT = {"name": "echo", "tools": ["echo"]}


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """Its twentieth commit hangs."""
    service = Service(tmp_path, AGENTS, environment={"PYGENTS_FAILPOINTS": "before-commit=sleep(600)@20"})
    try:
        service.start()
        yield service
    finally:
        service.end()


def figures(service: Service) -> dict[str, float]:
    """Names with the value of the label, if there is one."""
    text = httpx.get(f"{service.url}/metrics", trust_env=False, timeout=30).text
    found = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {" ".join([sample.name, *sample.labels.values()]): sample.value for sample in found}


def submit(service: Service, text: str = "") -> int:
    """The status; 0: no answer in time."""
    turn = {"tool": "echo", "args": [text], "delay": 1000}
    try:
        return httpx.post(f"{service.url}/agents/echo/turns", json=turn, trust_env=False, timeout=1).status_code
    except httpx.ReadTimeout:
        return 0


def test_a_commit_that_hangs(service: Service) -> None:
    assert httpx.post(f"{service.url}/agents", json=AGENT, trust_env=False).status_code == 201
    assert figures(service)["pygents_ready"] == 1
    eventually_sync(lambda: submit(service) == 0, timeout=60)
    assert httpx.get(f"{service.url}/readyz", trust_env=False, timeout=30).status_code == 503
    found = figures(service)
    assert found["pygents_ready"] == 0
    assert found["pygents_store_up"] == 1, "reads go on"
    assert found["pygents_commit_pending_seconds"] > 5
    assert figures(service)["pygents_commit_pending_seconds"] > found["pygents_commit_pending_seconds"]


def test_a_full_disk(tmp_path: Path) -> None:
    service = Service(tmp_path, AGENTS)
    try:
        service.start()
        assert httpx.post(f"{service.url}/agents", json=AGENT, trust_env=False).status_code == 201
        assert figures(service)["pygents_commit_failures_total store-full"] == 0
        with no_space(service):
            eventually_sync(lambda: submit(service, "x" * 200_000) == 507, timeout=30)
            assert figures(service)["pygents_commit_failures_total store-full"] >= 1
    finally:
        service.end()
