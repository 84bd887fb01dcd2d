"""Named places where a test can make the service die, stop, wait or fail: off unless ``PYGENTS_FAILPOINTS`` arms them.

    PYGENTS_FAILPOINTS="seed=7,after-commit-before-answer=kill@3,before-commit=sleep(0.2)%0.1"

``@3``: at the third time that the place is passed; ``%0.1``: each time with that chance, drawn from the seed; neither:
each time. Where a place is passed stands ``if failpoints.ARMED: failpoints.hit(name)``, which costs nothing worth
mentioning when it is off. The model is etcd's gofail and the failpoints of FreeBSD's fail(9).
"""

import logging
import os
import random
import re
import signal
import threading
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple, NoReturn

from .errors import StartupError

log = logging.getLogger("pygents.failpoints")

VARIABLE = "PYGENTS_FAILPOINTS"
ARMED = bool(os.environ.get(VARIABLE))
"""Read once, when the process starts; ``arm`` sets it, too."""


class Point(NamedTuple):
    """``raises``: whether an error can come from this place at all, so that ``raise`` imitates something real."""

    meaning: str
    raises: bool = False


POINTS: Mapping[str, Point] = {
    "before-transaction": Point("a batch of commands is about to be decided; nothing is written", raises=True),
    "before-commit": Point("everything of a transaction is written, COMMIT and its fsync are not done", raises=True),
    "after-commit": Point("COMMIT, and with it the fsync, has just returned; nobody knows yet"),
    "after-end-before-wake": Point("the end of a turn is committed; neither readers nor runners were told"),
    "after-commit-before-answer": Point("a commit was told to readers and runners; its callers have no answer"),
    "after-begin": Point("the begin of an attempt is committed; its runner has not started"),
    "mid-tool": Point("the tool was entered and is in its first await, or has ended without one"),
    "before-append": Point("values were yielded; the command that logs them is not handed over"),
    "in-migration": Point("a step of the schema is written and not committed", raises=True),
    "before-recovery": Point("the turns of a former process are about to be recovered", raises=True),
    "in-recovery": Point("one agent of a former process is recovered, others may not be", raises=True),
    "in-purge": Point("rows of a deleted agent are deleted, that is not committed", raises=True),
    "in-close": Point("the drain is over; the file is about to be checkpointed and closed"),
}
"""All places. A literal, so that a misspelt name is found when the process starts."""

_ORDER = re.compile(
    r"(?P<point>[a-z-]+)=(?P<action>kill|exit|raise|sleep)(?:\((?P<seconds>\d+(?:\.\d+)?)\))?"
    r"(?:@(?P<nth>[1-9]\d*)|%(?P<chance>[01](?:\.\d+)?))?"
)


class Order(NamedTuple):
    """What to do at a point. ``nth`` 0: not at one certain time, but each time with ``chance``."""

    point: str
    action: str
    seconds: float = 0.0
    nth: int = 0
    chance: float = 1.0


class Plan:
    """The orders of one process, with how often each place was passed. Any thread may pass one."""

    def __init__(self, orders: Mapping[str, Order], seed: str) -> None:
        self._orders = orders
        self._dice = {point: random.Random(f"{seed}:{point}") for point in orders}
        self._passed = dict.fromkeys(orders, 0)
        self._gate = threading.Lock()

    def due(self, point: str) -> Order | None:
        """Count that the place was passed; the order, if it is to be carried out now."""
        order = self._orders.get(point)
        if order is None:
            return None
        with self._gate:
            self._passed[point] += 1
            due = self._passed[point] == order.nth if order.nth else self._dice[point].random() < order.chance
        return order if due else None


_plan = Plan({}, "")


def parse(text: str) -> Plan:
    """Raises ``StartupError``, in one line, for an unknown place or action."""
    seed, orders = "0", {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        if part.startswith("seed="):
            seed = part.removeprefix("seed=")
            continue
        order = _order(part)
        orders[order.point] = order
    return Plan(orders, seed)


def arm(text: str | None = None) -> None:
    """Put the orders in ``text`` (None: of the environment variable) into force. Raises ``StartupError``."""
    global _plan, ARMED  # noqa: PLW0603
    text = os.environ.get(VARIABLE, "") if text is None else text
    _plan = parse(text)
    ARMED = bool(text)
    if ARMED:
        log.warning("failpoints are armed: %s", text)


def hit(point: str) -> None:
    """The place is passed. May not return, or raise what a database raises that cannot be written."""
    order = _plan.due(point)
    if order is not None:
        _ACTIONS[order.action](order)


def _order(part: str) -> Order:
    found = _ORDER.fullmatch(part)
    if found is None:
        raise StartupError(f"{VARIABLE} has {part!r}; write point=kill@3, =exit, =raise%0.1 or =sleep(0.5).")
    point, action = found["point"], found["action"]
    if point not in POINTS:
        raise StartupError(f"{VARIABLE} names {point!r}, which is no failpoint. Those are: {', '.join(POINTS)}.")
    if action == "raise" and not POINTS[point].raises:
        raise StartupError(f"{VARIABLE} has {part!r}, but nothing that could fail happens at {point}.")
    chance = float(found["chance"] or 1)
    return Order(point, action, float(found["seconds"] or 0), int(found["nth"] or 0), chance)


def _kill(order: Order) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _exit(order: Order) -> None:
    os._exit(1)


def _sleep(order: Order) -> None:
    time.sleep(order.seconds)


def _raise(order: Order) -> NoReturn:
    from sqlite3 import OperationalError  # noqa: PLC0415 (a service without failpoints does not load it here)

    raise OperationalError(f"failpoint {order.point}")


_ACTIONS: Mapping[str, Callable[[Order], None]] = {"kill": _kill, "exit": _exit, "sleep": _sleep, "raise": _raise}
