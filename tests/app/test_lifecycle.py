"""Rules that only a look at one decision shows; what they come to in a store is in ``contracts``."""

import pytest
from msgspec.structs import replace

from pygents_app.commands import (
    Append,
    Claim,
    Claimed,
    Command,
    CreateAgent,
    Enqueue,
    Enqueued,
    Finish,
    Finished,
    GuardNeeded,
    Origin,
    Pause,
    Recover,
    Release,
    Starter,
)
from pygents_app.errors import AgentNotFound, Fenced
from pygents_app.lifecycle import View, decide
from pygents_app.model import CancelRequest, Definition, Fence, Head, Outcome, Turn, TurnSpec, TurnStatus

NOW = 1_000
FENCE = Fence("n", 1)
STARTER = Starter("n", frozenset({"t"}))
DONE = Outcome(TurnStatus.COMPLETED)
HEAD = Head(Definition("a", tools=("t", "locked")), 0, 0, latest=5)
RUNNING = Turn(TurnSpec("id", "a", "t"), TurnStatus.RUNNING, 0, 4, 5, position=1, attempt=1, start_time=0)
OWNED = replace(HEAD, node="n", epoch=1, current="id", joined=1, begun=1)


@pytest.mark.parametrize(
    "command", [Enqueue("a", (TurnSpec("id", "a", "t"),), 1), Claim("a", STARTER), Pause("a"), Recover("a")]
)
def test_an_unknown_agent_is_not_found(command: Command) -> None:
    with pytest.raises(AgentNotFound):
        decide(View(None), command, NOW)


class TestFence:
    COMMANDS = (
        Append("a", "id", FENCE, (b"1",)),
        Finish("a", "id", FENCE, DONE),
    )

    @pytest.mark.parametrize("command", COMMANDS)
    @pytest.mark.parametrize(
        "head", [None, HEAD, replace(OWNED, epoch=2), replace(OWNED, node="m"), replace(OWNED, current="other")]
    )
    def test_another_owner_or_turn_is_refused(self, command: Command, head: Head | None) -> None:
        with pytest.raises(Fenced):
            decide(View(head, RUNNING), command, NOW)

    @pytest.mark.parametrize("command", COMMANDS)
    def test_the_owner_is_not(self, command: Command) -> None:
        assert decide(View(OWNED, RUNNING), command, NOW).events

    def test_release_is_of_an_agent_that_runs_nothing(self) -> None:
        with pytest.raises(Fenced):
            decide(View(OWNED), Release("a", FENCE), NOW)


class TestGuard:
    HOOKED = replace(HEAD, definition=Definition("a", tools=("t",), hooks={"before_put": ("check",)}))
    SPECS = (TurnSpec("new", "a", "t"),)

    def test_turns_pass_the_hooks_first(self) -> None:
        with pytest.raises(GuardNeeded) as caught:
            decide(View(self.HOOKED), Enqueue("a", self.SPECS, 10), NOW)
        assert caught.value.definition == self.HOOKED.definition

    def test_then_they_are_accepted(self) -> None:
        decision = decide(View(self.HOOKED), Enqueue("a", self.SPECS, 10, guarded=True), NOW)
        assert isinstance(decision.reply, Enqueued)


class TestSend:
    COMMAND = Enqueue("b", (TurnSpec("new", "b", "t"),), 10, origin=Origin(RUNNING.ref, FENCE))
    VIEW = View(replace(HEAD, definition=Definition("b", tools=("t",))), RUNNING, sender=OWNED)

    def test_of_a_running_turn(self) -> None:
        assert isinstance(decide(self.VIEW, self.COMMAND, NOW).reply, Enqueued)

    def test_a_turn_that_was_cancelled_sends_nothing_more(self) -> None:
        cancelled = replace(RUNNING, cancel=CancelRequest("me", None))
        with pytest.raises(Fenced, match="cancelled"):
            decide(replace(self.VIEW, turn=cancelled), self.COMMAND, NOW)


class TestFinish:
    def test_a_returned_turn_that_is_delayed_does_not_begin(self) -> None:
        later = TurnSpec("new", "a", "t", not_before=NOW + 1)
        decision = decide(View(OWNED, RUNNING), Finish("a", "id", FENCE, DONE, (), None, later, 10, STARTER), NOW)
        assert isinstance(decision.reply, Finished)
        assert (decision.reply.begun, decision.reply.next) == (None, None)
        assert decision.head is not None
        assert (decision.head.idle, decision.head.scheduled, decision.head.queued) == (True, 1, 0)

    def test_a_returned_turn_meets_the_mailbox_limit(self) -> None:
        head = replace(OWNED, queued=2)
        command = Finish("a", "id", FENCE, DONE, returned=TurnSpec("new", "a", "t"), mailbox_limit=2)
        decision = decide(View(head, RUNNING), command, NOW)
        assert isinstance(decision.reply, Finished)
        assert b'"mailbox_full"' in (decision.reply.turn.error or b"")
        assert [turn.id for turn in decision.turns] == ["id"]


class TestDecisions:
    def test_what_changes_nothing_writes_nothing(self) -> None:
        paused = replace(HEAD, paused=True)
        for view, command in (
            (View(paused), Pause("a")),
            (View(HEAD), CreateAgent(HEAD.definition)),
            (View(HEAD), Claim("a", STARTER)),
        ):
            decision = decide(view, command, NOW)
            assert decision.head is None
            assert not (decision.events or decision.turns or decision.begun)

    def test_recovering_an_idle_agent_writes_no_event(self) -> None:
        decision = decide(View(HEAD), Recover("a", STARTER), NOW)
        assert decision.reply == Claimed(None)
        assert not decision.events
