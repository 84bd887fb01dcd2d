"""Keys, stream tickets, sessions and the audit log, on every store."""

from dataclasses import replace

import pytest

from pygents_app.access.commands import (
    BeginSession,
    CloseTicket,
    CreateKey,
    EndSession,
    IssueTicket,
    LogEntry,
    RedeemTicket,
    RevokeKey,
    SettleTickets,
    UseSession,
    audited,
)
from pygents_app.access.records import AccessKey, Actor, Entry, Session, Ticket
from pygents_app.access.rules import (
    IDLE_SECONDS,
    MOST_SESSIONS,
    MOST_TICKETS,
    OPEN_WITHIN_SECONDS,
    RETURN_WITHIN_SECONDS,
    SESSION_SECONDS,
)
from pygents_app.commands import DeleteAgent, Pause
from pygents_app.errors import AgentNotFound, KeyNotFound, NoAdminKey, TooManyTickets, Unauthorized
from pygents_app.grants import Grant, Scope
from tests.contracts.conftest import OpenStore
from tests.contracts.driver import SECOND, START, Driver

pytestmark = pytest.mark.anyio

ALICE = Actor("k0", "alice", "192.0.2.1", "request-1")
ADMIN = AccessKey("k1", "root", b"1" * 32, (Grant(Scope.ADMIN),), 0)
READER = AccessKey("k2", "the é page", b"2" * 32, (Grant(Scope.STREAM_READ, "a*"), Grant(Scope.AGENTS_READ)), 0)
TICKET = Ticket(b"t" * 32, "k2", ("a", "b"), None)
SESSION = Session(b"s" * 32, "k2", None)


def entry(action: str = "createKey", target: str = "") -> Entry:
    return Entry(ALICE, action, target, '{"of": "the tests"}')


async def make(driver: Driver, *keys: AccessKey) -> None:
    for key in keys:
        await driver.store.execute(CreateKey(key, entry(target=key.id)))


async def actions(driver: Driver) -> list[tuple[str, str]]:
    page = await driver.store.list_audit()
    return [(one.entry.action, one.entry.target) for one in page.items]


class TestKeys:
    async def test_they_are_kept_as_they_are(self, driver: Driver) -> None:
        later = replace(READER, expires_at=START + 5)
        await make(driver, ADMIN, later)
        assert await driver.store.all_keys() == [replace(key, created_at=START) for key in (ADMIN, later)]

    async def test_they_are_there_afterwards(self, open_durable_store: OpenStore) -> None:
        await make(open_durable_store(), ADMIN, READER)
        again = await open_durable_store.reopen()
        assert [key.id for key in await again.store.all_keys()] == ["k1", "k2"]
        assert await actions(again) == [("createKey", "k1"), ("createKey", "k2")]

    async def test_the_first_must_be_able_to_make_others(self, driver: Driver) -> None:
        with pytest.raises(NoAdminKey):
            await make(driver, READER)
        limited = replace(ADMIN, grants=(Grant(Scope.ADMIN, "a*"),))
        with pytest.raises(NoAdminKey):
            await make(driver, limited)
        assert await driver.store.all_keys() == []
        assert await actions(driver) == []
        await driver.store.execute(CreateKey(READER, entry(), admin_elsewhere=True))

    async def test_one_that_is_void_is_no_admins(self, driver: Driver) -> None:
        await make(driver, replace(ADMIN, expires_at=START + SECOND))
        driver.clock.now += SECOND
        with pytest.raises(NoAdminKey):
            await make(driver, READER)

    async def test_one_is_revoked_once(self, driver: Driver) -> None:
        await make(driver, ADMIN, READER)
        driver.clock.now += SECOND
        revoked = await driver.store.execute(RevokeKey("k2", entry("revokeKey", "k2")))
        driver.clock.now += SECOND
        again = await driver.store.execute(RevokeKey("k2", entry("revokeKey", "k2")))
        assert revoked.key.revoked_at == again.key.revoked_at == START + SECOND
        assert [key.revoked_at for key in await driver.store.all_keys()] == [None, START + SECOND]
        assert not revoked.key.valid(driver.clock.now)

    async def test_an_unknown_one_cannot_be(self, driver: Driver) -> None:
        with pytest.raises(KeyNotFound):
            await driver.store.execute(RevokeKey("k9", entry("revokeKey", "k9")))
        assert await actions(driver) == []

    async def test_pages(self, driver: Driver) -> None:
        await make(driver, *(replace(ADMIN, id=f"k{number}") for number in (3, 1, 2)))
        first = await driver.store.list_keys(limit=2)
        assert ([key.id for key in first.items], first.next) == (["k3", "k1"], "k1")
        last = await driver.store.list_keys(after="k1", limit=2)
        assert ([key.id for key in last.items], last.next) == (["k2"], None)
        assert (await driver.store.list_keys(after="unknown")).items == ()


