"""A real service to attack, with keys, tickets and an issuer's tokens; and what nobody may ever see of it."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx

from tests.issuer import Issuer, issuing
from tests.service import Service, allow_many_descriptors, serving

TOOLS = Path(__file__).parents[1] / "conformance" / "tools.py"
ADMIN = "an-admin-key-that-is-in-no-log-4711"
ARGUMENT = "an-argument-that-is-in-no-log-0815"
SECONDS = 0.5
SETTINGS: Mapping[str, object] = {
    "admin_key": ADMIN, "log": "info", "log_format": "json", "access_log": "all", "head_timeout": SECONDS,
    "body_timeout": SECONDS, "wrong_keys": 0, "retention_events": 1000, "ping": 1,
}  # fmt: skip
BANNER = 40
"""Lines for people, at the start."""
MOST_GROWTH = 64 * 2**20
"""Bytes that the process may grow by: caches that fill, agents and turns that were made."""


class Secrets(NamedTuple):
    """``root`` may do everything, ``weak`` next to nothing, ``revoked`` nothing any more."""

    admin: str
    root: str
    weak: str
    revoked: str
    ticket: str
    token: str

    @property
    def hidden(self) -> tuple[bytes, ...]:
        """As they would be seen. Ids of keys are no secret: what is behind them is."""
        return tuple(secret.rpartition("_")[2].encode() for secret in self)


class Target:
    def __init__(self, service: Service, issuer: Issuer) -> None:
        self.service, self.issuer = service, issuer
        with httpx.Client(base_url=service.url, trust_env=False, headers={"X-API-Key": ADMIN}) as http:
            root, weak, revoked = (_key(http, scope) for scope in ("admin", "stream:read@nobody-*", "admin"))
            assert http.delete(f"/keys/{revoked.split('_')[1]}").is_success
            ticket = http.post("/stream-tickets", json={"agents": ["code"]}).json()["ticket"]
            token = issuer.token("stream:read@nobody-*")
            self.secrets = Secrets(ADMIN, root, weak, revoked, ticket, token)
        greeting = {"Authorization": f"Bearer {token}"}
        assert httpx.get(f"{service.url}/info", headers=greeting, trust_env=False).status_code == 200
        self._pid, self._resident, self._descriptors = service.pid, service.resident(), service.descriptors()

    @property
    def grown(self) -> int:
        """Bytes of memory."""
        return self.service.resident() - self._resident

    def is_closed(self) -> bool:
        """Whether no connection of an attack is left."""
        return self.service.descriptors() <= self._descriptors + 4

    def harm(self) -> list[str]:
        """What is not as it was; to be asked once all attacks are over."""
        found = []
        if not self.service.running or self.service.pid != self._pid or not self.service.is_ready():
            return ["the process is not well"]
        if self.grown > MOST_GROWTH:
            found.append(f"the process has grown by {self.grown / 2**20:.0f} MiB")
        if not self.is_closed():
            found.append(f"{self.service.descriptors() - self._descriptors} descriptors are left open")
        return found + self._told()

    def _told(self) -> list[str]:
        with (self.service.folder / "server.log").open("rb") as log:
            lines = (self.told(line) for number, line in enumerate(log) if number >= BANNER or line.startswith(b"{"))
            return [what for found in lines for what in found][:20]

    def told(self, line: bytes) -> list[str]:
        """What a line of the log should not have."""
        secrets = (*self.secrets.hidden, ARGUMENT.encode())
        found = [f"the log has {secret.decode()}: {line[:500]!r}" for secret in secrets if secret in line]
        try:
            entry = json.loads(line)
        except ValueError:
            return [*found, f"the log has a line that is no record: {line[:500]!r}"]
        if entry.get("level") in ("error", "critical") or b"Traceback" in line:
            found.append(f"the log tells of a defect: {line[:2000]!r}")
        return found


@contextmanager
def attacked(folder: Path) -> Iterator[Target]:
    allow_many_descriptors()
    with issuing() as issuer, serving(folder, TOOLS, settings={**SETTINGS, **issuer.settings}) as service:
        yield Target(service, issuer)


def _key(http: httpx.Client, scope: str) -> str:
    return str(http.post("/keys", json={"name": "a", "scopes": [scope]}).json()["key"])
