"""When the issuer is asked for its keys, and what is kept when it does not answer."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from pygents_app.tokens import keyring as module
from pygents_app.tokens.fetching import FetchFailed
from pygents_app.tokens.keyring import ASK_SECONDS, Keyring
from pygents_app.tokens.keyset import KeySet
from tests.helpers import eventually
from tests.issuer import OTHER_RSA_KEY, RSA_KEY, jwk

pytestmark = pytest.mark.anyio

FIRST, SECOND = (
    KeySet(json.dumps({"keys": [jwk(key, kid=kid)]}).encode())
    for key, kid in ((RSA_KEY, "first"), (OTHER_RSA_KEY, "second"))
)


class Source:
    """What is fetched, and when: each fetch takes one of ``permits``."""

    def __init__(self, *answers: KeySet | Exception) -> None:
        self.answers, self.fetches, self.now = list(answers), 0, 1000.0
        self.permits = asyncio.Semaphore(100)

    async def fetch(self) -> KeySet:
        self.fetches += 1
        await self.permits.acquire()
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


@asynccontextmanager
async def started(source: Source) -> AsyncIterator[Keyring]:
    keyring = Keyring(fetch=source.fetch, clock=lambda: source.now)
    keyring.start()
    try:
        yield keyring
    finally:
        await keyring.stop()


async def test_the_start_waits_for_nothing_and_a_token_for_the_fetch() -> None:
    source = Source(FIRST)
    source.permits = asyncio.Semaphore(0)
    async with started(source) as keyring:
        waiting = asyncio.ensure_future(keyring.renewed())
        await eventually(lambda: source.fetches == 1)
        assert not waiting.done()
        source.permits.release()
        await waiting
        assert keyring.keys is FIRST
        assert source.fetches == 1


async def test_made_up_key_ids_make_one_fetch_in_half_a_minute() -> None:
    source = Source(FIRST, SECOND, FIRST)
    async with started(source) as keyring:
        await eventually(lambda: keyring.keys is not None)
        await asyncio.gather(*(keyring.renewed() for _ in range(50)))
        assert source.fetches == 2
        assert keyring.keys is SECOND
        source.now += ASK_SECONDS - 1
        await keyring.renewed()
        assert source.fetches == 2
        source.now += 1
        await keyring.renewed()
        assert source.fetches == 3


async def test_the_same_keys_again_stay_the_ones_that_tokens_were_verified_with() -> None:
    source = Source(FIRST, KeySet(json.dumps({"keys": [jwk(RSA_KEY, kid="first")]}).encode()))
    async with started(source) as keyring:
        await eventually(lambda: keyring.keys is not None)
        await keyring.renewed()
        assert source.fetches == 2
        assert keyring.keys is FIRST


async def test_an_outage_takes_no_keys_away_and_has_two_lines_in_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "RENEW_SECONDS", 0.0)
    monkeypatch.setattr(module, "FIRST_RETRY", 0.0)
    caplog.set_level("INFO", "pygents_app.tokens")
    source = Source(FIRST, FetchFailed("down"), FetchFailed("down"), FetchFailed("down"), SECOND)
    source.permits = asyncio.Semaphore(3)
    async with started(source) as keyring:
        await eventually(lambda: source.fetches == 4)
        assert keyring.keys is FIRST
        source.permits.release()
        source.permits.release()
        await eventually(lambda: keyring.keys is SECOND)
    lines = [record.getMessage() for record in caplog.records]
    assert sum("cannot be fetched: down" in line for line in lines) == 1
    assert sum("are there" in line for line in lines) == 2


async def test_a_defect_does_not_end_the_renewing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_RETRY", 0.0)
    source = Source(RuntimeError("a defect"), FIRST)
    async with started(source) as keyring:
        await eventually(lambda: keyring.keys is not None)


async def test_while_there_never_were_keys_no_token_makes_a_fetch() -> None:
    source = Source(FetchFailed("down"))
    async with started(source) as keyring:
        await asyncio.gather(*(keyring.renewed() for _ in range(50)))
        await keyring.renewed()
        assert source.fetches == 1
        assert keyring.keys is None