class TestTickets:
    async def issue(self, driver: Driver) -> None:
        await driver.store.execute(IssueTicket(TICKET))

    async def redeem(self, driver: Driver, path: str = "/s", agent: str = "a") -> Ticket:
        return (await driver.store.execute(RedeemTicket(TICKET.digest, path, agent))).ticket

    async def refused(self, driver: Driver, path: str = "/s", agent: str = "a") -> None:
        with pytest.raises(Unauthorized):
            await self.redeem(driver, path, agent)

    async def test_one_opens_a_stream_of_its_agents(self, driver: Driver) -> None:
        await self.refused(driver)
        await self.issue(driver)
        await self.refused(driver, agent="c")
        assert await self.redeem(driver, agent="b") == replace(TICKET, path="/s")

    async def test_not_later_than_in_a_minute(self, driver: Driver) -> None:
        await self.issue(driver)
        driver.clock.now += OPEN_WITHIN_SECONDS * SECOND
        await self.refused(driver)

    async def test_it_admits_that_stream_again_and_no_other(self, driver: Driver) -> None:
        await self.issue(driver)
        await self.redeem(driver)
        driver.clock.now += 10 * RETURN_WITHIN_SECONDS * SECOND
        await self.redeem(driver)
        await self.refused(driver, path="/other")

    async def test_until_ten_minutes_after_it_was_closed(self, driver: Driver) -> None:
        await self.issue(driver)
        await self.redeem(driver)
        await driver.store.execute(CloseTicket(TICKET.digest))
        driver.clock.now += RETURN_WITHIN_SECONDS * SECOND - 1
        await self.redeem(driver)
        await driver.store.execute(CloseTicket(TICKET.digest))
        driver.clock.now += RETURN_WITHIN_SECONDS * SECOND
        await self.refused(driver)

    async def test_closing_what_is_closed_gives_no_further_time(self, driver: Driver) -> None:
        await self.issue(driver)
        await self.redeem(driver)
        for _ in range(2):
            await driver.store.execute(CloseTicket(TICKET.digest))
            driver.clock.now += RETURN_WITHIN_SECONDS * SECOND - 1
        await self.refused(driver)

    async def test_a_process_that_has_ended_has_closed_them_all(self, open_durable_store: OpenStore) -> None:
        driver = open_durable_store()
        await self.issue(driver)
        await self.redeem(driver)
        driver = await open_durable_store.reopen()
        await driver.store.execute(SettleTickets())
        driver.clock.now += RETURN_WITHIN_SECONDS * SECOND
        await self.refused(driver)

    async def test_there_are_only_so_many_of_a_key(self, driver: Driver) -> None:
        for number in range(MOST_TICKETS):
            await driver.store.execute(IssueTicket(replace(TICKET, digest=b"%032d" % number)))
        with pytest.raises(TooManyTickets):
            await self.issue(driver)
        await driver.store.execute(IssueTicket(replace(TICKET, digest=b"x" * 32, key="another")))
        driver.clock.now += OPEN_WITHIN_SECONDS * SECOND
        await self.issue(driver)


