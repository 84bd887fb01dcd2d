"""Attacks of all classes, many at once; what got through, and what was answered."""

import asyncio
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from time import monotonic

from pygents_app.explanations.catalogue import find
from tests.attacks.target import Target
from tests.attacks.weapons import WEAPONS, Attack
from tests.attacks.wire import Answer, Exchange, exchange
from tests.conformance.checker import LEAKS
from tests.helpers import eventually

AT_ONCE = 24
ENOUGH = 20
"""Findings after which there is no use in going on."""


@dataclass
class Report:
    """``answers`` are statuses by class; ``through`` says what should not have been, and how to do it again."""

    attacks: Counter[str] = field(default_factory=Counter)
    answers: dict[str, Counter[str]] = field(default_factory=dict)
    through: list[str] = field(default_factory=list)
    grown: int = 0


async def campaign(target: Target, seed: str, *, seconds: float, most: int | None = None) -> Report:
    """Attack for so long, or so often."""
    report, until, numbers = Report(), monotonic() + seconds, iter(range(most or 10**9))
    classes = [name for name, (_, _, weight) in WEAPONS.items() for _ in range(weight)]

    async def attacker() -> None:
        for number in numbers:
            if monotonic() > until or len(report.through) >= ENOUGH:
                return
            name = classes[number % len(classes)]
            await _one(target, name, f"{seed}/{number}", report)

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(attacker())
    report.grown = target.grown
    with suppress(AssertionError):  # which ``harm`` tells
        await eventually(target.is_closed, timeout=30)
    report.through += target.harm()
    return report


async def _one(target: Target, name: str, seed: str, report: Report) -> None:
    attack = WEAPONS[name][0](Random(f"{seed}/{name}"), target)
    exchanged = await exchange(target.service.port, attack.pieces, patience=0.05 if attack.left else 30)
    found = findings(attack, exchanged, target)
    report.attacks[name] += 1
    report.through += [
        f"{name} {seed}: {what}\n  {attack.pieces!r:.2000}\n  {exchanged.received!r:.2000}" for what in found
    ]
    statuses = report.answers.setdefault(name, Counter())
    statuses[str(_statuses(exchanged) or "closed")] += 1


def _statuses(exchanged: Exchange) -> str:
    try:
        return " ".join(str(answer.status) for answer in exchanged.answers)
    except ValueError:
        return "nonsense"


def findings(attack: Attack, exchanged: Exchange, target: Target) -> list[str]:
    """What is wrong with how an attack was answered."""
    found = [f"it shows {secret.decode()}" for secret in target.secrets.hidden if secret in exchanged.received]
    if attack.left:
        return found
    try:
        answers = exchanged.answers
    except ValueError as error:
        return [*found, str(error)]
    is_stream = any(answer.headers.get(b"content-type", b"").startswith(b"text/event-stream") for answer in answers)
    if not exchanged.ended and not is_stream:
        found.append("the connection was left open")
    if len(answers) > attack.most or (not answers and not attack.silent):
        found.append(f"there were {len(answers)} answers")
    return found + [what for answer in answers for what in _wrong(answer, attack)]


def _wrong(answer: Answer, attack: Attack) -> list[str]:
    if answer.status not in attack.allowed:
        return [f"it was answered {answer.status}"]
    if answer.status < 400:
        return []
    found = []
    if (leak := LEAKS.search(answer.body.decode(errors="replace"))) is not None:
        found.append(f"it tells of {leak[0]!r}")
    if answer.headers.get(b"content-type") != b"application/problem+json":
        found.append("it is no problem")
    elif answer.body and not any(find(name) for name in _types(answer.body)):
        found.append("it is a problem that is not explained")
    return found


def _types(body: bytes) -> list[str]:
    return [part.partition(b'"')[0].decode() for part in body.split(b'"type":"')[1:]]
