"""When a turn is run again: pure arithmetic on its policy, so that every store and node comes to the same answer."""

import hashlib
import json
from dataclasses import asdict

from pygents_core.tool import Retry

from .model import Outcome, Turn

MICROSECONDS = 1_000_000


def retry_at(turn: Turn, outcome: Outcome, now: int) -> int | None:
    """When the next attempt may begin, in microseconds since the epoch; None if this was the last one.

    What the service itself has interrupted to shut down uses up no attempt and need not wait.
    """
    policy = turn.spec.retry
    if policy is None or turn.cancel is not None or _cause(outcome) not in policy.on:
        return None
    if outcome.spares_attempt:
        return now
    used = turn.attempt - turn.spared
    return now + round(pause(policy, turn.id, used) * MICROSECONDS) if used < policy.max_attempts else None


def is_early(turn: Turn, at: int, now: int) -> bool:
    """Whether the attempt that was set for ``at`` has to wait.

    Further off than the policy's longest pause it was set by a clock that was ahead, and is due.
    """
    policy = turn.spec.retry
    return policy is not None and 0 < at - now <= round(policy.cap * MICROSECONDS)


def pause(policy: Retry, turn_id: str, used: int) -> float:
    """Seconds before the attempt that follows ``used`` ones: exponential, capped, and with jitter its upper half.

    Half of it is certain, the rest random ("equal jitter", M. Brooker, Exponential Backoff And Jitter, AWS 2015). The
    chance is drawn from the turn's id, because decisions must come out the same wherever they are made.
    """
    try:
        longest = min(policy.cap, policy.delay * float(policy.factor) ** (used - 1))
    except OverflowError:
        longest = policy.cap if policy.delay else 0.0
    if not policy.jitter:
        return longest
    drawn = hashlib.blake2b(f"{turn_id}:{used}".encode(), digest_size=8).digest()
    return longest * (0.5 + int.from_bytes(drawn, "big") / 2**65)


def encoded(policy: Retry | None) -> str | None:
    """As JSON, as it is stored and shown."""
    return json.dumps(asdict(policy), separators=(",", ":")) if policy is not None else None


def decoded(text: str | None) -> Retry | None:
    if text is None:
        return None
    members = json.loads(text)
    return Retry(**{**members, "on": tuple(members["on"])})


def _cause(outcome: Outcome) -> str:
    return "interrupted" if outcome.interrupted else outcome.status.value
