"""How often callers may come: rates of requests, and wrong keys."""

from collections.abc import Iterator
from typing import Any

import pytest

from pygents_app.access.records import NO_LIMITS, Actor, KeyLimits
from pygents_app.grants import Grant, Scope
from pygents_app.model import Asker
from pygents_app.rates import Buckets, Pace
from pygents_app.settings import Settings
from tests.app.api.conftest import KEY
from tests.app.api.serving import Served, serving
from tests.app.api.test_guard import problem

BURST = 5
ADMIN = {"X-API-Key": KEY}
ACTOR = Actor("admin", "", "", "")


@pytest.fixture
def rated() -> Iterator[Served]:
    """So slow that no request comes back while a test runs."""
    with serving(Settings(rate=0.001, rate_burst=BURST)) as served:
        yield served


@pytest.fixture
def keyed() -> Iterator[Served]:
    settings = {"rate": 0.001, "rate_burst": BURST, "admin_key": KEY, "wrong_keys": 3}
    with serving(Settings.model_validate(settings)) as served:
        yield served


def spend(served: Served, **options: Any) -> None:
    for _ in range(BURST):
        assert served.call("GET", "/agents", **options).status_code == 200


def make_key(served: Served, limits: KeyLimits = NO_LIMITS) -> str:
    grants = [Grant(Scope.AGENTS_READ), Grant(Scope.STREAM_READ)]
    _, secret = served.do(served.services.keys.create("a", grants, expires_at=None, actor=ACTOR, limits=limits))
    return secret


def refused(answer: Any) -> int:
    """How long the client is to wait."""
    problem(answer, "rate-limited")
    return int(answer.headers["retry-after"])


class TestRate:
    def test_beyond_the_burst(self, rated: Served) -> None:
        agent = rated.create()
        spend(rated)
        answer = rated.call("POST", f"/agents/{agent}/turns", json={"tool": "echo"})
        assert refused(answer) == pytest.approx(1000, abs=20)
        assert answer.headers["ratelimit"] == f'"requests";r=0;t={answer.headers["retry-after"]}'
        assert rated.do(rated.store.list_turns(agent, limit=10)).items == (), "a refused turn was stored"

    def test_every_answer_tells_what_is_left(self, rated: Served) -> None:
        agent = rated.create()
        first = rated.call("POST", f"/agents/{agent}/turns", json={"tool": "echo"})
        quota = f";q={BURST};w={BURST * 1000}"
        assert first.headers["ratelimit-policy"] == f'"requests"{quota}, "turns"{quota}'
        assert first.headers["ratelimit"] == f'"requests";r={BURST - 1};t=1000, "turns";r={BURST - 1};t=1000'
        assert rated.call("GET", "/nothing").headers["ratelimit-policy"] == f'"requests"{quota}'
        assert rated.call("GET", "/nothing").headers["ratelimit"].startswith(f'"requests";r={BURST - 3};t=')

    def test_nothing_is_told_where_no_rate_is_set(self, service: Served) -> None:
        assert not [name for name in service.call("GET", "/agents").headers if name.startswith("ratelimit")]

    def test_probes_are_not_counted(self, rated: Served) -> None:
        spend(rated)
        for path in ("/healthz", "/readyz"):
            assert rated.call("GET", path).status_code == 200

    def test_a_stream_is_closed_as_for_what_passes(self, rated: Served) -> None:
        """An EventSource that is answered 429 never comes back."""
        agent = rated.create()
        spend(rated)
        answer = rated.call("GET", f"/agents/{agent}/stream")
        assert answer.status_code == 200
        assert answer.text.startswith("retry: ")
        assert answer.text.endswith('event: stream.closing\ndata: {"reason":"busy"}\n\n')

    def test_what_is_made_up_of_an_address_does_not_count(self, rated: Served) -> None:
        spend(rated, headers={"X-Forwarded-For": "192.0.2.1", "Forwarded": "for=192.0.2.1"})
        refused(rated.call("GET", "/agents", headers={"X-Forwarded-For": "192.0.2.2", "Forwarded": "for=192.0.2.2"}))

    def test_keys_are_callers_of_their_own(self, keyed: Served) -> None:
        other = make_key(keyed)
        spend(keyed, headers=ADMIN)
        refused(keyed.call("GET", "/agents", headers=ADMIN))
        spend(keyed, headers={"Authorization": f"Bearer {other}"})
        refused(keyed.call("GET", "/agents", headers={"Authorization": f"Bearer {other}"}))

    def test_a_key_may_have_a_rate_of_its_own(self, keyed: Served) -> None:
        slower, quicker = make_key(keyed, KeyLimits(rate=0.002, burst=2)), make_key(keyed, KeyLimits(rate=0))
        answer = keyed.call("GET", "/agents", headers={"X-API-Key": slower})
        assert answer.headers["ratelimit-policy"] == '"requests";q=2;w=1000'
        assert answer.headers["ratelimit"] == '"requests";r=1;t=500'
        assert keyed.call("GET", "/agents", headers={"X-API-Key": slower}).status_code == 200
        assert refused(keyed.call("GET", "/agents", headers={"X-API-Key": slower})) == pytest.approx(500, abs=20)
        for _ in range(2 * BURST):
            assert "ratelimit" not in keyed.call("GET", "/agents", headers={"X-API-Key": quicker}).headers

    def test_also_where_others_have_none(self) -> None:
        with serving(Settings.model_validate({"admin_key": KEY, "rate_burst": BURST})) as served:
            key = make_key(served, KeyLimits(rate=0.001))
            spend(served, headers={"X-API-Key": key})
            refused(served.call("GET", "/agents", headers={"X-API-Key": key}))
            for _ in range(2 * BURST):
                assert "ratelimit" not in served.call("GET", "/agents", headers=ADMIN).headers
            spend(served, headers={"X-API-Key": make_key(served)})

    def test_a_ticket_counts_for_its_key(self, keyed: Served) -> None:
        agent, key = keyed.create(), make_key(keyed)
        issued = keyed.call("POST", "/stream-tickets", json={"agents": [agent]}, headers={"X-API-Key": key})
        for _ in range(BURST - 1):
            keyed.call("GET", "/agents", headers={"X-API-Key": key})
        answer = keyed.call("GET", f"/agents/{agent}/stream?ticket={issued.json()['ticket']}")
        assert '{"reason":"busy"}' in answer.text

    def test_one_who_is_not_let_in_is_not_counted(self, keyed: Served) -> None:
        for _ in range(2 * BURST):
            assert keyed.call("GET", "/agents").status_code == 401
        spend(keyed, headers=ADMIN)


