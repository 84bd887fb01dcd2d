"""What happens is told to those who asked for its kind, and costs whoever tells it nothing but time."""

import pytest

from pygents_app.telemetry import Committed, Entered, Happening, Telemetry


def test_to_those_who_asked_for_it() -> None:
    telemetry, heard = Telemetry(), list[Happening]()
    telemetry.attach(Entered, heard.append)
    telemetry.attach(Entered, heard.append)
    telemetry.emit(Committed(1, 0.1))
    telemetry.emit(Entered(0.1))
    assert heard == [Entered(0.1)] * 2


def test_a_handler_that_fails_fails_nobody(caplog: pytest.LogCaptureFixture) -> None:
    telemetry, heard = Telemetry(), list[Happening]()

    def fail(_: Entered) -> None:
        raise RuntimeError("no")

    telemetry.attach(Entered, fail)
    telemetry.attach(Entered, heard.append)
    telemetry.emit(Entered(0.1))
    assert heard
    assert "a handler of Entered failed" in caplog.text