class TestSessions:
    async def begin(self, driver: Driver, session: Session = SESSION, *, replaces: bytes = b"") -> Session:
        return (await driver.store.execute(BeginSession(session, entry("signIn"), replaces))).session

    async def test_one_is_kept_as_it_is(self, driver: Driver) -> None:
        said = replace(SESSION, digest=b"j" * 32, key="jwt:a.1", until=START + 5, name="the é", scopes="admin@a* x")
        assert await self.begin(driver) == replace(SESSION, until=START + SESSION_SECONDS * SECOND, used_at=START)
        assert await self.begin(driver, said) == replace(said, used_at=START)
        assert [one.digest for one in await driver.store.all_sessions()] == [SESSION.digest, said.digest]
        assert (await driver.store.all_sessions())[1] == replace(said, used_at=START)
        assert await actions(driver) == [("signIn", "")] * 2

    async def test_it_is_there_afterwards(self, open_durable_store: OpenStore) -> None:
        began = await self.begin(open_durable_store())
        again = await open_durable_store.reopen()
        assert await again.store.all_sessions() == [began]

    async def test_it_ends_no_later_than_a_week(self, driver: Driver) -> None:
        far = START + 2 * SESSION_SECONDS * SECOND
        assert (await self.begin(driver, replace(SESSION, until=far))).until == START + SESSION_SECONDS * SECOND

    async def test_use_is_noted_and_nothing_else(self, driver: Driver) -> None:
        began = await self.begin(driver)
        driver.clock.now += SECOND
        await driver.store.execute(UseSession(SESSION.digest))
        assert await driver.store.all_sessions() == [replace(began, used_at=START + SECOND)]
        driver.clock.now += IDLE_SECONDS * SECOND
        await driver.store.execute(UseSession(SESSION.digest))
        await driver.store.execute(UseSession(b"unknown"))
        assert await driver.store.all_sessions() == [replace(began, used_at=START + SECOND)]

    async def test_one_is_ended_once(self, driver: Driver) -> None:
        await self.begin(driver)
        for _ in range(2):
            await driver.store.execute(EndSession(SESSION.digest, entry("signOut")))
        assert await driver.store.all_sessions() == []
        assert await actions(driver) == [("signIn", ""), ("signOut", "")]

    async def test_it_takes_the_place_of_another(self, driver: Driver) -> None:
        await self.begin(driver)
        other = replace(SESSION, digest=b"o" * 32)
        reply = await driver.store.execute(BeginSession(other, None, SESSION.digest))
        assert reply.ended == (SESSION.digest,)
        assert await driver.store.all_sessions() == [reply.session]

    async def test_the_least_lately_used_gives_way(self, driver: Driver) -> None:
        first, *rest = (replace(SESSION, digest=b"%032d" % number) for number in range(MOST_SESSIONS))
        for session in (first, *rest):
            await self.begin(driver, session)
            driver.clock.now += SECOND
        await driver.store.execute(UseSession(first.digest))
        elsewhere = await driver.store.execute(BeginSession(replace(SESSION, key="k3", digest=b"x" * 32)))
        assert elsewhere.ended == ()
        reply = await driver.store.execute(BeginSession(SESSION))
        assert reply.ended == (rest[0].digest,)
        assert len(await driver.store.all_sessions()) == MOST_SESSIONS + 1

    @pytest.mark.parametrize("seconds", [IDLE_SECONDS, SESSION_SECONDS])
    async def test_those_that_are_over_are_gone_with_the_next_one(self, driver: Driver, seconds: int) -> None:
        await self.begin(driver)
        driver.clock.now += seconds * SECOND
        began = await self.begin(driver, replace(SESSION, digest=b"o" * 32))
        assert await driver.store.all_sessions() == [began]

    async def test_they_go_with_their_key(self, driver: Driver) -> None:
        await make(driver, ADMIN, READER)
        await self.begin(driver)
        other = await self.begin(driver, replace(SESSION, digest=b"o" * 32, key=ADMIN.id))
        await driver.store.execute(RevokeKey(READER.id, entry("revokeKey", READER.id)))
        assert await driver.store.all_sessions() == [other]


class TestAudit:
    async def test_an_action_and_its_entry_are_committed_together(self, driver: Driver) -> None:
        await driver.create()
        driver.clock.now += SECOND
        reply = await driver.store.execute(audited(Pause("a"), entry("pauseAgent", "a")))
        assert reply.head.paused
        page = await driver.store.list_audit()
        assert [(one.number, one.time, one.entry) for one in page.items] == [
            (1, START + SECOND, entry("pauseAgent", "a"))
        ]
        assert await driver.types() == ["agent.created", "agent.paused"]
        assert [event.type.value for event in driver.events()] == ["agent.created", "agent.paused"]

    async def test_what_is_refused_leaves_none(self, driver: Driver) -> None:
        with pytest.raises(AgentNotFound):
            await driver.store.execute(audited(DeleteAgent("a", "alice"), entry("deleteAgent", "a")))
        assert await actions(driver) == []

    async def test_what_changes_nothing_was_granted_all_the_same(self, driver: Driver) -> None:
        await driver.create()
        for _ in range(2):
            await driver.store.execute(audited(Pause("a"), entry("pauseAgent", "a")))
        assert await actions(driver) == [("pauseAgent", "a")] * 2

    async def test_pages(self, driver: Driver) -> None:
        for number in range(5):
            await driver.store.execute(LogEntry(entry("backup", str(number))))
        first = await driver.store.list_audit(limit=2)
        assert ([one.number for one in first.items], first.next) == ([1, 2], "2")
        last = await driver.store.list_audit(after=2, limit=3)
        assert ([one.entry.target for one in last.items], last.next) == (["2", "3", "4"], None)