class TestTurnsOfAgents:
    """What is owed for them keeps from making more, and from nothing else."""

    CALLER, PACE = "@127.0.0.1", Pace.of(0.001, BURST)

    def owe(self, served: Served, count: int) -> None:
        async def charge() -> None:
            served.services.rates.turns.charge(self.CALLER, self.PACE, count)

        served.do(charge())

    @pytest.mark.parametrize("path", ["turns", "turns/batch", "turns/01a22eb9-96fa-7317-817b-c4bbd727a642/retry"])
    def test_one_who_owes_makes_no_more(self, rated: Served, path: str) -> None:
        agent = rated.create()
        self.owe(rated, 100)
        answer = rated.call("POST", f"/agents/{agent}/{path}", json={"tool": "echo"})
        assert refused(answer) == 1000
        assert answer.headers["ratelimit"] == '"turns";r=0;t=1000'
        assert answer.headers["ratelimit-policy"] == f'"turns";q={BURST};w={BURST * 1000}'
        assert "agents" in answer.json()["detail"]

    def test_but_may_do_all_else(self, rated: Served) -> None:
        """To look at what goes on, and to end it."""
        agent = rated.create()
        self.owe(rated, 100)
        assert rated.call("GET", f"/agents/{agent}/turns").status_code == 200
        assert rated.call("POST", f"/agents/{agent}/pause").status_code == 200
        answer = rated.call("GET", "/agents")
        assert answer.headers["ratelimit"].startswith(f'"requests";r={BURST - 3};')

    def test_what_is_refused_counts_for_nothing(self, rated: Served) -> None:
        agent = rated.create()
        self.owe(rated, BURST)
        for _ in range(2 * BURST):
            refused(rated.call("POST", f"/agents/{agent}/turns", json={"tool": "echo"}))
        assert rated.call("GET", "/agents").headers["ratelimit"].startswith(f'"requests";r={BURST - 1};')

    def test_both_are_the_same_budget(self, rated: Served) -> None:
        agent = rated.create()
        self.owe(rated, BURST - 1)
        assert rated.call("POST", f"/agents/{agent}/turns", json={"tool": "echo"}).status_code == 202
        refused(rated.call("POST", f"/agents/{agent}/turns", json={"tool": "echo"}))

    def test_who_asked_goes_with_the_turn(self, rated: Served, service: Served) -> None:
        for served, charged in ((rated, self.CALLER), (service, None)):
            agent = served.create()
            answer = served.call(
                "POST", f"/agents/{agent}/turns", json={"tool": "echo"}, headers={"X-Request-Id": "r-1"}
            )
            placed = served.do(served.store.get_turn(answer.json()["id"]))
            assert placed is not None
            assert placed.turn.spec.asker == Asker("r-1", charged)


class TestWrongKeys:
    def wrong(self, served: Served) -> Any:
        return served.call("GET", "/agents", headers={"X-API-Key": "not-the-key-of-this-service"})

    def exhaust(self, served: Served) -> None:
        for _ in range(3):
            problem(self.wrong(served), "unauthorized")

    def test_are_limited(self, keyed: Served) -> None:
        self.exhaust(keyed)
        answer = self.wrong(keyed)
        problem(answer, "too-many-wrong-keys")
        assert answer.headers["retry-after"] == "1"

    def test_meanwhile_the_right_one_is_not_told_from_them(self, keyed: Served) -> None:
        """Else the bound would slow down nobody: the one right guess would be answered at once."""
        self.exhaust(keyed)
        problem(keyed.call("GET", "/agents", headers=ADMIN), "too-many-wrong-keys")

    def test_keys_that_nobody_can_guess_go_on(self, keyed: Served) -> None:
        """Or anybody who shares an address, as behind a proxy, could lock the others out."""
        key = make_key(keyed)
        self.exhaust(keyed)
        problem(self.wrong(keyed), "too-many-wrong-keys")
        assert keyed.call("GET", "/agents", headers={"X-API-Key": key}).status_code == 200

    def test_they_pass(self, keyed: Served, monkeypatch: pytest.MonkeyPatch) -> None:
        self.exhaust(keyed)
        buckets = keyed.services.rates.wrong_keys
        assert isinstance(buckets, Buckets)
        later = buckets._clock() + 1
        monkeypatch.setattr(buckets, "_clock", lambda: later)
        assert keyed.call("GET", "/agents", headers=ADMIN).status_code == 200

    def test_no_key_is_no_guess(self, keyed: Served) -> None:
        for _ in range(10):
            assert keyed.call("GET", "/agents").status_code == 401
        assert keyed.call("GET", "/agents", headers=ADMIN).status_code == 200

    def test_may_be_unlimited(self) -> None:
        with serving(Settings.model_validate({"admin_key": KEY, "wrong_keys": 0})) as served:
            assert {self.wrong(served).status_code for _ in range(120)} == {401}
