"""A client of OpenAI-compatible endpoints: a conversation goes in, pieces of text come out as they are made.

Of what such servers send it takes what is needed and nothing on trust: their streams differ in details, may be cut
anywhere, and may carry an error in the middle. Every failure is one of the exceptions below, in one line for people.
"""

import asyncio
import json
import os
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from contextlib import aclosing, suppress
from typing import Any, Final, TypeAlias, cast
from weakref import WeakKeyDictionary

import httpx
from httpx_sse import EventSource, SSEError

Message: TypeAlias = Mapping[str, str]
"""``role`` and ``content``."""

CONNECT_SECONDS, SILENCE_SECONDS = 10.0, 600.0
"""A model that runs on this machine may think for minutes before its first word; the turn's timeout may be shorter."""

LINE_BYTES, ANSWER_BYTES = 1024 * 1024, 64 * 1024 * 1024
"""An endpoint that sends longer lines, or more in all, is not waited for: it would fill the memory."""

BODY_BYTES, SHOWN = 64 * 1024, 300
"""How much of an error's body is read, and how many characters of what somebody else wrote are shown."""

TAIL_SECONDS = 1.0
"""How long the end of an answer is waited for after its last event: read to the end, a connection is used again."""


class CompletionError(Exception):
    """The endpoint did not give what was asked for."""


class NotReachable(CompletionError):
    """Nobody answers at that address, or not in time."""


class KeyRefused(CompletionError):
    """The endpoint wants another key (401, 403)."""


class NoSuchModel(CompletionError):
    """The endpoint does not know the model or the address (404), or it has no model at all."""


class TooManyRequests(CompletionError):
    """The endpoint wants to be asked later (429)."""


class CutStream(CompletionError):
    """The answer ended before its end was told: what came is not all of it."""


_clients: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, httpx.AsyncClient]] = WeakKeyDictionary()


def client() -> httpx.AsyncClient:
    """The HTTP client of the running loop. Connections belong to a loop, and the service may open a second one."""
    loop = asyncio.get_running_loop()
    found = _clients.get(loop)
    if found is None or found.is_closed:
        timeout = httpx.Timeout(SILENCE_SECONDS, connect=CONNECT_SECONDS)
        # Compressed, a short answer could become a long one.
        found = _clients[loop] = httpx.AsyncClient(timeout=timeout, headers={"Accept-Encoding": "identity"})
    return found


async def stream(
    messages: Sequence[Message], *, model: str | None = None, temperature: float | None = None
) -> AsyncGenerator[str, None]:
    """Ask for the next message of a conversation; yield its text, piece by piece, as it comes.

    The endpoint is ``OPENAI_BASE_URL`` (with its ``/v1``), the key ``OPENAI_API_KEY``, the model ``model``, else
    ``OPENAI_MODEL``, else the first that the endpoint lists. Yields no empty text, and nothing of what is not text
    (reasoning, calls of tools, usage). That the answer was cut by a limit of tokens is not told.

    Raises a ``CompletionError``; then the text so far is not the whole.
    """
    body: dict[str, Any] = {"model": model or await _model(), "messages": [dict(each) for each in messages]}
    body |= {"stream": True} | ({} if temperature is None else {"temperature": temperature})
    try:
        async with client().stream("POST", _url("chat/completions"), json=body, headers=_headers()) as answer:
            if answer.status_code != 200:
                raise await _refusal(answer, body["model"])
            async with aclosing(_texts(answer)) as texts:
                async for text in texts:
                    yield text
    except (httpx.TransportError, httpx.InvalidURL) as error:
        raise _unreached(error) from error


# --- the request -----------------------------------------------------------------------------------------------------


def _url(path: str) -> str:
    return f"{os.environ.get('OPENAI_BASE_URL', '').strip().rstrip('/')}/{path}"


def _headers() -> dict[str, str]:
    key = os.environ.get("OPENAI_API_KEY", "").strip()
    if not (key.isascii() and key.isprintable()):  # the HTTP client would refuse it, too, and show it
        raise KeyRefused("OPENAI_API_KEY is no key: it has characters that a header cannot have.")
    return {"Authorization": f"Bearer {key}"} if key else {}


async def _model() -> str:
    """What is asked if nobody said which model."""
    named = os.environ.get("OPENAI_MODEL", "").strip()
    if named:
        return named
    try:
        async with client().stream("GET", _url("models"), headers=_headers()) as answer:
            if answer.status_code != 200:
                raise await _refusal(answer, None)
            listed = _json(await _start(answer, LINE_BYTES))
    except (httpx.TransportError, httpx.InvalidURL) as error:
        raise _unreached(error) from error
    models = listed.get("data") if isinstance(listed, dict) else None
    first = models[0] if isinstance(models, list) and models else None
    name = first.get("id") if isinstance(first, dict) else None
    if not isinstance(name, str):
        raise NoSuchModel("The endpoint lists no models. Set OPENAI_MODEL, or say which model to ask.")
    return name


# --- the answer ------------------------------------------------------------------------------------------------------


async def _texts(answer: httpx.Response) -> AsyncGenerator[str, None]:
    if "json" in answer.headers.get("content-type", ""):  # there are endpoints that do not stream
        for text in _texts_of(_json(await _start(answer, LINE_BYTES))):
            yield text
        return
    finished = False
    async with aclosing(_events(answer)) as events:
        async for data in events:
            if data.strip() == "[DONE]":
                await _to_end(events)
                return
            chunk = _json(data)
            for text in _texts_of(chunk):
                yield text
            finished = finished or _is_last(chunk)
    if not finished:  # some endpoints end without [DONE]
        raise CutStream("The endpoint ended its answer in the middle.")


