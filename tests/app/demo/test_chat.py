"""The agent ``chat`` as its users have it: ``pygents serve --demo`` with an endpoint to talk with."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.app.demo.conftest import KEY
from tests.app.demo.endpoint import DONE, Answer, Connection, Endpoint, in_json, says, streamed
from tests.caller import calling
from tests.follower import following
from tests.service import Service, serving

pytestmark = pytest.mark.anyio


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[[], Service]]:
    """Start the demo, with the environment as it is then."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(serving(tmp_path, "--demo"))


class Held:
    """An answer of two pieces that waits between them; it knows when the client has gone."""

    def __init__(self) -> None:
        self.go, self.gone = asyncio.Event(), asyncio.Event()

    async def __call__(self, connection: Connection) -> None:
        await connection.head()
        await connection.send(says("Hel"))
        waits = [asyncio.ensure_future(connection.left()), asyncio.ensure_future(self.go.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
        if self.go.is_set():
            await connection.send(says("lo!") + DONE)
            await connection.end()
        else:
            self.gone.set()


async def test_words_come_while_they_are_made_and_are_remembered(
    endpoint: Endpoint, serve: Callable[[], Service]
) -> None:
    held = Held()
    endpoint.answers = [held, streamed(says("You said hi."), DONE)]
    service = serve()
    assert "chat (chat)" in service.log
    async with calling(service.url) as caller, following(f"{service.url}/agents/chat/stream") as follower:
        first = await caller.submit("chat", "chat", kwargs={"message": "Hi", "system": "Be kind."})
        piece = await follower.until_type("turn.value")
        assert piece["data"] == {"index": 0, "value": "Hel"}
        assert (await caller.turn(first))["status"] == "running"
        held.go.set()
        assert (await caller.ended(first))["output"] == ["Hel", "lo!"]
        second = await caller.do("chat", "chat", kwargs={"message": "What did I say?", "model": "other"})
        assert second["output"] == ["You said hi."]
        assert await caller.agent("chat")
    before, after = endpoint.chats
    assert (before.body["model"], after.body["model"]) == ("first-model", "other")
    assert before.body["messages"][0] == {"role": "system", "content": "Be kind."}
    assert after.body["messages"][1:] == [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello!"},
        {"role": "user", "content": "What did I say?"},
    ]
    assert after.headers["authorization"] == f"Bearer {KEY}"


async def test_a_cancelled_turn_hangs_up_and_is_not_remembered(
    endpoint: Endpoint, serve: Callable[[], Service]
) -> None:
    held = Held()
    endpoint.answers = [held, streamed(says("Yes?"), DONE)]
    service = serve()
    async with calling(service.url) as caller, following(f"{service.url}/agents/chat/stream") as follower:
        turn = await caller.submit("chat", "chat", kwargs={"message": "Tell me everything"})
        await follower.until_type("turn.value")
        await caller.cancel(turn)
        assert (await caller.ended(turn))["status"] == "cancelled"
        async with asyncio.timeout(5):
            await held.gone.wait()
        await caller.do("chat", "chat", kwargs={"message": "Hello?"})
    assert [message["content"] for message in endpoint.chats[-1].body["messages"][1:]] == ["Hello?"]


@pytest.mark.parametrize(
    ("answer", "type_", "said"),
    [
        (in_json({"error": {"message": "No such key"}}, 401), "KeyRefused", "No such key"),
        (streamed(says("Hel")), "CutStream", "in the middle"),
    ],
    ids=["refused", "cut"],
)
async def test_a_failure_is_the_turns_error(
    endpoint: Endpoint, serve: Callable[[], Service], answer: Answer, type_: str, said: str
) -> None:
    endpoint.answers = [answer, streamed(says("Yes?"), DONE)]
    service = serve()
    async with calling(service.url) as caller:
        failed = await caller.do("chat", "chat", kwargs={"message": "Hi"})
        assert (failed["status"], failed["error"]["type"]) == ("error", type_)
        assert said in failed["error"]["message"]
        assert (await caller.do("chat", "chat", kwargs={"message": "Hello?"}))["output"] == ["Yes?"]
    assert len(endpoint.chats[-1].body["messages"]) == 2
    assert KEY not in service.log


async def test_what_is_too_long_is_forgotten_in_pairs(endpoint: Endpoint, serve: Callable[[], Service]) -> None:
    endpoint.answers = [streamed(says("1"), DONE), streamed(DONE), streamed(says("2"), DONE)]
    service = serve()
    async with calling(service.url) as caller:
        for letter in "abcd":
            await caller.do("chat", "chat", kwargs={"message": letter * 60_000})
    sent = [[message["content"][:1] for message in asked.body["messages"][1:]] for asked in endpoint.chats]
    assert sent == [["a"], ["a", "1", "b"], ["a", "1", "c"], ["c", "2", "d"]]


async def test_without_an_endpoint_there_is_no_such_agent(
    endpoint: Endpoint, serve: Callable[[], Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "")
    service = serve()
    async with calling(service.url) as caller:
        names = [agent["name"] for agent in (await caller.http.get("/agents")).json()["items"]]
    assert names == ["counter", "greeter", "librarian", "reader"]
