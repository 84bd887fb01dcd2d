"""Tokens are verified once, kept while they are valid, and forgotten when the issuer's keys change."""

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator

import pytest

from pygents_app.auth import Gate
from pygents_app.errors import TooManyWrongKeys, Unauthorized, Unavailable
from pygents_app.tokens import admission as module
from pygents_app.tokens.admission import Tokens
from pygents_app.tokens.fetching import FetchFailed
from pygents_app.tokens.keyring import Keyring
from pygents_app.tokens.keyset import KeySet
from pygents_app.tokens.trust import Trust
from tests.issuer import AUDIENCE, OTHER_RSA_KEY, Issuer

pytestmark = pytest.mark.anyio

KEY = "0123456789.abc.def"


class World:
    """An issuer, the clock, and what is made of them."""

    def __init__(self) -> None:
        self.issuer, self.offset, self.down = Issuer(), 0, False
        self.keyring = Keyring(fetch=self.fetch, clock=lambda: 0.0)
        trust = Trust(self.issuer.url, AUDIENCE)
        self.tokens = Tokens(trust=trust, keyring=self.keyring, clock=self.now, most=3)
        self.gate = Gate(admin_key=KEY, visitors=self.tokens, clock=self.now)

    def now(self) -> int:
        return int(time.time() * 1_000_000) + self.offset

    async def fetch(self) -> KeySet:
        if self.down:
            raise FetchFailed("down")
        return KeySet(json.dumps(self.issuer.jwks).encode())

    def knows(self, token: str) -> bool:
        return self.gate.admit([b"Bearer " + token.encode()], []) is not None

    async def admit(self, token: str) -> None:
        await self.tokens.admit(token.encode())


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    yield world
    await world.tokens.stop()


async def test_one_is_verified_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.tokens.start()
    token = world.issuer.token("admin")
    assert not world.knows(token)
    await world.admit(token)
    monkeypatch.setattr(module, "verify", None)
    assert world.knows(token)


async def test_what_may_not_be_verified_is_not(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever counts forged ones is asked before a signature is looked at, and for none that cannot be right."""
    world.tokens.start()
    asked: list[str] = []

    def refuse() -> None:
        asked.append("refused")
        raise TooManyWrongKeys("Wait.")

    token, forged = world.issuer.token("admin"), world.issuer.token("admin", key=OTHER_RSA_KEY)
    with pytest.raises(Unauthorized, match="signature"):
        await world.tokens.admit(forged.encode(), may_verify=lambda: asked.append("granted"))
    monkeypatch.setattr(module, "verify", None)
    for each in (token, forged):
        with pytest.raises(TooManyWrongKeys):
            await world.tokens.admit(each.encode(), may_verify=refuse)
    for each in ("a.b.c", world.issuer.token(kid="unknown", key=OTHER_RSA_KEY)):
        with pytest.raises(Unauthorized):
            await world.tokens.admit(each.encode(), may_verify=refuse)
    assert asked == ["granted", "refused", "refused"]
    assert not world.knows(token)


async def test_only_in_its_own_header(world: World) -> None:
    world.tokens.start()
    token = world.issuer.token("admin").encode()
    await world.tokens.admit(token)
    bearer = b"Bearer " + token
    assert world.gate.admit([bearer], [])
    for authorization, x_api_key in (([], [token]), ([bearer], [token]), ([bearer] * 2, []), ([b"Basic " + token], [])):
        assert world.gate.admit(authorization, x_api_key) is None
    assert world.gate.admit([bearer], [KEY.encode()]) is None, "two credentials are none"


async def test_until_it_expires(world: World) -> None:
    world.tokens.start()
    token = world.issuer.token()
    await world.admit(token)
    world.offset = 3601 * 1_000_000
    assert not world.knows(token)
    with pytest.raises(Unauthorized, match="has expired"):
        await world.admit(token)


async def test_keys_that_change_make_all_be_verified_anew(world: World) -> None:
    world.tokens.start()
    old = world.issuer.token()
    await world.admit(old)
    world.issuer.keys = {"second": OTHER_RSA_KEY}
    new = world.issuer.token(kid="second")
    await world.admit(new)
    assert world.knows(new)
    assert not world.knows(old)
    with pytest.raises(Unauthorized, match="names no key"):
        await world.admit(old)


async def test_also_while_no_new_token_comes(world: World) -> None:
    world.tokens.start()
    token = world.issuer.token()
    await world.admit(token)
    world.issuer.keys = {"second": OTHER_RSA_KEY}
    await world.keyring.renewed()
    assert not world.knows(token)


async def test_no_more_are_kept_than_may_be(world: World) -> None:
    world.tokens.start()
    tokens = [world.issuer.token(sub=str(number)) for number in range(5)]
    for token in tokens:
        await world.admit(token)
    assert [world.knows(token) for token in tokens] == [False, False, True, True, True]


async def test_while_there_are_no_keys_it_is_not_the_tokens_fault(world: World) -> None:
    world.down = True
    world.tokens.start()
    with pytest.raises(Unavailable) as caught:
        await world.admit(world.issuer.token())
    assert caught.value.headers["Retry-After"]
    with pytest.raises(Unauthorized):
        await world.admit("not.a.token!")


async def test_an_issuer_that_is_gone_takes_nothing_away(world: World) -> None:
    world.tokens.start()
    await world.admit(world.issuer.token())
    world.down = True
    await world.admit(world.issuer.token(sub="another"))
    with pytest.raises(Unauthorized, match="names no key"):
        await world.admit(world.issuer.token(kid="second", key=OTHER_RSA_KEY))


async def test_what_is_refused_is_not_kept(world: World) -> None:
    world.tokens.start()
    token = world.issuer.token(aud="another")
    with pytest.raises(Unauthorized, match="another audience") as caught:
        await world.admit(token)
    assert caught.value.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
    assert world.tokens.known(hashlib.sha256(token.encode()).digest()) is None


async def test_a_gate_with_an_issuer_is_never_open(world: World) -> None:
    gate = Gate(admin_key=None, visitors=world.tokens)
    assert not gate.open
    assert gate.has_admin_elsewhere
    assert gate.admit([], []) is None
    assert gate.by_holder("") is None
    await asyncio.sleep(0)
