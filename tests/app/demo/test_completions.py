"""What the client of a language model makes of everything that an endpoint may send."""

import pytest

from pygents_app.demo.completions import (
    LINE_BYTES,
    CompletionError,
    CutStream,
    KeyRefused,
    NoSuchModel,
    NotReachable,
    TooManyRequests,
    stream,
)
from tests.app.demo.conftest import KEY
from tests.app.demo.endpoint import DONE, Connection, Endpoint, cut_after, event, in_json, says, streamed
from tests.helpers import free_port

pytestmark = pytest.mark.anyio

HELLO = [{"role": "user", "content": "Hello"}]
USAGE = event({"id": "c1", "choices": [], "usage": {"total_tokens": 3}})
ROLE = event({"choices": [{"delta": {"role": "assistant"}, "finish_reason": None}]})
STOP = event({"choices": [{"delta": {}, "finish_reason": "stop"}]})
LENGTH = event({"choices": [{"delta": {}, "finish_reason": "length"}]})
WHOLE = ROLE + says("Grüße") + says(None) + says("") + says(" \u2028🐍") + STOP + USAGE + DONE


async def told(**options: float) -> list[str]:
    return [text async for text in stream(HELLO, **{"model": "m"} | options)]  # type: ignore[arg-type] # the model is text


class TestText:
    @pytest.mark.parametrize(
        "sent",
        [
            [WHOLE],
            [WHOLE[at : at + 1] for at in range(len(WHOLE))],
            [WHOLE.replace(b"\n", b"\r\n")],
            [WHOLE.replace(b"\n", b"\r\n")[at : at + 3] for at in range(0, len(WHOLE) + 20, 3)],
            [WHOLE.replace(b"data: ", b"data:")],
            [WHOLE.replace(b"data: ", b": keep-alive\n\n: \n\nid: 7\nevent: message\ndata: ")],
            [WHOLE, event({"choices": [{"delta": {"content": "after the end"}}]})],
            [WHOLE.replace(DONE, b"")],
            [WHOLE.replace(STOP, LENGTH)],
        ],
        ids=[
            "whole",
            "bytewise",
            "crlf",
            "crlf-in-threes",
            "without-space",
            "comments",
            "after-done",
            "no-done",
            "length",
        ],
    )
    async def test_pieces_come_as_they_were_sent(self, endpoint: Endpoint, sent: list[bytes]) -> None:
        endpoint.answers = [streamed(*sent)]
        assert await told() == ["Grüße", " \u2028🐍"]

    async def test_it_is_utf_8_whatever_the_head_says(self, endpoint: Endpoint) -> None:
        endpoint.answers = [streamed(WHOLE, type_="text/event-stream; charset=latin-1")]
        assert (await told())[0] == "Grüße"

    async def test_an_endpoint_that_does_not_stream(self, endpoint: Endpoint) -> None:
        choice = {"message": {"role": "assistant", "content": "All at once"}, "finish_reason": "stop"}
        endpoint.answers = [in_json({"choices": [choice]})]
        assert await told() == ["All at once"]

    async def test_a_connection_is_used_again(self, endpoint: Endpoint) -> None:
        endpoint.answers = [streamed(says("Hi"), DONE)]
        assert [await told(), await told()] == [["Hi"], ["Hi"]]
        assert endpoint.connections == 1

    async def test_an_answer_is_over_at_done_even_if_the_endpoint_does_not_end_it(self, endpoint: Endpoint) -> None:
        async def linger(connection: Connection) -> None:
            await connection.head()
            await connection.send(says("Hi") + DONE)
            await connection.left()

        endpoint.answers = [linger]
        assert await told() == ["Hi"]


