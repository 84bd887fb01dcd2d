"""Any interleaving of commits, lost hints, slow clients, reads and retention: each stream is a slice of the log."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from pygents_app.streaming.hub import Hub
from pygents_app.streaming.subscription import Patience, Subscription
from pygents_app.streaming.watch import Watch
from tests.app.streaming.fakes import Client, Log, run

T = TypeVar("T")
INDEX = st.integers(0, 1000)


@dataclass
class Reader:
    cursor: int
    client: Client
    watch: Watch
    subscription: Subscription
    stalled: bool = False


class Streams(RuleBasedStateMachine):
    """The loop only moves when a rule says so, and by as many turns as it says."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.log = Log()
        self.log.fill("a", 3)
        self.hub = Hub(reads=self.log, listen=self.log.listen, patience=Patience(3600, 3600), ring_bytes=20_000)
        self.run(self.started())
        self.readers: list[Reader] = []

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(coroutine)

    async def started(self) -> None:
        self.log.gate = asyncio.Event()
        self.log.gate.set()
        self.hub.start(asyncio.get_running_loop())

    @rule(count=st.integers(1, 60), size=st.sampled_from([0, 0, 100, 9000, 70_000]), deaf=st.booleans())
    def commit(self, count: int, size: int, deaf: bool) -> None:
        self.log.deaf = deaf
        self.log.fill("a", count if size < 9000 else min(count, 5), size=size)
        self.log.deaf = False

    @rule(back=INDEX, turns=st.integers(0, 3))
    def open(self, back: int, turns: int) -> None:
        async def join() -> Reader:
            client = Client()
            watch = self.hub.watch("a")
            for _ in range(turns):
                await asyncio.sleep(0)
            latest = self.log.latest("a")
            watch.reaches(latest)
            cursor = max(0, latest - back)
            return Reader(
                cursor, client, watch, self.hub.join(watch, cursor=cursor, send=client.send, connection=client)
            )

        self.readers.append(self.run(join()))

    @rule(index=INDEX)
    def stall_or_go_on(self, index: int) -> None:
        async def toggle(reader: Reader) -> None:
            reader.stalled = not reader.stalled
            reader.client.stall(reader.stalled)

        if self.readers:
            self.run(toggle(self.readers[index % len(self.readers)]))

    @rule(index=INDEX)
    def leave(self, index: int) -> None:
        if self.readers:
            self.part(self.readers.pop(index % len(self.readers)))

    @rule(held=st.booleans())
    def hold_reads(self, held: bool) -> None:
        assert self.log.gate is not None
        self.log.gate.clear() if held else self.log.gate.set()

    @rule(turns=st.integers(1, 5))
    def turn(self, turns: int) -> None:
        async def pause() -> None:
            for _ in range(turns):
                await asyncio.sleep(0)

        self.run(pause())

    @invariant()
    def each_has_a_slice_of_the_log(self) -> None:
        for reader in self.readers:
            seqs = reader.client.seqs
            assert seqs == run(reader.cursor + 1, reader.cursor + len(seqs))

    @invariant()
    def rings_keep_their_bound(self) -> None:
        assert self.hub._rings.size <= 20_000

    def teardown(self) -> None:
        async def settle() -> None:
            assert self.log.gate is not None
            self.log.gate.set()
            for reader in self.readers:
                reader.client.stall(False)
            self.log.fill("a", 1)
            for _ in range(3000):
                await asyncio.sleep(0)

        self.run(settle())
        latest = self.log.latest("a")
        assert all(reader.client.seqs == run(reader.cursor + 1, latest) for reader in self.readers)
        for reader in self.readers:
            self.part(reader)
        self.run(self.hub.close())
        assert not self.hub._watches
        self.run(asyncio.sleep(0))
        assert not asyncio.all_tasks(self.loop)
        self.loop.close()

    def part(self, reader: Reader) -> None:
        async def go() -> None:
            self.hub.part(reader.watch, reader.subscription)
            self.hub.leave(reader.watch)

        self.run(go())


TestStreams = Streams.TestCase
TestStreams.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
