"""What a served process logs: all who log do it in one form, and each line of a turn says whose it is."""

import json
import logging
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from pygents_app.logs.stderr import log_to_stderr
from tests.helpers import eventually_sync
from tests.service import Service, serving

AGENTS = '''
import asyncio
import logging
import threading
import warnings

from pygents_core import Agent, tool
{extra}
log = logging.getLogger("mine")


@tool()
async def talk(text: str) -> None:
    """Log in every way there is."""
    log.info("from the tool")
    await asyncio.to_thread(log.info, "from a thread")
    await asyncio.create_task(aside())
    warnings.warn("from python", stacklevel=1)
    Unfinished()
    thread = threading.Thread(target=lambda: [].pop())
    thread.start()
    thread.join()


class Unfinished:
    def __del__(self) -> None:
        raise KeyError("in a finalizer")


async def aside() -> None:
    log.info("from a task")


@tool()
async def fail(text: str) -> None:
    """Raise."""
    raise ValueError(text)


@tool()
async def leave(text: str) -> None:
    """Leave a task behind."""
    asyncio.get_running_loop().leftover = asyncio.create_task(asyncio.sleep(60), name="leftover")


Agent("talker", "Talks.", [talk, fail, leave])
'''
CANARY = "canary-4711"


def started(folder: Path, *, extra: str = "", **settings: object) -> AbstractContextManager[Service]:
    (folder / "mine.py").write_text(AGENTS.replace("{extra}", extra))
    return serving(folder, "mine.py", settings=settings)


def post(service: Service, tool: str, *, request_id: str = "r-1") -> Any:
    headers = {"Prefer": "wait=20", "X-Request-Id": request_id, "X-API-Key": CANARY}
    body = {"tool": tool, "kwargs": {"text": CANARY}, "metadata": {"secret": CANARY}}
    address = f"{service.url}/agents/talker/turns"
    answer = httpx.post(address, json=body, headers=headers, trust_env=False, timeout=30)
    assert answer.status_code == 200, answer.text
    return answer.json()


def lines_of(service: Service) -> list[dict[str, Any]]:
    return [json.loads(line) for line in service.log.splitlines()]


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with started(tmp_path_factory.mktemp("json"), log_format="json") as service:
        yield service


class TestForPrograms:
    def test_every_line_is_json_from_the_first_to_the_last(self, tmp_path: Path) -> None:
        with started(tmp_path, log_format="json") as service:
            post(service, "talk")
            service.stop()
            lines = lines_of(service)
        assert {"uvicorn", "pygents", "mine", "py.warnings", "pygents.access"} <= {line["logger"] for line in lines}
        assert any(line["message"].startswith("serves mine.py on http") for line in lines)
        (ended,) = [line for line in lines if line["message"].startswith("thread ")]
        assert ended["exception"].endswith("IndexError: pop from empty list")
        assert any(line.get("exception", "").endswith("KeyError: 'in a finalizer'") for line in lines)

    def test_what_a_turn_logs_says_whose_it_is(self, programs: Service) -> None:
        turn = post(programs, "talk")
        lines = [line for line in lines_of(programs) if line.get("turn") == turn["id"]]
        said = {line["message"]: (line["agent"], line.get("attempt"), line.get("request")) for line in lines}
        for text in ("from the tool", "from a thread", "from a task"):
            assert said[text] == ("talker", 1, "r-1")
        assert any("from python" in text for text in said)

    def test_so_does_what_is_logged_about_it(self, programs: Service) -> None:
        turn = post(programs, "leave")
        (line,) = [line for line in lines_of(programs) if "leaves tasks behind" in line["message"]]
        assert (line["agent"], line["turn"], line["attempt"]) == ("talker", turn["id"], 1)
        assert line["request"] == "r-1"

    def test_the_request_leads_to_its_turn(self, programs: Service) -> None:
        turn = post(programs, "talk", request_id="r-2")

        def access() -> dict[str, Any] | None:
            lines = (line for line in lines_of(programs) if line.get("request") == "r-2")
            return next((line for line in lines if "route" in line), None)

        line = eventually_sync(access)
        assert line is not None
        assert (line["agent"], line["turn"], line["status"]) == ("talker", turn["id"], 200)
        assert line["route"] == "/agents/{name}/turns"

    def test_arguments_and_keys_are_not_logged(self, programs: Service) -> None:
        post(programs, "talk")
        post(programs, "fail")
        httpx.get(f"{programs.url}/agents?ticket={CANARY}", trust_env=False)
        assert CANARY not in programs.log


class TestForPeople:
    def test_the_default(self, tmp_path: Path) -> None:
        with started(tmp_path) as service:
            turn = post(service, "talk")
            log = service.log
        marks = rf"\[agent=talker turn={turn['id']} attempt=1 request=r-1\]"
        assert re.search(rf"^[\d-]+ [\d:,]+ INFO     mine: from the tool {marks}$", log, re.MULTILINE)
        assert re.search(r"^[\d-]+ [\d:,]+ INFO     uvicorn: Started", log, re.MULTILINE)
        assert "Try it:" in log

    def test_the_traceback_of_a_tool_for_those_who_want_it(self, tmp_path: Path) -> None:
        with started(tmp_path, log="debug") as service:
            turn = post(service, "fail")
            assert turn["error"] == {"type": "ValueError", "message": CANARY}
            marks = rf"\[agent=talker turn={turn['id']} attempt=1 request=r-1\]"
            assert re.search(rf"ends as an error {marks}\n    Traceback", service.log)
            assert 'mine.py", line' in service.log


OWN = """
logging.basicConfig(format="OWN %(name)s %(message)s", level="INFO")
"""


def test_what_the_users_code_has_set_up_stays(tmp_path: Path) -> None:
    with started(tmp_path, extra=OWN, log_format="json") as service:
        post(service, "talk")
        log = service.log
    assert "\nOWN mine from the tool\n" in log
    assert "\nOWN uvicorn.error Started" in "\n" + log
    assert '"logger"' not in log
    assert "OWN pygents the code that is served has set logging up: PYGENTS_LOG_FORMAT is without effect" in log


@contextmanager
def without_set_up() -> Iterator[logging.Logger]:
    """The root logger without what pytest has added; Python's own state is as before afterwards."""
    root, httpx_log = logging.getLogger(), logging.getLogger("httpx")
    hooks = threading.excepthook, sys.unraisablehook
    kept, levels = root.handlers[:], (root.level, httpx_log.level)
    root.handlers[:] = []
    httpx_log.setLevel(logging.NOTSET)
    try:
        yield root
    finally:
        root.handlers[:] = kept
        logging.captureWarnings(False)
        root.setLevel(levels[0])
        httpx_log.setLevel(levels[1])
        threading.excepthook, sys.unraisablehook = hooks


class TestSettingUp:
    def test_of_at_least_that_level(self, capsys: pytest.CaptureFixture[str]) -> None:
        with without_set_up():
            log_to_stderr("warning", "console")
            logging.getLogger("mine").info("left out")
            logging.getLogger("mine").warning("told")
        told = capsys.readouterr().err
        assert "told" in told
        assert "left out" not in told

    def test_httpx_says_no_addresses(self) -> None:
        with without_set_up():
            log_to_stderr("debug", "console")
            assert logging.getLogger("httpx").getEffectiveLevel() == logging.WARNING

    def test_a_set_up_of_the_users_is_left_alone(self) -> None:
        with without_set_up() as root:
            own, hook = logging.NullHandler(), threading.excepthook
            root.addHandler(own)
            log_to_stderr("info", "json")
            assert root.handlers == [own]
            assert threading.excepthook is hook
