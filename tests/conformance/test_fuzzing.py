"""A running service under fuzzing, by operations and along links: it never fails, and each answer is as described.

The seed is printed; ``FUZZ_SEED=… pytest tests/conformance`` makes the same requests again.
"""

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conformance.narrowed import bounded, informed, plain, shut, wanting_a_key
from tests.conftest import STRICT
from tests.service import Service, serving

HERE = Path(__file__).parent
KEY = "a-key-for-the-tests-0123456789"
ADMIN = {"Authorization": f"Bearer {KEY}"}
NARROW = ["agents:read@a*", "turns:write@code", "stream:read@a0"]
"""Scopes with which some is allowed, some refused, and some not there."""
SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
SEED = os.environ.get("FUZZ_SEED", "1" if STRICT else str(random.randint(1, 10**6)))
SECONDS = 300.0
ENDLESS = "streamAgent"
FINITE = ("--exclude-operation-id", ENDLESS)
PATIENT = ("--request-timeout", "70")
"""For the document as it is: a wait for a turn's end may be one of 60 seconds."""
NOT_EVERYTHING_FITS = ("--exclude-checks", "positive_data_acceptance")
WITHOUT_ONE = (
    "--exclude-checks", "positive_data_acceptance,negative_data_rejection,missing_required_header",
    "--exclude-operation-id", "signIn",
)  # fmt: skip
"""Nothing that is sent makes a difference then, but to what is there to be sent a key."""

pytestmark = pytest.mark.timeout(SECONDS)


@dataclass(frozen=True)
class Target:
    """A service to fuzz; ``key`` is what is sent with each request, if that is not empty."""

    service: Service
    folder: Path
    key: str = KEY

    def fuzz(self, document: Mapping[str, Any], *arguments: str) -> None:
        """Run ``schemathesis`` with further arguments. Fails if it finds anything."""
        path = self.folder / "openapi.json"
        path.write_text(json.dumps(document))
        key = ["--header", f"Authorization: Bearer {self.key}"] if self.key else []
        command = [
            str(SCHEMATHESIS), "--config-file", str(HERE / "schemathesis.toml"), "--no-color", "run", str(path),
            "--url", self.service.url, "--seed", SEED, "--continue-on-failure", "--no-shrink", *key, *arguments,
        ]  # fmt: skip
        self._resume()
        print(f"seed {SEED}: {' '.join(command)}")
        ran = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=SECONDS, check=False)
        print(ran.stdout, ran.stderr)
        assert ran.returncode == 0, "what was found is in the output"
        assert " passed" in ran.stdout
        assert self.service.is_ready()

    def _resume(self) -> None:
        """Whatever was fuzzed before may have paused the agent, and then no turn of it would end."""
        answer = httpx.post(f"{self.service.url}/agents/code/resume", headers=ADMIN, trust_env=False)
        assert answer.status_code == 200


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """With a key from the first request on: one that is made by a request would close the service to the others."""
    folder = tmp_path_factory.mktemp("server")
    with serving(folder, HERE / "tools.py", settings={"admin_key": KEY}) as service:
        yield Target(service, folder)


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Target]:
    """A service that wants a key."""
    with serving(tmp_path, HERE / "tools.py", settings={"admin_key": KEY}) as service:
        yield Target(service, tmp_path)


def test_what_is_valid_is_accepted(target: Target) -> None:
    target.fuzz(informed(), *FINITE, "--mode", "positive", "--max-examples", "8")


def test_what_is_not_valid_is_refused(target: Target) -> None:
    target.fuzz(plain(), *FINITE, *NOT_EVERYTHING_FITS, *PATIENT, "--mode", "negative", "--max-examples", "3")


def test_valid_or_not_it_is_answered_as_described(target: Target) -> None:
    """Keys that are used again, tools and hooks that do not exist, parameters that do not go together."""
    one_by_one = ("--phases", "fuzzing")
    target.fuzz(bounded(), *FINITE, *NOT_EVERYTHING_FITS, *one_by_one, "--mode", "positive", "--max-examples", "8")


def test_streams_without_end(target: Target) -> None:
    its = ("--include-operation-id", ENDLESS, "--phases", "fuzzing", "--request-timeout", "0.3")
    target.fuzz(informed(), *its, "--max-examples", "15")


def test_turns_and_their_streams(target: Target) -> None:
    """Few operations, so that many steps lead from a turn to its events."""
    operations = ("submitTurn", "submitTurns", "cancelTurn", "getTurn", "streamTurn")
    its = [part for name in operations for part in ("--include-operation-id", name)]
    target.fuzz(informed(), *its, "--phases", "stateful", "--mode", "positive", "--max-examples", "20")


def test_turns_answered_with_their_events(target: Target) -> None:
    its = ("--include-operation-id", "submitTurn", "--header", "Accept: text/event-stream", "--request-timeout", "1")
    target.fuzz(informed(), *its, "--phases", "fuzzing", "--mode", "positive", "--max-examples", "20")


def test_a_key_is_asked_for_everywhere(locked: Target) -> None:
    its = ("--phases", "fuzzing", "--mode", "positive", "--max-examples", "3")
    locked.fuzz(wanting_a_key(informed()), *FINITE, *its)


def with_a_narrow_key(target: Target) -> Target:
    made = httpx.post(f"{target.service.url}/keys", headers=ADMIN, json={"scopes": NARROW}, trust_env=False)
    return replace(target, key=made.json()["key"])


def test_with_a_narrow_key_it_is_answered_as_described(target: Target) -> None:
    its = ("--phases", "fuzzing", "--mode", "positive", "--max-examples", "3")
    with_a_narrow_key(target).fuzz(bounded(), *FINITE, *NOT_EVERYTHING_FITS, *its)


def test_without_a_key_nothing_is_to_be_had(target: Target) -> None:
    its = ("--phases", "fuzzing", "--max-examples", "2")
    replace(target, key="").fuzz(shut(plain()), *WITHOUT_ONE, *its)


@pytest.mark.slow
def test_keys_for_long(target: Target) -> None:
    its = ("--phases", "fuzzing", "--max-examples", "40")
    with_a_narrow_key(target).fuzz(bounded(), *FINITE, *NOT_EVERYTHING_FITS, *PATIENT, *its)
    replace(target, key="").fuzz(shut(plain()), *WITHOUT_ONE, *its)


@pytest.mark.slow
def test_what_is_valid_is_accepted_for_long(target: Target) -> None:
    target.fuzz(informed(), *FINITE, "--mode", "positive", "--max-examples", "60")


@pytest.mark.slow
def test_what_is_not_valid_is_refused_for_long(target: Target) -> None:
    target.fuzz(plain(), *FINITE, *NOT_EVERYTHING_FITS, *PATIENT, "--mode", "negative", "--max-examples", "60")
