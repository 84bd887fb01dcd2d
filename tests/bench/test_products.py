"""Products that cannot be had are left out by name; and how their answers are read. Nothing is measured here."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.bench import peers
from tests.bench.endtoend import measure
from tests.bench.exchange import Exchange, message
from tests.bench.family import Family
from tests.bench.harness import dose_of
from tests.bench.products import PRODUCTS, Way, up
from tests.helpers import eventually_sync, free_port

pytestmark = pytest.mark.anyio

SMALL = dose_of(0.1)
ARQ = next(product for product in PRODUCTS if product.environment == "arq")
WHOLE = b"HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\nHello, World!"
CHUNKS = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nd\r\nHello, World!\r\n0\r\n\r\n"
REFUSED = b"HTTP/1.1 422 No\r\ncontent-length: 4\r\n\r\nno!!"


class TestSkipping:
    def test_what_is_not_installed_is_not_installed_by_a_small_dose(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(peers, "CACHE", tmp_path / "nothing")
        for product in PRODUCTS:
            with pytest.raises(LookupError, match="not installed"), up(product, tmp_path, install=False):
                pass
        assert not list(tmp_path.iterdir())

    def test_redis_is_named_if_it_is_missing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(peers, "environment", lambda name, install: Path(sys.executable))
        monkeypatch.setattr(peers, "redis_server", lambda: None)
        with pytest.raises(LookupError, match="apt-get install redis-server"), up(ARQ, tmp_path, install=False):
            pass

    @pytest.mark.slow
    async def test_tables_name_who_is_missing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(peers, "CACHE", tmp_path / "nothing")
        for table in await measure(SMALL, tmp_path):
            for row in (name for product in PRODUCTS for name in product.ways):
                assert row not in table.rows
                assert any(row in note and "skipped" in note for note in table.notes)

    def test_an_installation_that_was_broken_off_is_not_used(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(peers, "CACHE", tmp_path)
        (tmp_path / "arq" / "bin").mkdir(parents=True)
        (tmp_path / "arq" / "bin" / "python").touch()
        assert peers.environment("arq", install=False) is None
        (tmp_path / "arq" / "installed").touch()
        assert peers.environment("arq", install=False) == tmp_path / "arq" / "bin" / "python"


class Answering:
    """A server that gives the same bytes to each request, split at every place in turn."""

    def __init__(self, answer: bytes) -> None:
        self.answer, self.split = answer, 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            self.split = (self.split + 1) % len(self.answer)
            for part in (self.answer[: self.split], self.answer[self.split :]):
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(0)


class TestExchange:
    @pytest.fixture
    async def port(self, request: pytest.FixtureRequest) -> AsyncIterator[int]:
        answering, port = Answering(request.param), free_port()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await answering.serve(reader, writer)
            except (asyncio.IncompleteReadError, ConnectionError):
                writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", port)
        try:
            yield port
        finally:
            server.close()
            await server.wait_closed()

    @pytest.mark.parametrize("port", [WHOLE, CHUNKS], indirect=True)
    async def test_an_answer_is_read_however_it_is_split(self, port: int) -> None:
        exchange = await Exchange.open(port)
        try:
            for _ in range(len(CHUNKS)):
                assert b"Hello, World!" in await exchange.ask(message("GET", "/"))
        finally:
            exchange.close()

    @pytest.mark.parametrize("port", [REFUSED], indirect=True)
    async def test_a_refusal_is_no_result(self, port: int) -> None:
        exchange = await Exchange.open(port)
        try:
            with pytest.raises(RuntimeError, match="422"):
                await Way(message("GET", "/")).go(exchange)
        finally:
            exchange.close()

    @pytest.mark.parametrize("port", [WHOLE.replace(b"World", b"world")], indirect=True)
    async def test_another_answer_is_no_result(self, port: int) -> None:
        exchange = await Exchange.open(port)
        try:
            with pytest.raises(RuntimeError, match="no result"):
                await Way(message("GET", "/")).go(exchange)
        finally:
            exchange.close()


class TestFamily:
    @pytest.fixture
    def parent(self) -> Iterator["subprocess.Popen[str]"]:
        """A process that has started another one."""
        child = "import time; time.sleep(600)"
        code = (
            f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {child!r}]); print(1, flush=True)"
        )
        command = [sys.executable, "-c", f"{code}\n{child}"]
        with subprocess.Popen(command, text=True, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            try:
                yield process
            finally:
                Family([process.pid]).kill()

    def test_children_belong_to_it(self, parent: "subprocess.Popen[str]") -> None:
        family = Family([parent.pid])
        pids = family.pids()
        assert pids[0] == parent.pid
        assert len(pids) == 2
        assert family.memory() > 1_000_000
        assert family.cpu() >= 0.0

    def test_all_stand_still_until_they_are_woken(self, parent: "subprocess.Popen[str]") -> None:
        family = Family([parent.pid])
        family.stop()
        assert eventually_sync(lambda: {_state(pid) for pid in family.pids()} == {"T"})
        with family.awake():
            assert eventually_sync(lambda: "T" not in {_state(pid) for pid in family.pids()})
        assert eventually_sync(lambda: {_state(pid) for pid in family.pids()} == {"T"})

    def test_those_that_have_ended_are_nobody(self) -> None:
        ended = subprocess.Popen([sys.executable, "-c", ""])
        ended.wait()
        assert Family([ended.pid]).pids() == []

    def test_cpu_is_counted(self) -> None:
        assert Family([os.getpid()]).cpu() > 0.0


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_every_product_has_an_environment() -> None:
    assert {product.environment for product in PRODUCTS} == peers.ENVIRONMENTS.keys()


def test_no_two_ways_have_one_name() -> None:
    names = [name for product in PRODUCTS for name in product.ways]
    assert len(set(names)) == len(names)
