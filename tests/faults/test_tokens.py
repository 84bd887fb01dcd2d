"""Tokens of a real issuer against a real process: who comes in, what they may do, and what ends with a token."""

import asyncio
import hmac
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.caller import calling
from tests.faults.conftest import AGENTS
from tests.follower import Follower, following
from tests.helpers import eventually
from tests.issuer import OTHER_RSA_KEY, Issuer, issuing, part, public_pem
from tests.service import Service, serving

pytestmark = pytest.mark.anyio

Own = Callable[..., Service]
WITHIN = 5.0
"""Seconds after the end of a token in which its streams have ended."""


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with issuing() as issuer:
        yield issuer


@pytest.fixture(scope="module")
def trusting(issuer: Issuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service without any key; tests that change the issuer's keys have one of their own."""
    with serving(tmp_path_factory.mktemp("tokens"), AGENTS, settings={**issuer.settings, "access_log": "all"}) as found:
        yield found


@pytest.fixture
def own_issuer() -> Iterator[Issuer]:
    with issuing() as issuer:
        yield issuer


async def answer(service: Service, *headers: tuple[str, str], path: str = "/agents", **options: Any) -> httpx.Response:
    async with calling(service.url) as caller:
        return await caller.http.request(options.pop("method", "GET"), path, headers=list(headers), **options)


def bearer(token: str) -> tuple[str, str]:
    return ("Authorization", f"Bearer {token}")


async def status(service: Service, token: str, path: str = "/agents") -> int:
    return (await answer(service, bearer(token), path=path)).status_code


async def to_end(stream: Follower, until: float) -> None:
    """Cleanly, and in time."""
    await stream.to_end(timeout=until - time.time() + WITHIN)
    assert time.time() >= until - 0.01


class TestForged:
    """Anybody can make up tokens that name a key of the issuer; to see that they are forged takes long."""

    async def test_a_burst_of_them_is_not_looked_at(self, issuer: Issuer, tmp_path: Path) -> None:
        settings = {**issuer.settings, "wrong_keys": 20}
        with serving(tmp_path, AGENTS, settings=settings) as service:
            known, late = issuer.token("agents:read"), issuer.token("agents:read", sub="bob")
            assert await status(service, known) == 200
            forged = [issuer.token("admin", key=OTHER_RSA_KEY, sub=f"eve-{number}") for number in range(300)]
            async with calling(service.url) as caller:
                at_once = asyncio.Semaphore(40)

                async def sent(token: str) -> httpx.Response:
                    async with at_once:  # fewer than the client has connections, for which it waits a while only
                        return await caller.http.get("/agents", headers=dict([bearer(token)]))

                answers = await asyncio.gather(*map(sent, forged))
                statuses = [answer.status_code for answer in answers]
                assert set(statuses) == {401, 429}
                assert 20 <= statuses.count(401) < 100, "20 at once, and then one a second"
                assert {answer.headers["retry-after"] for answer in answers if answer.status_code == 429} == {"1"}
                # Known ones are admitted whatever else comes from their address; a new one may have to wait.
                answers = await asyncio.gather(*map(sent, [known, *forged[:30]] * 5))
                assert {found.status_code for found in answers[::31]} == {200}

                async def admitted() -> bool:
                    return (await sent(late)).status_code == 200

                await eventually(admitted)

    async def test_what_is_no_token_counts_as_well(self, issuer: Issuer, tmp_path: Path) -> None:
        with serving(tmp_path, AGENTS, settings={**issuer.settings, "wrong_keys": 5}) as service:
            answers = [await answer(service, bearer(f"a.b.{number}")) for number in range(40)]
            assert [found.status_code for found in answers[:5]] == [401] * 5
            assert answers[-1].status_code == 429


class TestWhoComesIn:
    async def test_a_right_token_again_and_again(self, trusting: Service, issuer: Issuer) -> None:
        token = issuer.token("agents:read")
        assert [await status(trusting, token) for _ in range(3)] == [200] * 3

    async def test_nobody_else(self, trusting: Service, issuer: Issuer) -> None:
        now = int(time.time())
        wrong = {
            "signature": issuer.token("admin", key=OTHER_RSA_KEY),
            "issuer": issuer.token("admin", iss="https://another.example"),
            "audience": issuer.token("admin", aud="another"),
            "expired": issuer.token("admin", exp=now - 1),
            "not yet": issuer.token("admin", nbf=now + 600),
            "no end": issuer.token("admin", exp=None),
            "another kid": issuer.token("admin", kid="unknown", key=OTHER_RSA_KEY),
            "giant": issuer.token("admin", x="x" * 20_000),
            "nested": ".".join([issuer.token("admin")] * 2),
            "garbage": "a.b.c",
            "key": "pyg_0123456789ab_" + "0" * 64,
        }
        for name, token in wrong.items():
            refused = await answer(trusting, bearer(token))
            assert (refused.status_code, refused.json()["type"]) == (401, "urn:pygents:problem:unauthorized"), name
            assert refused.headers["www-authenticate"].startswith("Bearer"), name

    async def test_only_once_and_in_its_own_header(self, trusting: Service, issuer: Issuer) -> None:
        token = issuer.token("admin")
        assert await status(trusting, token) == 200
        for headers in (
            [], [("X-API-Key", token)], [bearer(token)] * 2, [bearer(token), ("X-API-Key", "another")],
            [("Authorization", f"Basic {token}")], [("Authorization", token)],
        ):  # fmt: skip
            assert (await answer(trusting, *headers)).status_code == 401, headers
        for query in (f"access_token={token}", f"ticket={token}"):
            assert (await answer(trusting, path=f"/agents/coded/stream?{query}")).status_code == 401
            assert (
                await answer(trusting, bearer(token), path=f"/agents/coded/stream?ticket={query}")
            ).status_code == 401

    async def test_what_it_may_do_is_in_its_scopes(self, trusting: Service, issuer: Issuer) -> None:
        async with calling(trusting.url, issuer.token(["openid", "admin"])) as admin:
            names = [await admin.make_agent("echo", name=name) for name in ("support-1", "sales-1")]
        async with calling(trusting.url, issuer.token("openid turns:write@support-* profile")) as caller:
            answers = [await caller.post(name, "echo", kwargs={"value": "a"}) for name in names]
            assert [found.status_code for found in answers] == [202, 404]
            assert (await caller.http.get("/agents/support-1")).status_code == 403
            assert (await caller.http.get("/agents/sales-1")).status_code == 404
            assert (await caller.http.get("/keys")).status_code == 403
            assert (await caller.http.get("/limits")).status_code == 200

    async def test_keys_are_beside_tokens(self, trusting: Service, issuer: Issuer) -> None:
        async with calling(trusting.url, issuer.token("admin", sub="root")) as admin:
            made = (await admin.http.post("/keys", json={"scopes": ["agents:read"]})).json()
            audit = (await admin.http.get("/audit?limit=1000")).json()["items"]
        assert await status(trusting, made["key"]) == 200
        by = audit[-1]["by"]
        assert (by["name"], by["id"][:4]) == ("root", "jwt:")
        await eventually(lambda: by["id"] in trusting.log)
        assert issuer.token("admin").partition(".")[0] + "." not in trusting.log

    async def test_a_subject_is_its_own_scope_of_idempotency(self, trusting: Service, issuer: Issuer) -> None:
        ids = []
        for subject, lifetime in (("ann", 100), ("ann", 200), ("bob", 100)):
            token = issuer.token("turns:write", sub=subject, exp=int(time.time()) + lifetime)
            async with calling(trusting.url, token) as caller:
                ids.append((await caller.submit("coded", "echo", key="k", kwargs={"value": "a"}))["id"])
        assert ids[0] == ids[1] != ids[2]


class TestWhatEndsWithIt:
    async def test_its_streams_and_those_of_its_tickets(self, trusting: Service, issuer: Issuer) -> None:
        until = int(time.time()) + 4
        token, longer = issuer.token("stream:read", exp=until), issuer.token("stream:read")
        path = "/agents/coded/stream"
        asked = await answer(trusting, bearer(token), path="/stream-tickets", method="POST", json={"agents": ["coded"]})
        address = f"{trusting.url}{path}?ticket={asked.json()['ticket']}"
        async with (
            httpx.AsyncClient(base_url=trusting.url, trust_env=False, timeout=20) as http,
            following(address) as page,
            http.stream("GET", path, headers=dict([bearer(token)])) as mine,
            http.stream("GET", path, headers=dict([bearer(longer)])) as others,
        ):
            assert (page.status, mine.status_code, others.status_code) == (200, 200, 200)
            await to_end(page, until)
            async with asyncio.timeout(WITHIN):
                received = [part async for part in mine.aiter_text()]
            assert "the key is not valid any more" in "".join(received)
            assert not others.is_closed
        assert await status(trusting, token, path) == 401
        async with following(address) as again:
            assert again.status == 401

    async def test_a_ticket_outlives_the_process_but_not_its_token(self, own: Own, own_issuer: Issuer) -> None:
        service = own(**own_issuer.settings)
        until = int(time.time()) + 8
        token = own_issuer.token("stream:read", exp=until)
        asked = await answer(service, bearer(token), path="/stream-tickets", method="POST", json={"agents": ["coded"]})
        address = f"{service.url}/agents/coded/stream?ticket={asked.json()['ticket']}"
        async with following(address) as page:
            assert page.status == 200
        service.restart()
        async with following(address) as page:
            assert page.status == 200
            await to_end(page, until)
        async with following(address) as page:
            assert page.status == 401

    async def test_so_does_a_browser_that_was_signed_in_with_it(self, own: Own, own_issuer: Issuer) -> None:
        """Also after a restart, when what the token allowed is known of nothing but the session."""
        service = own(**own_issuer.settings)
        until = int(time.time()) + 8
        token = own_issuer.token("agents:read@coded stream:read@coded", exp=until, sub="ann")
        async with httpx.AsyncClient(base_url=service.url, trust_env=False, timeout=20) as browser:
            assert (await browser.post("/session", json={"key": token + "x"})).status_code == 401
            asked = await browser.post("/session", json={"key": token})
            assert asked.status_code == 201, asked.text
            who = asked.json()
            assert (who["id"][:4], who["name"], who["credential"]) == ("jwt:", "ann", "cookie")
            assert who["scopes"] == ["agents:read@coded", "stream:read@coded"]
            service.restart()
            assert (await browser.get("/session")).json() == who
            assert (await browser.get("/agents/coded")).status_code == 200
            assert (await browser.get("/agents/other")).status_code == 404
            async with browser.stream("GET", "/agents/coded/stream") as stream:
                assert stream.status_code == 200
                async with asyncio.timeout(until - time.time() + WITHIN):
                    received = [part async for part in stream.aiter_text()]
            assert "the key is not valid any more" in "".join(received)
            assert (await browser.get("/session")).status_code == 401


class TestTheIssuer:
    async def test_new_keys_are_found_and_old_ones_let_nobody_in(self, own: Own, own_issuer: Issuer) -> None:
        service = own(**own_issuer.settings)
        old = own_issuer.token("agents:read")
        assert await status(service, old) == 200
        own_issuer.keys = {"second": OTHER_RSA_KEY}
        assert await status(service, own_issuer.token("agents:read", kid="second")) == 200
        assert await status(service, old) == 401
        fetched = len(own_issuer.fetched)
        made_up = [own_issuer.token(kid=str(number), key=OTHER_RSA_KEY) for number in range(20)]
        assert {await status(service, token) for token in made_up} == {401}
        assert len(own_issuer.fetched) == fetched

    async def test_it_is_down_at_the_start(self, own: Own, own_issuer: Issuer) -> None:
        own_issuer.stop()
        service = own(**own_issuer.settings)
        token = own_issuer.token("agents:read")
        refused = await answer(service, bearer(token))
        assert (refused.status_code, refused.json()["type"]) == (503, "urn:pygents:problem:unavailable")
        assert refused.headers["retry-after"]
        assert (await answer(service)).status_code == 401
        own_issuer.start()
        await eventually(lambda: _admits(service, token), timeout=20)

    async def test_and_later(self, own: Own, own_issuer: Issuer) -> None:
        service = own(**own_issuer.settings)
        assert await status(service, own_issuer.token("agents:read")) == 200
        own_issuer.stop()
        assert await status(service, own_issuer.token("agents:read", sub="another")) == 200
        assert await status(service, own_issuer.token(kid="second", key=OTHER_RSA_KEY)) == 401

    async def test_a_public_key_is_no_secret(self, trusting: Service, issuer: Issuer) -> None:
        text = f"{part({'alg': 'HS256', 'kid': 'first'})}.{part(issuer.claims('admin'))}"
        mac = hmac.digest(public_pem(issuer.keys["first"]), text.encode(), "sha256")
        assert await status(trusting, f"{text}.{part(mac)}") == 401
        assert await status(trusting, f"{part({'alg': 'none'})}.{part(issuer.claims('admin'))}.") == 401


async def _admits(service: Service, token: str) -> bool:
    return await status(service, token) == 200


class TestTheStart:
    def test_it_counts_as_a_key(self, tmp_path: Path, issuer: Issuer) -> None:
        with serving(tmp_path, AGENTS, "--host", "0.0.0.0", settings=issuer.settings) as service:  # noqa: S104
            assert httpx.get(f"{service.url}/agents", trust_env=False).status_code == 401

    def test_without_the_library_it_is_refused_in_one_line(self, tmp_path: Path, issuer: Issuer) -> None:
        script = "import sys; sys.modules['jwt'] = None; from pygents_app.cli import main; main()"
        ended = subprocess.run(
            [sys.executable, "-c", script, "serve", str(AGENTS), "--port", "0"], cwd=tmp_path, capture_output=True,
            text=True, timeout=60, check=False,
            env={"PATH": "/usr/bin:/bin", **{f"PYGENTS_{k.upper()}": v for k, v in issuer.settings.items()}},
        )  # fmt: skip
        assert ended.returncode != 0
        assert "pip install 'pygents[jwt]'" in ended.stderr
        assert len(ended.stderr.strip().splitlines()) == 1

    def test_nobody_pays_for_it_who_does_not_use_it(self, tmp_path: Path) -> None:
        script = (
            "import sys; from pygents_app.main import create_app; from pygents_app.settings import Settings;"
            "app = create_app(Settings(store='memory://'), []);"
            "print({'jwt', 'cryptography', 'pygents_app.tokens'} & set(sys.modules)); import os; os._exit(0)"
        )
        ended = subprocess.run(
            [sys.executable, "-uc", script], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        assert ended.stdout == "set()\n"
