"""Rules of the agents themselves: made, changed, paused, resumed, deleted."""

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from .. import errors, payloads
from ..commands import AgentReply, CreateAgent, DeleteAgent, PatchAgent, Pause, Restore, Resume
from ..draft import Decision, Draft
from ..merging import merge_patch
from ..model import CancelRequest, Definition, EventType, Head, Outcome, TurnRef, TurnStatus
from .view import View, known, loaded

CANCELLED = Outcome(TurnStatus.CANCELLED)
MAX_LABELS = 100


def create(view: View, command: CreateAgent, now: int) -> Decision:
    """Code wins over what is stored, but for the labels, which the code does not know."""
    new, old = command.definition, view.head
    if old is None or old.deleted:
        return _begin(new, old, now)
    if new.source == "code":
        return _redefine(old, replace(new, labels=old.definition.labels), now)
    if old.definition == new:
        return Decision(AgentReply(old))
    raise errors.AgentExists(
        f"An agent named {new.name!r} exists with another definition. Choose another name, or change that agent."
    )


def _begin(new: Definition, old: Head | None, now: int) -> Decision:
    """An agent made anew goes on above the numbers of its forerunner, and waits for that one's code to stop."""
    head = Head(new, created_at=now, updated_at=now)
    if old is not None:
        head = replace(head, node=old.node, epoch=old.epoch, earliest=old.latest + 1, latest=old.latest)
    draft = Draft(head, now)
    draft.log(EventType.AGENT_CREATED, _shown(new))
    return draft.done(AgentReply(draft.final(), created=True))


def patch(view: View, command: PatchAgent, now: int) -> Decision:
    """What is queued stays queued: a turn whose tool was taken from the agent fails when it begins."""
    head = known(view.head, command.agent)
    if command.changes.keys() - {"labels"}:
        _check_not_of_code(head, command.code_agents, "Change it in the code; only its labels can be changed here.")
    return _redefine(head, _patched(head.definition, command.changes), now)


def _patched(old: Definition, changes: Mapping[str, Any]) -> Definition:
    """RFC 7396 on the members that can be changed; one that is removed takes its default."""
    merged = merge_patch(_members(old), changes)
    if len(merged.get("labels", {})) > MAX_LABELS:
        raise errors.InvalidRequest(
            f"An agent may have {MAX_LABELS} labels.",
            errors=[{"pointer": "/labels", "detail": f"would be {len(merged['labels'])} together with those it has"}],
        )
    return replace(
        old,
        description=merged.get("description", ""),
        tools=tuple(dict.fromkeys(merged.get("tools", ()))),
        hooks={type_: tuple(names) for type_, names in merged.get("hooks", {}).items()},
        labels=merged.get("labels", {}),
    )


def _redefine(head: Head, definition: Definition, now: int) -> Decision:
    if definition == head.definition:
        return Decision(AgentReply(head))
    draft = Draft(replace(head, definition=definition, updated_at=now), now)
    draft.log(EventType.AGENT_UPDATED, _shown(definition))
    return draft.done(AgentReply(draft.final()))


def pause(view: View, command: Pause, now: int) -> Decision:
    head = known(view.head, command.agent)
    if head.paused:
        return Decision(AgentReply(head))
    draft = Draft(replace(head, paused=True), now)
    draft.log(EventType.AGENT_PAUSED, b"{}")
    return draft.done(AgentReply(draft.final()))


def resume(view: View, command: Resume, now: int) -> Decision:
    head = known(view.head, command.agent)
    if not head.paused:
        return Decision(AgentReply(head))
    draft = Draft(replace(head, paused=False), now)
    draft.log(EventType.AGENT_RESUMED, b"{}")
    first = draft.join_due(view.due, view.next)
    if head.idle:
        draft.start(first, command.starter)
    return draft.done(AgentReply(draft.final()))


def delete(view: View, command: DeleteAgent, now: int) -> Decision:
    """End what runs and what waits, then the log. The owner's fence stays until it says that the code has stopped."""
    head = known(view.head, command.agent)
    _check_not_of_code(head, command.code_agents, "Take it out of the code to delete it.")
    if not command.force:
        _check_idle(head)
    turns = ((loaded(view.turn),) if head.current is not None else ()) + view.waiting
    draft = Draft(head, now)
    request = CancelRequest(command.by, "the agent was deleted")
    for turn in turns:
        draft.end(turn if turn.cancel is not None else replace(turn, cancel=request), CANCELLED)
    draft.change(current=None, queued=0, scheduled=0, begun=head.joined, retry_at=None, deleted_at=now)
    draft.log(EventType.AGENT_DELETED, b"{}")
    cancelling = TurnRef(head.name, head.current) if head.current is not None else None
    return draft.done(AgentReply(draft.final()), cancelling=cancelling)


def restore(view: View, command: Restore, now: int) -> Decision:
    """A deleted agent's numbers jump, too: another may have had its name since."""
    head = view.head
    if head is None:
        raise errors.AgentNotFound(f"There is no agent named {command.agent!r}.")
    last = max(head.latest, now - 1)
    jumped = replace(head, latest=last, skipped=head.skipped + last - head.latest)
    draft = Draft(jumped, now)
    if not head.deleted:
        draft.log(EventType.AGENT_RESTORED, payloads.restored(head.latest))
    return draft.done(AgentReply(draft.final()))


def _check_idle(head: Head) -> None:
    running = int(head.current is not None)
    if running or head.queued or head.scheduled:
        raise errors.AgentBusy(
            f"Agent {head.name!r} has turns: {running} running, {head.queued} queued, {head.scheduled} scheduled. "
            "Add ?force=true to cancel them.",
            running=running, queued=head.queued, scheduled=head.scheduled,
        )  # fmt: skip


def _check_not_of_code(head: Head, code_agents: frozenset[str], advice: str) -> None:
    if head.definition.source == "code" and head.name in code_agents:
        raise errors.CodeAgent(f"Agent {head.name!r} is defined in the code that is served here. {advice}")


def _members(definition: Definition) -> dict[str, Any]:
    """The members of a definition that can change."""
    return {
        "description": definition.description,
        "tools": list(definition.tools),
        "hooks": {type_: list(names) for type_, names in definition.hooks.items()},
        "labels": dict(definition.labels),
    }


def _shown(definition: Definition) -> bytes:
    return payloads.plain(_members(definition))
