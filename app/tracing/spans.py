"""The service's spans. Names and attributes are those of OpenTelemetry's semantic conventions, where these have some:
HTTP for requests, messaging for mailboxes, GenAI for agents and tools (the last two are not declared stable yet).

    POST /agents/{name}/turns      server     the parent is the caller's span, by its traceparent
    ├─ queue desk                  internal   how long the turn waited in the mailbox
    └─ execute_tool answer         consumer   an attempt; further attempts are further spans
       └─ send stock               producer   a message of the turn's code
          └─ execute_tool look_up  consumer

The messaging conventions want a consumer's span linked to the context in which the message was made, and allow that as
its parent where it is one message's. It is both: a turn is one message, and one trace is what people look for.

Nothing of arguments, values or messages of exceptions is ever on a span.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

from msgspec import DecodeError, json
from opentelemetry import context as contexts
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode, Tracer, get_current_span, use_span
from opentelemetry.trace.propagation import set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from ..errors import ServiceError
from ..model import Outcome, Trace, Turn, TurnStatus

MAX_CARRIED = 512
"""Characters of a header that are read and stored, as many as W3C Trace Context asks for; a longer one is left out."""
CARRIED = frozenset({b"traceparent", b"tracestate"})

_w3c = TraceContextTextMapPropagator()


class Spans:
    """Implements ``port.Tracing``. ``close`` sends what is left."""

    def __init__(self, *, tracer: Tracer, close: Callable[[], Awaitable[None]]) -> None:
        self._tracer, self._close = tracer, close

    @contextmanager
    def exchange(
        self, method: str, route: str, path: str, scheme: str, headers: Iterable[tuple[bytes, bytes]]
    ) -> Iterator["_Exchange"]:
        attributes = {
            "http.request.method": method, "http.route": route, "url.path": path, "url.scheme": scheme,
        }  # fmt: skip
        name, parent = f"{method} {route}", _received(headers)
        with self._current(name, SpanKind.SERVER, attributes, parent) as span:
            exchange = _Exchange(span)
            try:
                yield exchange
            except Exception as error:
                exchange.answered(error.status if isinstance(error, ServiceError) else 500)
                raise

    @contextmanager
    def sending(self, agent: str, tool: str) -> Iterator[None]:
        attributes = {
            **_message("send", agent), "gen_ai.operation.name": "invoke_agent", "gen_ai.tool.name": tool,
        }  # fmt: skip
        with self._current(f"send {agent}", SpanKind.PRODUCER, attributes) as span:
            try:
                yield
            except Exception as error:
                _fail(span, type(error).__name__)
                raise

    def carried(self) -> Trace | None:
        carrier: dict[str, str] = {}
        _w3c.inject(carrier)
        parent, state = carrier.get("traceparent"), carrier.get("tracestate", "")
        return Trace(parent, state if len(state) <= MAX_CARRIED else "") if parent is not None else None

    def attempt(self, trace: Trace | None) -> "_Attempt":
        return _Attempt(self._tracer, _context_of(trace))

    async def close(self) -> None:
        await self._close()

    @contextmanager
    def _current(
        self, name: str, kind: SpanKind, attributes: Mapping[str, str], parent: Context | None = None
    ) -> Iterator[Span]:
        """Its exceptions are not recorded on it: their messages may quote what was sent."""
        span = self._tracer.start_span(name, parent, kind, attributes)
        with use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
            yield span


class _Exchange:
    def __init__(self, span: Span) -> None:
        self._span = span

    def answered(self, status: int) -> None:
        """Of a server, refusing what is wrong is no failure."""
        self._span.set_attribute("http.response.status_code", status)
        if status >= 500:
            _fail(self._span, str(status))


class _Attempt:
    """Implements ``port.Attempt``. Of two threads that end it at once one does: a span takes one end."""

    def __init__(self, tracer: Tracer, parent: Context) -> None:
        self._tracer, self._parent = tracer, parent
        self._made_by = get_current_span(parent).get_span_context()
        self._span: Span | None = None

    def enter(self, turn: Turn) -> None:
        """Nothing is to be taken back: a task has its context to itself, and it ends with it."""
        self._span = self._begin(turn)
        contexts.attach(set_span_in_context(self._span, self._parent))

    def end(self, turn: Turn, outcome: Outcome, stored: Turn | None) -> None:
        span = self._span = self._span or self._begin(turn)
        if not span.is_recording():
            return
        ended = stored if stored is not None and stored.ended else None
        status, error = (ended.status, ended.error) if ended is not None else (outcome.status, outcome.error)
        span.set_attribute("pygents.turn.stop_reason", status.value)
        if stored is not None and ended is None:
            span.set_attribute("pygents.turn.retried", True)
        if status is TurnStatus.TIMEOUT:
            _fail(span, "timeout")
        elif status is TurnStatus.ERROR:
            _fail(span, _type_of(error))
        span.end()

    def _begin(self, turn: Turn) -> Span:
        spec, began = turn.spec, turn.start_time or turn.created_at
        self._tell_wait(turn, began)
        attributes: dict[str, str | int] = {
            **_message("process", spec.agent), "messaging.message.id": spec.id,
            "messaging.message.conversation_id": spec.root or spec.id,
            "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": spec.tool, "gen_ai.tool.type": "function",
            "pygents.turn.attempt": turn.attempt,
        }  # fmt: skip
        links = (Link(self._made_by),) if self._made_by.is_valid else ()
        name = f"execute_tool {spec.tool}"
        return self._tracer.start_span(name, self._parent, SpanKind.CONSUMER, attributes, links, began * 1_000)

    def _tell_wait(self, turn: Turn, began: int) -> None:
        """From when it might have begun. Of further attempts nothing is told: what they wait for is their policy."""
        spec, since = turn.spec, max(turn.created_at, turn.spec.not_before or 0)
        if turn.attempt > 1 or began <= since or not self._made_by.is_valid:
            return
        attributes = {"messaging.message.id": spec.id, "messaging.destination.name": spec.agent}
        span = self._tracer.start_span(
            f"queue {spec.agent}", self._parent, SpanKind.INTERNAL, attributes, start_time=since * 1_000
        )
        span.end(began * 1_000)


def _message(operation: str, agent: str) -> dict[str, str]:
    """An agent's mailbox is the destination."""
    return {
        "messaging.system": "pygents", "messaging.operation.name": operation, "messaging.operation.type": operation,
        "messaging.destination.name": agent, "gen_ai.agent.name": agent,
    }  # fmt: skip