class TestRequest:
    async def test_what_is_asked(self, endpoint: Endpoint) -> None:
        endpoint.answers = [streamed(DONE)]
        await told(temperature=0.5)
        (asked,) = endpoint.asked
        assert (asked.method, asked.path) == ("POST", "/v1/chat/completions")
        assert asked.body == {"model": "m", "messages": HELLO, "stream": True, "temperature": 0.5}
        assert asked.headers["authorization"] == f"Bearer {KEY}"

    async def test_without_a_key_none_is_sent(self, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OPENAI_API_KEY", " ")
        endpoint.answers = [streamed(DONE)]
        await told()
        assert "authorization" not in endpoint.asked[0].headers
        assert "temperature" not in endpoint.asked[0].body

    async def test_the_model_is_the_named_one_else_the_first(
        self, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        endpoint.answers = [streamed(DONE)]
        monkeypatch.setenv("OPENAI_BASE_URL", endpoint.url + "/")
        assert [text async for text in stream(HELLO)] == []
        monkeypatch.setenv("OPENAI_MODEL", "named")
        assert [text async for text in stream(HELLO)] == []
        assert [text async for text in stream(HELLO, model="given")] == []
        assert [asked.body["model"] for asked in endpoint.chats] == ["first-model", "named", "given"]
        assert [asked.headers["authorization"] for asked in endpoint.asked] == [f"Bearer {KEY}"] * 4


class TestFailure:
    @pytest.mark.parametrize(
        ("status", "body", "kind", "said"),
        [
            (401, {"error": {"message": "Wrong key"}}, KeyRefused, "OPENAI_API_KEY: Wrong key"),
            (403, {"error": "No entry"}, KeyRefused, "No entry"),
            (404, {"detail": "unknown"}, NoSuchModel, "the model 'm'"),
            (429, {"message": "Slowly"}, TooManyRequests, "in 7 seconds: Slowly"),
            (500, ["oh"], CompletionError, 'answered 500: ["oh"]'),
            (302, {}, CompletionError, "answered 302"),
        ],
    )
    async def test_a_refusal(
        self, endpoint: Endpoint, status: int, body: object, kind: type[CompletionError], said: str
    ) -> None:
        endpoint.answers = [in_json(body, status, Retry_After="7", Location="http://127.0.0.1:1/")]
        with pytest.raises(kind) as caught:
            await told()
        assert said in str(caught.value)
        assert KEY not in str(caught.value)

    async def test_a_refusal_that_is_no_json_and_endless(self, endpoint: Endpoint) -> None:
        async def endless(connection: Connection) -> None:
            await connection.head(502, "text/html")
            while True:
                await connection.send(b"<p>" * 1000)

        endpoint.answers = [endless]
        with pytest.raises(CompletionError, match="status 502"):
            await told()

    @pytest.mark.parametrize(
        ("sent", "kind", "said"),
        [
            ([says("Hel")], CutStream, "in the middle"),
            ([says("Hel"), DONE[:-4]], CutStream, "in the middle"),
            ([says("Hel"), event({"error": {"message": "Out of memory", "code": 500}})], CompletionError, "Out of mem"),
            ([says("Hel"), b"data: {oops\n\n"], CompletionError, "not JSON: {oops"),
            ([says("Hel"), b"data: " + b"[" * 5000 + b"\n\n"], CompletionError, "not JSON"),
            ([says("Hel"), b"data: 7\n\n"], CompletionError, "no chunk"),
            ([says("Hel"), *[b"data: " + b"x" * 70_000] * 20], CompletionError, "endless line"),
        ],
        ids=["ended", "cut-done", "error-object", "malformed", "nested", "number", "endless"],
    )
    async def test_in_the_middle(
        self, endpoint: Endpoint, sent: list[bytes], kind: type[CompletionError], said: str
    ) -> None:
        endpoint.answers = [streamed(*sent)]
        before: list[str] = []
        with pytest.raises(kind, match=said):
            async for text in stream(HELLO, model="m"):
                before.append(text)
        assert before == ["Hel"]

    async def test_a_long_line_that_ends_is_no_failure(self, endpoint: Endpoint) -> None:
        text = "x" * (LINE_BYTES - 1000)
        endpoint.answers = [streamed(says(text), says(text), DONE)]
        assert await told() == [text, text]

    async def test_the_connection_breaks(self, endpoint: Endpoint) -> None:
        endpoint.answers = [cut_after(says("Hel"))]
        with pytest.raises(CutStream, match="broke in the middle"):
            await told()

    async def test_a_page_instead_of_a_stream(self, endpoint: Endpoint) -> None:
        endpoint.answers = [streamed(b"<html>", type_="text/html")]
        with pytest.raises(CompletionError, match="something else"):
            await told()

    async def test_something_that_does_not_speak_http(self, endpoint: Endpoint) -> None:
        async def other(connection: Connection) -> None:
            await connection.raw(b"220 mail.example.org ESMTP\r\n")
            connection.cut()

        endpoint.answers = [other]
        with pytest.raises(CutStream):
            await told()

    async def test_no_models(self, endpoint: Endpoint) -> None:
        endpoint.models = []
        with pytest.raises(NoSuchModel, match="OPENAI_MODEL"):
            await anext(stream(HELLO))

    @pytest.mark.parametrize("url", ["127.0.0.1:1", "ftp://127.0.0.1", "http://127.0.0.1:x", "http://[", ""])
    async def test_an_address_that_is_none(self, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
        monkeypatch.setenv("OPENAI_BASE_URL", url)
        with pytest.raises(NotReachable, match="OPENAI_BASE_URL"):
            await told()

    async def test_nobody_there(self, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{free_port()}/v1")
        for asking in (told(), anext(stream(HELLO))):
            with pytest.raises(NotReachable, match="OPENAI_BASE_URL"):
                await asking

    @pytest.mark.parametrize("key", ["sk-\nof-mine", "schlüssel"])
    async def test_a_key_that_cannot_be_sent_is_not_shown(
        self, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, key: str
    ) -> None:
        monkeypatch.setenv("OPENAI_API_KEY", key)
        with pytest.raises(KeyRefused) as caught:
            await told()
        assert key not in str(caught.value)
