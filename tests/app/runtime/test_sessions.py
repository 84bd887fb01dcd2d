"""How long a browser stays signed in, by a clock that a test moves; and what becomes of whoever gives way."""

from collections.abc import AsyncIterator

import pytest

from pygents_app.access.records import AccessKey
from pygents_app.access.rules import IDLE_SECONDS, MOST_SESSIONS, SESSION_SECONDS
from pygents_app.auth import SETTINGS_ADMIN, Gate, Principal, digest_of, held_by
from pygents_app.grants import Grant, Scope
from pygents_app.runtime.sessions import NOTE_SECONDS, Sessions
from pygents_app.store.opening import open_store
from tests.contracts.driver import SECOND, START, Clock, Driver
from tests.helpers import eventually

pytestmark = pytest.mark.anyio

KEY = AccessKey("0123456789ab", "desk", digest_of("secret"), (Grant(Scope.ADMIN, "a*"),), 0)


class House:
    """``ended``: the ids whose streams were ended."""

    def __init__(self, driver: Driver, admin_key: str | None = None) -> None:
        self.driver, self.clock = driver, driver.clock
        self.ended: list[str] = []
        self.gate = Gate(admin_key=admin_key, clock=self.clock)
        self.gate.put(KEY)
        self.sessions = Sessions(store=driver.store, gate=self.gate, end_streams=self.ended.append, clock=self.clock)

    @property
    def desk(self) -> Principal:
        found = self.gate.by_holder(KEY.id)
        assert found is not None
        return found

    async def begin(self, principal: Principal | None = None) -> tuple[bytes, Principal]:
        token, caller = await self.sessions.begin(principal or self.desk, ())
        return token.encode(), caller

    async def again(self, admin_key: str | None = None) -> "House":
        """As after a restart."""
        self.sessions.stop()
        house = House(self.driver, admin_key)
        await house.sessions.start()
        return house


@pytest.fixture
async def house() -> AsyncIterator[House]:
    driver = Driver(open_store("memory://", clock=(clock := Clock())), clock)
    house = House(driver, "the-key-of-the-settings")
    await house.sessions.start()
    yield house
    house.sessions.stop()
    await driver.store.close()


async def test_a_browser_that_is_busy_stays_for_a_week(house: House) -> None:
    token, caller = await house.begin()
    end = START + SESSION_SECONDS * SECOND
    assert (caller.id, caller.until) == (KEY.id, end)
    step = IDLE_SECONDS * SECOND - 1
    for moment in range(START + step, end, step):
        house.clock.now = moment
        assert house.sessions.find(token) == caller
    house.clock.now = end
    assert house.sessions.find(token) is None


async def test_one_that_is_not_is_signed_out(house: House) -> None:
    token, caller = await house.begin()
    house.clock.now += IDLE_SECONDS * SECOND
    assert house.sessions.find(token) is None
    assert house.sessions.by_holder(caller.holder) is None
    await eventually(lambda: caller.holder in house.ended)


async def test_its_use_is_noted_now_and_then(house: House) -> None:
    token, _ = await house.begin()
    for seconds in (1, NOTE_SECONDS - 2, 1):
        house.clock.now += seconds * SECOND
        assert house.sessions.find(token)
    noted = START + NOTE_SECONDS * SECOND

    async def stored() -> bool:
        (session,) = await house.driver.store.all_sessions()
        return session.used_at == noted

    await eventually(stored)
    again = await house.again()
    house.clock.now = noted + IDLE_SECONDS * SECOND - 1
    assert again.sessions.find(token)
    again.sessions.stop()


async def test_it_ends_with_its_key(house: House) -> None:
    token, caller = await house.begin()
    other, _ = await house.begin(SETTINGS_ADMIN)
    house.sessions.end_streams(KEY.id)
    assert house.ended == [KEY.id, caller.holder]
    assert house.sessions.find(token) is None
    assert house.sessions.find(other)


async def test_a_key_that_is_void_by_the_clock_has_none(house: House) -> None:
    key = AccessKey("b" * 12, "", digest_of("b"), (Grant(Scope.ADMIN),), 0, expires_at=START + SECOND)
    house.gate.put(key)
    principal = house.gate.by_holder(key.id)
    assert principal is not None
    token, caller = await house.begin(principal)
    assert caller.until == key.expires_at
    house.clock.now += SECOND
    assert house.sessions.find(token) is None


async def test_who_gives_way_is_told(house: House) -> None:
    tokens = []
    for _ in range(MOST_SESSIONS + 1):
        tokens.append(await house.begin())
        house.clock.now += 1
    assert house.ended == [tokens[0][1].holder]
    assert [token for token, _ in tokens if house.sessions.find(token) is None] == [tokens[0][0]]


async def test_another_key_in_the_settings_is_another_admin(house: House) -> None:
    token, caller = await house.begin(SETTINGS_ADMIN)
    for key, expected in (("another-key-of-the-settings", None), (None, None), ("the-key-of-the-settings", "admin")):
        again = await house.again(key)
        assert again.sessions.by_holder(caller.holder) is None, "nobody has shown its token yet"
        found = again.sessions.find(token)
        assert (found.id if found is not None else None) == expected
        assert (again.sessions.by_holder(caller.holder) is not None) == (expected is not None)
        again.sessions.stop()


async def test_what_it_holds_ends_with_it(house: House) -> None:
    """Also where its caller is the settings' admin, whose own streams nothing ends."""
    _, caller = await house.begin(SETTINGS_ADMIN)
    held = held_by(caller, "")
    assert (held.key, held.until) == (caller.holder, caller.until)
    await house.sessions.end(caller)
    assert house.ended == [held.key]
    assert held_by(SETTINGS_ADMIN, "").key == ""
