"""The products that turns are posted to end to end: how each is started, and how its users get a result from it."""

import json
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.helpers import free_port

from . import peers
from .exchange import Exchange, message
from .family import Family, beside
from .harness import CONTENDERS, POLL_SECONDS, START_SECONDS, serving

RESULT = b"Hello, World!"


class Way(NamedTuple):
    """Requests of which the last one's answer has the result; ``then`` makes the second one of the first's answer."""

    first: bytes
    then: Callable[[bytes], bytes] | None = None

    async def go(self, exchange: Exchange) -> None:
        """Returns with the result in hand. Raises RuntimeError if something else was answered."""
        answer = await exchange.ask(self.first)
        if self.then:
            answer = await exchange.ask(self.then(answer))
        if RESULT not in answer:
            raise RuntimeError(f"no result: {answer[:500]!r}")


class Product(NamedTuple):
    """What runs in one of the environments of ``peers``; words in braces are filled in."""

    environment: str
    ways: Mapping[str, Way]
    """By their names in the tables."""
    server: tuple[str, ...]
    workers: tuple[tuple[str, ...], ...] = ()
    redis: bool = False
    env: Mapping[str, str] = {}
    files: Mapping[str, str] = {}
    """Written into the folder that it is started in."""


class Stand(NamedTuple):
    """A product that is up."""

    port: int
    family: Family
    ways: Mapping[str, Way]


def _uvicorn(module: str) -> tuple[str, ...]:
    return ("-m", "uvicorn", f"{module}:app", "--port", "{port}", "--log-level", "error", "--no-access-log")


def _stream_of_handler(answer: bytes) -> bytes:
    """From the first event, because by default the stream of a workflow that has ended meanwhile is empty."""
    return message("GET", f"/events/{json.loads(answer)['handler_id']}?after_sequence=-1")


_NAME = '{"name":"World"}'
_START = f'{{"start_event":{_NAME}}}'
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}

PRODUCTS = (
    Product(
        "llama-agents-server",
        {
            "llama-agents-server (memory), stream": Way(
                message("POST", "/workflows/greet/run-nowait", _START), _stream_of_handler
            ),
            "llama-agents-server (memory), wait": Way(message("POST", "/workflows/greet/run", _START)),
        },
        _uvicorn("on_llama_agents"),
    ),
    Product(
        "arq",
        {"arq + Redis, wait": Way(message("POST", "/greet", _NAME))},
        _uvicorn("on_arq"),
        workers=(("-m", "arq", "on_arq.WorkerSettings"),),
        redis=True,
    ),
    Product(
        "celery",
        {"Celery + Redis, wait": Way(message("POST", "/greet", _NAME))},
        _uvicorn("on_celery"),
        workers=(
            (
                "-m",
                "celery",
                "-A",
                "on_celery:worker",
                "worker",
                "--pool=prefork",
                "--concurrency=2",
                "--loglevel=error",
            ),
        ),
        redis=True,
    ),
    Product(
        "agno",
        {"AgentOS (SQLite), wait": Way(message("POST", "/workflows/greet/runs", "message=World&stream=false", _FORM))},
        _uvicorn("on_agno"),
    ),
    Product(
        "langgraph",
        {
            "LangGraph dev (memory), wait": Way(
                message("POST", "/runs/wait", f'{{"assistant_id":"greet","input":{_NAME}}}')
            )
        },
        ("-m", "langgraph_cli", "dev", "--no-browser", "--no-reload", "--n-jobs-per-worker", "64", "--port", "{port}"),
        env={
            "LANGGRAPH_CLI_NO_ANALYTICS": "1",
            "LANGGRAPH_NO_VERSION_CHECK": "true",
            "LANGSMITH_TRACING": "false",
            "LOG_LEVEL": "ERROR",
        },
        files={
            "langgraph.json": json.dumps(
                {"dependencies": ["."], "graphs": {"greet": "{contenders}/on_langgraph.py:graph"}}
            )
        },
    ),
)


@contextmanager
def up(product: Product, folder: Path, *, install: bool) -> Iterator[Stand]:
    """Start a product; what works for its server may still be starting.

    Raises LookupError if it is not installed, and RuntimeError if it does not answer.
    """
    python = peers.environment(product.environment, install=install)
    if python is None:
        raise LookupError("not installed")
    folder = folder / product.environment
    folder.mkdir()
    for name, content in product.files.items():
        (folder / name).write_text(content.replace("{contenders}", str(CONTENDERS)))
    env = {**product.env, "PYTHONPATH": str(CONTENDERS)}
    with ExitStack() as processes:
        roots: list[int] = []
        if product.redis:
            port, pid = processes.enter_context(_redis(folder))
            roots.append(pid)
            env["BENCH_REDIS"] = f"redis://127.0.0.1:{port}/0"
        server = processes.enter_context(serving([str(python), *product.server], folder, env))
        roots.append(server.pid)
        for number, worker in enumerate(product.workers):
            command = [str(python), *worker]
            roots.append(processes.enter_context(beside(f"worker-{number}", command, folder, env)))
        yield Stand(server.port, Family(roots), product.ways)


@contextmanager
def _redis(folder: Path) -> Iterator[tuple[int, int]]:
    """Port and process of a Redis that syncs its log every second."""
    program = peers.redis_server()
    if program is None:
        raise LookupError("there is no redis-server (Debian: apt-get install redis-server)")
    port = free_port()
    durable = ["--appendonly", "yes", "--appendfsync", "everysec", "--save", ""]
    with beside("redis", [program, "--bind", "127.0.0.1", "--port", str(port), *durable], folder, {}) as pid:
        _await_port(port)
        yield port, pid


def _await_port(port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(POLL_SECONDS)
    raise RuntimeError(f"nothing listens on {port}")