def _fail(span: Span, type_: str) -> None:
    span.set_attribute("error.type", type_)
    span.set_status(Status(StatusCode.ERROR))


def _type_of(error: bytes | None) -> str:
    try:
        return str(json.decode(error or b"{}").get("type", "_OTHER"))
    except (DecodeError, AttributeError):
        return "_OTHER"


def _received(headers: Iterable[tuple[bytes, bytes]]) -> Context:
    """A header that must be given once and was given twice is malformed; tracestate may come in parts (W3C)."""
    carrier: dict[str, list[str]] = {"traceparent": [], "tracestate": []}
    for name, value in headers:
        if name in CARRIED and len(value) <= MAX_CARRIED:
            carrier[name.decode()].append(value.decode("latin-1"))
    if len(carrier["traceparent"]) != 1:
        return Context()
    return _extracted({"traceparent": carrier["traceparent"][0], "tracestate": ",".join(carrier["tracestate"])})


def _context_of(trace: Trace | None) -> Context:
    """Never that of the code that calls: a turn may be begun by whatever came before it."""
    return _extracted({"traceparent": trace.parent, "tracestate": trace.state}) if trace is not None else Context()


def _extracted(carrier: Mapping[str, str]) -> Context:
    return _w3c.extract({name: value for name, value in carrier.items() if value}, Context())
