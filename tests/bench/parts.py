"""Where the time of one submit and of one delivered event goes: the service's own functions, each alone and warm.

Together they cost about twice as much, because they drive each other out of the processor's caches; what that comes to
is in the table ``submit``, by threads. The commits are of as many commands as connections wait there.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pygents_app.api import bodies, requests
from pygents_app.api.representations import turn_json
from pygents_app.clock import new_id, system_clock
from pygents_app.commands import Command, CreateAgent, Enqueue, Finish, Starter
from pygents_app.draft import Decision
from pygents_app.lifecycle import View, decide
from pygents_app.model import Begun, Definition, Event, EventType, Head, Outcome, PlacedTurn, Turn, TurnSpec, TurnStatus
from pygents_app.store.engine import Engine
from pygents_app.store.memory import MemoryEngine
from pygents_app.store.script import apply_batch
from pygents_app.store.sqlite import SqliteEngine
from pygents_app.streaming import sse
from pygents_core.schema import ToolSchema
from pygents_core.serialization import encode

from .harness import Dose, Sample, Table
from .submit import BODY, CONNECTIONS

WAITING = tuple(f"waiting-{number}" for number in range(CONNECTIONS))
GOING = tuple(f"going-{number}" for number in range(CONNECTIONS))
STARTER = Starter("bench", frozenset({"greet"}))
WARM = 20
"""Commits."""
RAW = json.dumps(BODY).encode()


async def measure(dose: Dose, folder: Path) -> list[Table]:
    submit = {name: timed(part, dose) for name, part in _submit_parts()}
    with _engines(folder) as engines:
        for name, engine in engines.items():
            submit[f"commit of {CONNECTIONS} submits, {name}"] = [_committed(engine, dose, _wait) for _ in _each(dose)]
            submit[f"the same, begun, and their ends, {name}"] = [_committed(engine, dose, _go_on) for _ in _each(dose)]
    event = {name: timed(part, dose) for name, part in _event_parts()}
    first, second = next(iter(submit)), next(iter(event))
    return [Table("parts of a submit", first, submit), Table("parts of a delivered event", second, event)]


def _each(dose: Dose) -> range:
    return range(min(dose.rounds, 3))


def timed(part: Callable[[], object], dose: Dose) -> list[Sample]:
    """What one call takes, once for each round."""
    return [{"µs": _microseconds(part, dose.seconds / 10)} for _ in _each(dose)]


def _microseconds(part: Callable[[], object], seconds: float) -> float:
    number, start = 0, time.perf_counter()
    while (passed := time.perf_counter() - start) < seconds:
        for _ in range(100):
            part()
        number += 100
    return passed / number * 1e6


# --- the HTTP thread's -----------------------------------------------------------------------------------------------


def _submit_parts() -> Iterator[tuple[str, Callable[[], object]]]:
    value, spec = bodies.parse(RAW), _spec(WAITING[0])
    schema = ToolSchema(_greet)
    turn = Turn(spec, TurnStatus.QUEUED, system_clock(), 5, 5, 7)
    yield "read the body", lambda: bodies.parse(RAW)
    yield "validate it", lambda: bodies.validate(requests.Submit, value).request(system_clock)
    yield "check the arguments", lambda: schema.validate([], BODY["kwargs"])  # type: ignore[arg-type]
    yield "encode what is stored", lambda: (encode([]), encode(BODY["kwargs"]), encode(BODY["metadata"]))
    yield "decide", lambda: decide(View(_HEAD), _enqueue(spec), 1)
    yield "make the answer", lambda: turn_json(PlacedTurn(turn, 7), "previous")


async def _greet(name: str) -> str:
    return name


_HEAD = Head(Definition(WAITING[0], tools=("greet",)), 0, 0, node="another", epoch=1, current="one that runs")


def _spec(agent: str) -> TurnSpec:
    turn_id = new_id()
    kwargs, metadata = encode(BODY["kwargs"]), encode(BODY["metadata"])
    return TurnSpec(turn_id, agent, "greet", kwargs=kwargs, metadata=metadata, root=turn_id)


def _enqueue(spec: TurnSpec, starter: Starter | None = None) -> Enqueue:
    return Enqueue(spec.agent, (spec,), 10_000_000, starter=starter)


# --- the committer's -------------------------------------------------------------------------------------------------


@contextmanager
def _engines(folder: Path) -> Iterator[dict[str, Engine]]:
    engines: dict[str, Engine] = {"memory": MemoryEngine(), "SQLite": SqliteEngine(folder / "parts.db")}
    try:
        for engine in engines.values():
            _commit(engine, [CreateAgent(Definition(name, tools=("greet",))) for name in (*WAITING, *GOING)])
        yield engines
    finally:
        for engine in engines.values():
            engine.close()


def _commit(engine: Engine, commands: Sequence[Command]) -> list[Decision]:
    answers = apply_batch(engine, commands, system_clock())
    refused = [answer for answer in answers if isinstance(answer, Exception)]
    if refused:
        raise refused[0]
    return [answer for answer in answers if isinstance(answer, Decision)]


def _committed(engine: Engine, dose: Dose, commit: Callable[[Engine], float]) -> Sample:
    """Microseconds of one command, or of one turn."""
    for _ in range(WARM):
        commit(engine)
    number, seconds, until = 0, 0.0, time.perf_counter() + dose.seconds / 2
    while time.perf_counter() < until:
        seconds += commit(engine)
        number += CONNECTIONS
    return {"µs": seconds / number * 1e6}


def _wait(engine: Engine) -> float:
    commands = [_enqueue(_spec(name)) for name in WAITING]
    start = time.perf_counter()
    _commit(engine, commands)
    return time.perf_counter() - start


def _go_on(engine: Engine) -> float:
    """Two commits, as when each turn is begun at once and ends before the next one comes."""
    commands = [_enqueue(_spec(name), STARTER) for name in GOING]
    start = time.perf_counter()
    decisions = _commit(engine, commands)
    passed = time.perf_counter() - start
    ends = [_end(decision.begun) for decision in decisions if decision.begun is not None]
    start = time.perf_counter()
    _commit(engine, ends)
    return passed + time.perf_counter() - start


def _end(begun: Begun) -> Finish:
    """Without beginning the next one."""
    spec, value = begun.turn.spec, b'"Hello, World!"'
    outcome = Outcome(TurnStatus.COMPLETED, output=value)
    return Finish(spec.agent, spec.id, begun.fence, outcome, values=(value,), attempt=begun.turn.attempt)


# --- the delivery's --------------------------------------------------------------------------------------------------


def _event_parts() -> Iterator[tuple[str, Callable[[], object]]]:
    data = b'{"index":7,"value":{"text":"a piece of a long answer","n":7}}'
    event = Event(WAITING[0], 12_345, EventType.TURN_VALUE, new_id(), 1, system_clock(), data)
    frame = sse.frame(event)
    yield "make the frame, once for all streams", lambda: sse.frame(event)
    yield "make its chunk, once for all streams", lambda: b"%x\r\n%b\r\n" % (len(frame), frame)
