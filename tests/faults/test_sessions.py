# ruff: noqa: ASYNC240 (looking for files is quick)
"""Browsers that are signed in to a real process: over kill -9, revocation and restores, in its file, and in its log."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.caller import Caller, calling
from tests.faults.test_access import WITHIN, make, revoke, root_of, run
from tests.service import Service

pytestmark = pytest.mark.anyio

Own = Callable[..., Service]
ADMIN_KEY = "the-key-of-the-settings"
STREAM = "/agents/coded/stream"


class Browser:
    """Keeps the cookie that it was given, and sends what a page of the service's own origin sends."""

    def __init__(self, caller: Caller) -> None:
        self.http = caller.http

    async def sign_in(self, key: str) -> Any:
        answer = await self.http.post("/session", json={"key": key})
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def sign_out(self) -> None:
        assert (await self.http.delete("/session")).status_code == 204

    @property
    def cookie(self) -> str:
        ((name, value),) = self.http.cookies.items()
        return f"{name}={value}"

    async def status(self, path: str = "/session", *, cookie: str | None = None) -> int:
        """``cookie``: another one than its own, replayed."""
        headers = {"Cookie": cookie} if cookie is not None else {}
        return (await self.http.get(path, headers=headers)).status_code

    async def ends(self, answer: httpx.Response) -> str:
        """What a stream has sent, which ends cleanly and in time."""
        began = time.monotonic()
        async with asyncio.timeout(WITHIN):
            received = "".join([part async for part in answer.aiter_text()])
        assert time.monotonic() - began < WITHIN
        return received


@asynccontextmanager
async def browsing(service: Service, key: str) -> AsyncIterator[Browser]:
    async with calling(service.url) as caller:
        caller.http.headers["Origin"] = service.url
        browser = Browser(caller)
        await browser.sign_in(key)
        yield browser


async def test_it_outlives_the_process_and_is_in_no_file(own: Own, tmp_path: Path) -> None:
    service = own(log="debug", access_log="all")
    root = await root_of(service)
    async with browsing(service, root) as kept, browsing(service, root) as ended:
        who = (await kept.http.get("/session")).json()
        cookie = ended.cookie
        await ended.sign_out()
        service.restart()
        assert (await kept.http.get("/session")).json() == who
        assert await kept.status(cookie=cookie) == 401, "what was signed out stays so"
        cookies = [cookie, kept.cookie]
        service.stop()
    secrets = [cookie.rpartition("_")[2] for cookie in cookies]
    for file in tmp_path.iterdir():
        content = file.read_bytes()
        assert not [secret for secret in secrets if secret.encode() in content], file
    assert "POST /session 201" in service.log


class TestStreams:
    async def test_they_end_when_one_signs_out(self, own: Own) -> None:
        service = own()
        root = await root_of(service)
        async with (
            browsing(service, root) as browser,
            browsing(service, root) as other,
            browser.http.stream("GET", STREAM) as mine,
            other.http.stream("GET", STREAM) as others,
        ):
            assert (mine.status_code, others.status_code) == (200, 200)
            await browser.sign_out()
            assert "the key is not valid any more" in await browser.ends(mine)
            assert await browser.status(STREAM) == 401
            async with calling(service.url, root) as caller:
                await caller.do("coded", "echo", args=[1])
            await until(others, "turn.completed")

    async def test_they_end_with_the_key(self, own: Own) -> None:
        service = own()
        async with calling(service.url, await root_of(service)) as caller:
            key = await make(caller, "stream:read")
            async with browsing(service, key["key"]) as browser, browser.http.stream("GET", STREAM) as mine:
                assert mine.status_code == 200
                await revoke(caller, key)
                await browser.ends(mine)
                assert await browser.status() == 401
                service.restart()
                assert await browser.status() == 401

    async def test_and_when_that_expires(self, own: Own) -> None:
        service = own()
        async with calling(service.url, await root_of(service)) as caller:
            key = await make(caller, "stream:read", expires_in=2)
        async with browsing(service, key["key"]) as browser, browser.http.stream("GET", STREAM) as mine:
            async with asyncio.timeout(2 + WITHIN):
                assert "the key is not valid any more" in "".join([part async for part in mine.aiter_text()])
            assert await browser.status() == 401


async def test_another_key_in_the_settings_is_another_admin(own: Own, tmp_path: Path) -> None:
    file = tmp_path / "admin.key"
    file.write_text(ADMIN_KEY)
    service = own(admin_key_file=file)
    async with browsing(service, ADMIN_KEY) as browser:
        service.restart()
        assert await browser.status() == 200
        tickets = [await ticket(browser.http), await ticket(browser.http, ADMIN_KEY)]
        file.write_text(f"{ADMIN_KEY}-of-tomorrow")
        service.restart()
        assert await browser.status() == 401
        assert [await browser.status(f"{STREAM}?ticket={each}", cookie="none") for each in tickets] == [401, 401]


async def ticket(http: httpx.AsyncClient, key: str | None = None) -> str:
    headers = {"X-API-Key": key} if key is not None else {}
    answer = await http.post("/stream-tickets", json={"agents": ["coded"]}, headers=headers)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["ticket"])


async def test_it_can_wait_for_a_turns_end(own: Own, tmp_path: Path) -> None:
    service = own()
    gate = {"kwargs": {"gate": str(tmp_path / "gate")}, "tool": "gated"}
    async with browsing(service, await root_of(service)) as browser:
        assert (await browser.http.post("/agents", json={"name": "a", "tools": ["gated"]})).status_code == 201
        waited = asyncio.create_task(browser.http.post("/agents/a/turns", json=gate, headers={"Prefer": "wait=4"}))
        assert (await waited).status_code == 202, "longer than it takes to look whether the key is valid"
        turn = (await browser.http.get("/agents/a/turns")).json()["items"][0]
        waiting = asyncio.create_task(browser.http.get(f"/turns/{turn['id']}?wait=30"))
        (tmp_path / "gate").touch()
        answer = await waiting
        assert (answer.status_code, answer.json()["status"]) == (200, "completed")


async def test_a_restore_signs_everybody_out(own: Own, tmp_path: Path) -> None:
    """In the backup are those, too, that were signed out since."""
    service, backup = own(), tmp_path / "backup.db"
    root = await root_of(service)
    async with browsing(service, root) as browser:
        made = await asyncio.to_thread(run, tmp_path, "backup", backup, "--url", service.url, PYGENTS_API_KEY=root)
        assert made[0] == 0, made
        cookie = browser.cookie
        await browser.sign_out()
        service.stop()
        store = f"sqlite:///{service.database}"
        restored = await asyncio.to_thread(run, tmp_path, "restore", backup, "--store", store, "--force")
        assert restored[0] == 0, restored
        service.start()
        assert await browser.status(cookie=cookie) == 401


async def until(answer: httpx.Response, word: str) -> None:
    received = ""
    async with asyncio.timeout(20):
        async for part in answer.aiter_text():
            received += part
            if word in received:
                return
    raise AssertionError(received)
