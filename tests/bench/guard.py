"""What it costs a submit that the service is safe to expose and can be watched: keys, limits, metrics, the access log.

The same service four times, each as somebody runs it, from "nobody is asked and nothing is counted" to "an operator on
the internet". ``guard_parts`` tells where it goes.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from pathlib import Path

from tests.issuer import Issuer, issuing

from . import guard_parts
from .client import NO_HEADERS, ask
from .harness import Burst, Dose, Server, Table, rotate, service, serving
from .submit import CONNECTIONS, burst, hold

FINENESS, LENGTH = 4, 3
"""As of the bench ``submit``. A few percent are looked for, and single bursts differ by a third."""
MOST = 1.1
"""The goal: what a submit may cost as an operator runs the service, of what it costs without any of this."""
SCOPE = "turns:write@a*"
ADMIN_KEY = "an-admin-key-of-the-bench"

UNGUARDED = "no key, nothing counted"
DEFAULT = "no key, metrics, access log"
KEY = "key of one scope, rates, metrics, access log"
TOKEN = "token (JWT) of one scope, the same"

RATES = {"rate": 1_000_000, "rate_burst": 10**9, "wrong_keys": 100}
"""Counted as any other, and never reached."""
OFF: Mapping[str, str] = {
    "PYGENTS_ACCESS_LOG": "off", "PYGENTS_WRONG_KEYS": "0", "PYGENTS_MAX_STREAMS": "0", "BENCH_UNCOUNTED": "1",
}  # fmt: skip
WATCHED: Mapping[str, str] = {"PYGENTS_ACCESS_LOG": "sampled", "PYGENTS_LOG_FORMAT": "json"}
EXPOSED: Mapping[str, str] = {
    **WATCHED, **{f"PYGENTS_{name.upper()}": str(value) for name, value in RATES.items()},
    "PYGENTS_ADMIN_KEY": ADMIN_KEY, "PYGENTS_MAX_CALLER_STREAMS": "100",
}  # fmt: skip


async def measure(dose: Dose, folder: Path) -> list[Table]:
    bursts: dict[str, Burst] = {}
    finer = dose.finer(FINENESS, longer=LENGTH)
    with ExitStack() as up:
        issuer = up.enter_context(issuing())
        envs = {UNGUARDED: OFF, DEFAULT: WATCHED, KEY: EXPOSED, TOKEN: {**EXPOSED, **_trusting(issuer)}}
        servers = {name: up.enter_context(_serving(folder, name, env)) for name, env in envs.items()}
        admin = {"X-API-Key": ADMIN_KEY}
        callers: Mapping[str, Mapping[str, str]] = {
            KEY: _bearer(await _new_key(servers[KEY], admin)),
            TOKEN: _bearer(issuer.token(SCOPE)),
        }
        for name, server in servers.items():
            headers = callers.get(name, NO_HEADERS)
            await hold(server, headers)
            bursts[name] = partial(burst, server, finer, headers)
        rows = await rotate(bursts, finer.rounds)
    table = Table(f"guard: POST of a turn that waits, durable, {CONNECTIONS} connections", UNGUARDED, rows)
    table.expect("CPU of a submit with a key, x without any of this", KEY, "CPU µs", UNGUARDED, most=MOST)
    table.expect("CPU of a submit with a token, x without any of this", TOKEN, "CPU µs", UNGUARDED, most=MOST)
    whole = table.figure(UNGUARDED, "CPU µs")
    settings = {**RATES, "admin_key": ADMIN_KEY}
    return [table, await guard_parts.measure(dose, settings, SCOPE, whole.median if whole is not None else 0.0)]


def _serving(folder: Path, name: str, env: Mapping[str, str]) -> AbstractContextManager[Server]:
    command, common = service(folder, "-".join(name.replace(",", "").split()))
    return serving([*command, "--log", "info"], folder, {**common, **env})


def _trusting(issuer: Issuer) -> dict[str, str]:
    return {f"PYGENTS_{name.upper()}": value for name, value in issuer.settings.items()}


def _bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


async def _new_key(server: Server, admin: Mapping[str, str]) -> str:
    made = await ask(server.port, "POST", "/keys", {"name": "the bench", "scopes": [SCOPE]}, admin)
    return str(made["key"])
