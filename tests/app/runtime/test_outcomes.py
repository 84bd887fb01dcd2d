"""How an execution ended, as the turn will say it."""

import asyncio
import json

import pytest

from pygents_app.model import TurnStatus
from pygents_app.runtime.outcomes import (
    MESSAGE_LIMIT,
    OUTPUT_BYTES,
    OUTPUT_VALUES,
    Output,
    Stop,
    ValueRefused,
    outcome_of,
)  # fmt: skip
from pygents_core.errors import HopLimitError, MailboxFullError, TurnTimeoutError


class Unprintable(Exception):
    def __str__(self) -> str:
        raise SystemExit(1)


def error_of(error: BaseException, stop: Stop | None = None) -> dict[str, str]:
    outcome = outcome_of(error, b"1", stop=stop)
    assert (outcome.status, outcome.output) == (TurnStatus.ERROR, None)
    assert outcome.error is not None
    found: dict[str, str] = json.loads(outcome.error)
    return found


def test_completed() -> None:
    outcome = outcome_of(None, b"[1]")
    assert (outcome.status, outcome.output, outcome.error) == (TurnStatus.COMPLETED, b"[1]", None)


def test_timeout_and_cancel() -> None:
    assert outcome_of(TurnTimeoutError(), None, timed_out=True).status is TurnStatus.TIMEOUT
    assert outcome_of(TurnTimeoutError(), None).status is TurnStatus.ERROR  # that of a turn which the tool ran itself
    assert outcome_of(asyncio.CancelledError(), None, stop=Stop.CANCEL).status is TurnStatus.CANCELLED


def test_a_drain_interrupts() -> None:
    assert error_of(asyncio.CancelledError(), Stop.DRAIN)["type"] == "interrupted"


@pytest.mark.parametrize("stop", [None, Stop.CANCEL, Stop.DRAIN])
def test_the_codes_own_error_is_told_whoever_asked_it_to_stop(stop: Stop | None) -> None:
    assert error_of(ValueError("mine"), stop) == {"type": "ValueError", "message": "mine"}


@pytest.mark.parametrize(
    ("error", "type_"),
    [
        (asyncio.CancelledError(), "CancelledError"),
        (TimeoutError("own"), "TimeoutError"),
        (SystemExit(3), "SystemExit"),
        (ValueRefused("too_large", "x"), "too_large"),
        (MailboxFullError("x"), "mailbox_full"),
        (HopLimitError("x"), "HopLimit"),
        (Unprintable(), "Unprintable"),
    ],
)
def test_types(error: BaseException, type_: str) -> None:
    assert error_of(error)["type"] == type_


def test_messages_are_bounded_and_always_json() -> None:
    assert len(error_of(ValueError("x" * 100_000))["message"]) == MESSAGE_LIMIT
    assert error_of(ValueError("\ud800"))["message"] == "\\ud800"
    assert error_of(Unprintable())["message"] == "(the exception's text could not be made)"


class TestOutput:
    def test_of_a_coroutine_is_its_value(self) -> None:
        output = Output(streaming=False)
        assert output.encoded() is None
        output.add(b"null")
        assert output.encoded() == b"null"

    def test_of_a_generator_is_the_list(self) -> None:
        output = Output(streaming=True)
        assert output.encoded() == b"[]"
        output.add(b"1")
        output.add(b"null")
        assert output.encoded() == b"[1,null]"

    def test_too_many_values_are_none(self) -> None:
        output = Output(streaming=True)
        for _ in range(OUTPUT_VALUES):
            output.add(b"1")
        assert output.encoded() is not None
        output.add(b"1")
        assert output.encoded() is None
        output.add(b"1")
        assert output.encoded() is None

    def test_too_many_bytes_are_none(self) -> None:
        output = Output(streaming=True)
        output.add(b"1" * (OUTPUT_BYTES - 2))
        assert output.encoded() is not None
        output.add(b"11")
        assert output.encoded() is None
