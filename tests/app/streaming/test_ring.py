"""The ring never holds a gap and never grows beyond its bounds."""

import pytest

from pygents_app.model import Event, EventType
from pygents_app.streaming.ring import (
    BATCH_BYTES,
    RING_BYTES,
    RING_FRAMES,
    Batch,
    Framed,
    Ring,
    Rings,
    batch_of,
    framed,
)  # fmt: skip


def entry(seq: int, size: int = 10) -> Framed:
    return Framed(seq, EventType.TURN_VALUE, None, b"x" * size, seq - 1)


def ring_with(first: int, last: int, size: int = 10) -> Ring:
    ring = Ring()
    ring.start(first - 1)
    assert all(ring.accept(entry(seq, size)) for seq in range(first, last + 1))
    return ring


def seqs(batch: Batch | None) -> list[int]:
    return [] if batch is None else [entry.seq for entry in batch.frames]


def test_nothing_is_taken_before_the_start_is_known() -> None:
    assert not Ring().accept(entry(1))


@pytest.mark.parametrize("seq", [9, 10, 12, 1000])
def test_only_the_next_seq_is_taken(seq: int) -> None:
    ring = ring_with(5, 10)
    assert not ring.accept(entry(seq))
    assert (ring.head, len(ring)) == (10, 6)
    assert ring.accept(entry(11))


def test_the_start_does_not_move() -> None:
    ring = ring_with(5, 10)
    ring.start(20)
    assert ring.head == 10


@pytest.mark.parametrize(("cursor", "expected"), [(3, []), (4, [5, 6, 7]), (6, [7]), (7, []), (99, [])])
def test_what_follows_a_cursor(cursor: int, expected: list[int]) -> None:
    ring = ring_with(5, 7)
    assert seqs(ring.after(cursor)) == expected
    assert seqs(ring.after(cursor)) == expected, "remembered"


def test_a_remembered_batch_is_not_served_after_news() -> None:
    ring = ring_with(5, 7)
    assert seqs(ring.after(6)) == [7]
    ring.accept(entry(8))
    assert seqs(ring.after(6)) == [7, 8]


def test_all_at_one_cursor_share_the_bytes() -> None:
    ring = ring_with(5, 7)
    first, second = ring.after(4), ring.after(4)
    assert first is second is not None


def test_bounded_in_frames_and_bytes() -> None:
    assert len(ring_with(1, 1000)) == RING_FRAMES
    large = ring_with(1, 50, size=RING_BYTES // 10)
    assert large.size <= RING_BYTES
    assert seqs(large.after(40)) == [41, 42], "as many as fit into a batch"
    assert large.head == 50


def test_a_frame_larger_than_the_ring_empties_it() -> None:
    ring = ring_with(1, 3)
    assert ring.accept(entry(4, RING_BYTES + 1))
    assert (len(ring), ring.size, ring.after(3)) == (0, 0, None)
    assert ring.accept(entry(5))
    assert seqs(ring.after(4)) == [5]


def test_a_batch_is_bounded_but_has_at_least_one() -> None:
    small = batch_of([entry(seq, BATCH_BYTES // 4) for seq in range(1, 11)])
    assert (seqs(small), len(small.body)) == ([1, 2, 3, 4], BATCH_BYTES)
    assert seqs(batch_of([entry(1, BATCH_BYTES * 3), entry(2)])) == [1]


class TestRings:
    def test_the_one_read_longest_ago_is_emptied_first(self) -> None:
        rings = Rings(limit=300)
        one, two, three = Ring(), Ring(), Ring()
        for ring in (one, two, three):
            ring.start(0)
            assert rings.accept(ring, entry(1, 100))
        assert rings.after(one, 0)
        assert rings.accept(three, entry(2, 100))
        assert [len(ring) for ring in (one, two, three)] == [1, 0, 2]
        assert rings.size == 300

    def test_an_emptied_ring_goes_on_at_its_head(self) -> None:
        rings = Rings(limit=100)
        one, two = Ring(), Ring()
        for ring in (one, two):
            ring.start(0)
            rings.accept(ring, entry(1, 80))
        assert len(one) == 0
        assert rings.accept(one, entry(2, 10))
        assert seqs(rings.after(one, 1)) == [2]

    def test_dropping_gives_back(self) -> None:
        rings = Rings()
        ring = Ring()
        ring.start(0)
        rings.accept(ring, entry(1))
        rings.drop(ring)
        rings.drop(ring)
        assert rings.size == 0


def test_a_batch_goes_no_further_than_the_end_of_a_deleted_agent() -> None:
    """What follows is the log of another agent of that name: no stream flows from one into the other."""
    frames = [entry(1), entry(2)._replace(type=EventType.AGENT_DELETED), entry(3)]
    batch = batch_of(frames)
    assert (seqs(batch), batch.ends_log, batch_of(frames[2:]).ends_log) == ([1, 2], True, False)


@pytest.mark.parametrize(("cursor", "joins"), [(6, False), (7, True), (8, True), (99, True), (100, False)])
def test_what_follows_a_restore_joins_on_to_what_was_before(cursor: int, joins: bool) -> None:
    """Also to a stream that was opened between the two."""
    event = Event("a", 100, EventType.AGENT_RESTORED, None, None, 0, b'{"after":7}')
    assert batch_of([framed(event)]).joins(cursor) is joins
