"""A real service sends its spans to a real collector: one piece of work is one trace, whatever happens to it."""

import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.app.tracing.collector import Collector, Span, collecting
from tests.caller import Caller
from tests.helpers import eventually
from tests.service import Service, serving

pytestmark = pytest.mark.anyio

DESK = Path(__file__).with_name("desk.py")
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"
SECRET = "correct-horse"
"""Given as an argument, yielded as a value, and part of errors."""

Serve = Callable[..., AbstractContextManager[Service]]


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Serve:
    """A service with the given variables, and none else of OpenTelemetry's."""

    @contextmanager
    def serve(variables: Mapping[str, str], module: Path = DESK) -> Iterator[Service]:
        for name, value in {"OTEL_BSP_SCHEDULE_DELAY": "20", **variables}.items():
            monkeypatch.setenv(name, value)
        with serving(tmp_path, module) as service:
            yield service

    return serve


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


@pytest.fixture
def service(serve: Serve, collector: Collector) -> Iterator[Service]:
    with serve({"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}) as service:
        yield service


@pytest.fixture
async def caller(service: Service) -> AsyncIterator[Caller]:
    async with httpx.AsyncClient(base_url=service.url) as http:
        yield Caller(http)


async def post(
    caller: Caller, tool: str, *, agent: str = "desk", headers: Mapping[str, str] = {}, **fields: object
) -> str:
    """The id of the accepted turn."""
    body = {"tool": tool, "kwargs": {"item": SECRET}, **fields}
    answer = await caller.http.post(f"/agents/{agent}/turns", json=body, headers=dict(headers))
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


async def spans(collector: Collector, *names: str) -> list[Span]:
    """One span of each name, once all have come."""
    await eventually(lambda: all(collector.spans(name) for name in names), timeout=10)
    return [collector.spans(name)[0] for name in names]


async def test_a_submit_and_what_comes_of_it_are_one_trace(caller: Caller, collector: Collector) -> None:
    await post(caller, "ask", headers={"traceparent": TRACEPARENT, "tracestate": "vendor=1"})
    await spans(collector, "database", "execute_tool look_up", "thinking", "execute_tool ask")
    assert collector.tree() == [
        "POST /agents/{name}/turns",
        "  execute_tool ask",
        "    thinking",
        "      send stock",
        "        execute_tool look_up",
        "          database",
    ]
    assert {span.trace for span in collector.spans()} == {TRACE}
    assert collector.spans()[0].parent == PARENT
    assert collector.paths == {"/v1/traces"}


async def test_what_the_spans_say(caller: Caller, collector: Collector) -> None:
    turn_id = await post(caller, "ask")
    server, attempt, send, sent = await spans(
        collector, "POST /agents/{name}/turns", "execute_tool ask", "send stock", "execute_tool look_up"
    )
    assert [span.kind for span in (server, attempt, send, sent)] == ["server", "consumer", "producer", "consumer"]
    assert server.attributes == {
        "http.request.method": "POST", "http.route": "/agents/{name}/turns", "url.path": "/agents/desk/turns",
        "url.scheme": "http", "http.response.status_code": 202,
    }  # fmt: skip
    assert attempt.attributes == {
        "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "ask", "gen_ai.tool.type": "function",
        "gen_ai.agent.name": "desk", "messaging.system": "pygents", "messaging.operation.name": "process",
        "messaging.operation.type": "process", "messaging.destination.name": "desk", "messaging.message.id": turn_id,
        "messaging.message.conversation_id": turn_id, "pygents.turn.attempt": 1,
        "pygents.turn.stop_reason": "completed",
    }  # fmt: skip
    assert send.attributes == {
        "gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "stock", "gen_ai.tool.name": "look_up",
        "messaging.system": "pygents", "messaging.operation.name": "send", "messaging.operation.type": "send",
        "messaging.destination.name": "stock",
    }  # fmt: skip
    assert (attempt.links, sent.links) == ((server.id,), (send.id,))
    assert sent.attributes["messaging.message.conversation_id"] == turn_id
    assert (server.resource["service.name"], len(server.resource["service.instance.id"])) == ("pygents", 36)
    turn = await caller.turn(turn_id)
    assert _seconds(attempt.begin) == turn["start_time"]
    assert _seconds(attempt.end) >= turn["end_time"]
    assert not any(span.error for span in collector.spans())


def _seconds(nanoseconds: int) -> str:
    microseconds = nanoseconds // 1_000
    return (
        f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(microseconds // 1_000_000))}.{microseconds % 1_000_000:06}Z"
    )


async def test_spans_around_the_values_of_a_stream_and_a_returned_turn_are_in_it(
    caller: Caller, collector: Collector
) -> None:
    await post(caller, "stream")
    await spans(collector, "between", "execute_tool stream")
    await post(caller, "hand_on", headers={"traceparent": TRACEPARENT})
    await spans(collector, "execute_tool hand_on", "execute_tool ask", "execute_tool look_up")
    assert collector.tree() == [
        "POST /agents/{name}/turns",
        "  execute_tool stream",
        "    between",
        "POST /agents/{name}/turns",
        "  execute_tool hand_on",
        "    execute_tool ask",
        "      thinking",
        "        send stock",
        "          execute_tool look_up",
        "            database",
    ]


async def test_a_malformed_traceparent_is_ignored(caller: Caller, collector: Collector) -> None:
    malformed = [
        ["00-0-0-01"],
        [f"ff-{TRACE}-{PARENT}-01"],
        [f"00-{'0' * 32}-{PARENT}-01"],
        ["\xff"],
        [f"01-{TRACE}-{PARENT}-01-{'x' * 5_000}"],
        [TRACEPARENT, TRACEPARENT],
    ]
    for values in malformed:
        headers = [(b"traceparent", value.encode("latin-1")) for value in values]
        body = {"tool": "look_up", "kwargs": {"item": "x"}}
        assert (await caller.http.post("/agents/stock/turns", json=body, headers=headers)).status_code == 202
    await eventually(lambda: len(collector.spans("execute_tool look_up")) == len(malformed), timeout=10)
    servers, attempts = collector.spans("POST /agents/{name}/turns"), collector.spans("execute_tool look_up")
    assert {server.parent for server in servers} == {""}
    assert {server.id: server.trace for server in servers} == {attempt.parent: attempt.trace for attempt in attempts}
    assert TRACE not in {span.trace for span in collector.spans()}


async def test_what_a_caller_does_not_sample_is_not_sent(caller: Caller, collector: Collector) -> None:
    await caller.ended(await post(caller, "ask", headers={"traceparent": f"00-{TRACE}-{PARENT}-00"}))
    await caller.ended(await post(caller, "ask"))
    await spans(collector, "execute_tool look_up", "database")
    assert TRACE not in {span.trace for span in collector.spans()}


async def test_attempts_that_fail_say_why_and_are_in_one_trace(caller: Caller, collector: Collector) -> None:
    await caller.ended(await post(caller, "second_time", headers={"traceparent": TRACEPARENT}))
    await eventually(lambda: len(collector.spans("execute_tool second_time")) == 2, timeout=10)
    first, second = collector.spans("execute_tool second_time")
    assert (first.attributes["pygents.turn.attempt"], second.attributes["pygents.turn.attempt"]) == (1, 2)
    assert (first.error, first.attributes["error.type"]) == (True, "LookupError")
    assert (first.attributes["pygents.turn.retried"], "pygents.turn.retried" in second.attributes) == (True, False)
    assert (second.error, second.attributes["pygents.turn.stop_reason"]) == (False, "completed")
    assert {first.trace, second.trace} == {TRACE}
    assert first.parent == second.parent


async def test_how_a_turn_ended_is_on_its_span(caller: Caller, collector: Collector, tmp_path: Path) -> None:
    never = {"item": SECRET, "gate": str(tmp_path / "never")}
    await caller.ended(await post(caller, "fail"))
    await caller.ended(await post(caller, "hang", timeout=0.05, kwargs=never))
    turn = await caller.becomes(await post(caller, "hang", kwargs=never), "running")
    assert (await caller.cancel(turn)).status_code == 202
    await caller.ended(turn)
    await eventually(lambda: len(collector.spans("execute_tool hang")) == 2, timeout=10)
    (failed,), (late, cancelled) = collector.spans("execute_tool fail"), collector.spans("execute_tool hang")
    ends = [(span.attributes["pygents.turn.stop_reason"], span.error) for span in (failed, late, cancelled)]
    assert ends == [("error", True), ("timeout", True), ("cancelled", False)]
    assert [span.attributes.get("error.type") for span in (failed, late, cancelled)] == ["LookupError", "timeout", None]


async def test_a_refused_request_is_a_span_and_no_failure(caller: Caller, collector: Collector) -> None:
    assert (await caller.post("desk", "nothing")).status_code == 422
    (server,) = await spans(collector, "POST /agents/{name}/turns")
    assert (server.attributes["http.response.status_code"], server.error) == (422, False)


async def test_nothing_of_arguments_values_and_errors_is_on_a_span(caller: Caller, collector: Collector) -> None:
    for tool in ("fail", "second_time", "ask"):
        await caller.ended(await post(caller, tool))
    assert (await caller.post("desk", "ask", kwargs={"item": {SECRET: SECRET}})).status_code == 422
    await spans(collector, "execute_tool fail", "execute_tool second_time", "database")
    await eventually(lambda: len(collector.spans("POST /agents/{name}/turns")) == 4, timeout=10)
    assert not [span.name for span in collector.spans() if SECRET in span.told or span.events]


async def test_a_turn_that_waits_goes_on_in_its_trace_after_a_crash(
    caller: Caller, collector: Collector, service: Service
) -> None:
    await caller.http.post("/agents/desk/pause")
    turn_id = await post(caller, "ask", headers={"traceparent": TRACEPARENT, "tracestate": "vendor=1"})
    (server,) = await spans(collector, "POST /agents/{name}/turns")
    service.restart()
    await caller.http.post("/agents/desk/resume")
    assert (await caller.ended(turn_id))["status"] == "completed"
    queue, attempt, _ = await spans(collector, "queue desk", "execute_tool ask", "execute_tool look_up")
    assert {span.trace for span in collector.spans()} == {TRACE}
    assert attempt.parent == queue.parent == server.id
    assert queue.end == attempt.begin
    assert queue.kind == "internal"
    assert server.resource["service.instance.id"] != attempt.resource["service.instance.id"]


async def test_an_attempt_after_a_crash_is_in_the_trace(
    caller: Caller, collector: Collector, service: Service, tmp_path: Path
) -> None:
    gate, retry = tmp_path / "gate", {"max_attempts": 2, "delay": 0, "jitter": False}
    kwargs = {"item": SECRET, "gate": str(gate)}
    turn_id = await post(caller, "hang", headers={"traceparent": TRACEPARENT}, kwargs=kwargs, retry=retry)
    await spans(collector, "POST /agents/{name}/turns")
    service.kill()
    gate.touch()
    service.start()
    assert (await caller.ended(turn_id))["status"] == "completed"
    (attempt,) = await spans(collector, "execute_tool hang")
    assert (attempt.trace, attempt.attributes["pygents.turn.attempt"]) == (TRACE, 2)


async def test_turns_from_before_begin_traces_of_their_own(
    serve: Serve, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not that of the turn before, by whose end they are begun."""
    with serve({}) as service:
        async with httpx.AsyncClient(base_url=service.url) as http:
            caller = Caller(http)
            await caller.http.post("/agents/stock/pause")
            turns = [await post(caller, "look_up", agent="stock") for _ in range(3)]
            service.stop()
            monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
            service.start()
            turns.append(await post(caller, "look_up", agent="stock"))
            await caller.http.post("/agents/stock/resume")
            for turn in turns:
                await caller.ended(turn)
        await eventually(lambda: len(collector.spans("execute_tool look_up")) == len(turns), timeout=10)
    spans = collector.spans("execute_tool look_up")
    assert len({span.trace for span in spans}) == len(turns)
    assert [bool(span.parent) for span in spans] == [False, False, False, True]
    assert [len(span.links) for span in spans] == [0, 0, 0, 1]
    assert len(collector.spans("queue stock")) == 1


async def test_the_last_spans_are_sent_before_the_process_ends(serve: Serve, collector: Collector) -> None:
    variables = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{collector.url}/spans", "OTEL_BSP_SCHEDULE_DELAY": "600000"}
    with serve({**variables, "OTEL_SERVICE_NAME": "front"}) as service:
        async with httpx.AsyncClient(base_url=service.url) as http:
            caller = Caller(http)
            await caller.ended(await post(caller, "look_up", agent="stock"))
        assert collector.spans() == []
        service.stop()
    assert [span.name for span in collector.spans() if span.kind == "consumer"] == ["execute_tool look_up"]
    assert (collector.paths, collector.spans()[0].resource["service.name"]) == ({"/spans"}, "front")


async def test_a_provider_of_the_users_code_is_used_and_flushed(
    serve: Serve, collector: Collector, tmp_path: Path
) -> None:
    own = tmp_path / "own.py"
    own.write_text(
        f"""
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

provider = TracerProvider(resource=Resource.create({{"service.name": "own"}}))
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter("{collector.url}/own"), schedule_delay_millis=600_000))
trace.set_tracer_provider(provider)
{DESK.read_text()}"""
    )
    with serve({"OTEL_EXPORTER_OTLP_ENDPOINT": f"{collector.url}/unused"}, own) as service:
        async with httpx.AsyncClient(base_url=service.url) as http:
            caller = Caller(http)
            await caller.ended(await post(caller, "look_up", agent="stock"))
        service.stop()
    assert collector.tree() == ["POST /agents/{name}/turns", "  execute_tool look_up", "    database"]
    assert {span.resource["service.name"] for span in collector.spans()} == {"own"}
    assert collector.paths == {"/own"}


async def test_a_collector_that_does_not_answer_delays_nothing(serve: Serve) -> None:
    """It takes connections and never says a word. Ten seconds are its time to answer, and a shutdown has five."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with serve({"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_EXPORTER_OTLP_TIMEOUT": "600"}) as service:
            async with httpx.AsyncClient(base_url=service.url) as http:
                caller = Caller(http)
                await caller.ended(await post(caller, "ask"))
                taken, _ = silent.accept()  # the exporter waits for its answer from here on
                with taken:
                    for _ in range(3):
                        assert (await caller.ended(await post(caller, "ask")))["status"] == "completed"
                    service.stop(timeout=10)


def mapped(pid: int) -> str:
    """Which files of native code a process has loaded: the exporter brings some."""
    return Path(f"/proc/{pid}/maps").read_text()


@pytest.mark.parametrize(
    "variables",
    [{}, {"OTEL_SDK_DISABLED": "true"}, {"OTEL_TRACES_EXPORTER": "none"}, {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}],
)
async def test_without_what_switches_it_on_no_connection_is_opened(serve: Serve, variables: Mapping[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{listener.getsockname()[1]}"} if variables else {}
        with serve({**endpoint, **variables}) as service:
            async with httpx.AsyncClient(base_url=service.url) as http:
                caller = Caller(http)
                await caller.ended(await post(caller, "ask", headers={"traceparent": TRACEPARENT}))
            files = mapped(service.pid)
            service.stop()
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()
    assert "protobuf" not in files