async def _events(answer: httpx.Response) -> AsyncGenerator[str, None]:
    """The data of each server-sent event that has one; not of one that a cut has left unfinished."""
    answer.stream = _Bounded(cast(httpx.AsyncByteStream, answer.stream))
    answer.encoding = "utf-8"  # of server-sent events always (WHATWG HTML §9.2.5), whatever the endpoint says
    async with aclosing(EventSource(answer).aiter_sse()) as events:
        async for event in events:
            if event.data:
                yield event.data


class _Bounded(httpx.AsyncByteStream):
    """The bytes of an answer. Raises ``CompletionError`` for a line or a whole that is too long to be kept."""

    def __init__(self, inner: httpx.AsyncByteStream) -> None:
        self._inner = inner

    async def __aiter__(self) -> AsyncGenerator[bytes, None]:
        line = whole = 0
        async for part in self._inner:
            end = part.rfind(b"\n")
            line = line + len(part) if end < 0 else len(part) - end - 1
            whole += len(part)
            if line > LINE_BYTES or whole > ANSWER_BYTES:
                raise CompletionError(f"The endpoint sent {'an endless line' if line > LINE_BYTES else 'too much'}.")
            yield part

    async def aclose(self) -> None:
        await self._inner.aclose()


async def _to_end(events: AsyncIterator[str]) -> None:
    with suppress(TimeoutError, httpx.TransportError, CompletionError):
        async with asyncio.timeout(TAIL_SECONDS):
            async for _ in events:
                pass


def _texts_of(chunk: object) -> Iterable[str]:
    """The text in one chunk, if there is any. Raises ``CompletionError`` for one that tells an error."""
    if not isinstance(chunk, dict):
        raise CompletionError(f"The endpoint sent what is no chunk of an answer: {_shown(chunk)}")
    if chunk.get("error"):
        raise CompletionError(f"The endpoint failed: {_told(chunk)}")
    choice = _choice(chunk)
    piece = choice.get("delta") or choice.get("message")
    text = piece.get("content") if isinstance(piece, dict) else None
    return [text] if isinstance(text, str) and text else []


def _is_last(chunk: Any) -> bool:
    return bool(_choice(chunk).get("finish_reason"))


def _choice(chunk: Mapping[str, Any]) -> Mapping[str, Any]:
    """The only choice that was asked for; chunks about usage have none."""
    choices = chunk.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    return first if isinstance(first, dict) else {}


def _json(text: str | bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise CompletionError(f"The endpoint sent what is not JSON: {_shown(text)}") from None


# --- what went wrong -------------------------------------------------------------------------------------------------


async def _refusal(answer: httpx.Response, model: str | None) -> CompletionError:
    try:
        told = _told(json.loads(await _start(answer, BODY_BYTES)))
    except (ValueError, RecursionError):
        told = f"status {answer.status_code}"
    match answer.status_code:
        case 401 | 403:
            return KeyRefused(f"The endpoint refuses the key in OPENAI_API_KEY: {told}")
        case 404:
            asked = f"does not know the model {model!r}" if model else "lists no models"
            return NoSuchModel(f"The endpoint {asked}, or OPENAI_BASE_URL is wrong (it often ends in /v1): {told}")
        case 429:
            later = answer.headers.get("retry-after")
            when = f" in {later} seconds" if (later or "").isdecimal() else f" after {later}" if later else " later"
            return TooManyRequests(f"The endpoint wants to be asked again{when}: {told}")
    return CompletionError(f"The endpoint answered {answer.status_code}: {told}")


def _unreached(error: Exception) -> CompletionError:
    match error:
        case httpx.ConnectTimeout():
            return NotReachable(f"The endpoint cannot be reached within {CONNECT_SECONDS:.0f} seconds.")
        case httpx.ConnectError() | httpx.ProxyError() | httpx.UnsupportedProtocol() | httpx.InvalidURL():
            return NotReachable(f"The endpoint cannot be reached ({error}). Is OPENAI_BASE_URL right?")
        case SSEError():
            return CompletionError("The endpoint answered with something else than a stream of events.")
        case httpx.TimeoutException():
            return NotReachable(f"The endpoint has said nothing for {SILENCE_SECONDS:.0f} seconds.")
    return CutStream(f"The connection to the endpoint broke in the middle ({error}).")


async def _start(answer: httpx.Response, most: int) -> bytes:
    """The body; of a longer one the first ``most`` bytes or a little more."""
    body = b""
    async for part in answer.aiter_bytes():
        body += part
        if len(body) > most:
            break
    return body


def _told(body: Any) -> str:
    """What the body of an error says, in whichever form: ``{"error": {"message": …}}``, ``{"detail": …}`` and so on."""
    found = body
    for name in ("error", "message", "detail"):
        found = found.get(name, found) if isinstance(found, dict) else found
    return _shown(found)


def _shown(given: object) -> str:
    text = given.decode(errors="replace") if isinstance(given, bytes) else given
    line = " ".join((text if isinstance(text, str) else json.dumps(text)).split())
    return line if len(line) <= SHOWN else line[: SHOWN - 1] + "…"
