"""The API page in Chromium: what it says of the operations, that it fits, and that it breaks no policy."""

import json
import shlex
import subprocess
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page

from tests.service import Service, serving

pytestmark = pytest.mark.browser

OPEN_ALL = """() => {
    const folded = [...document.querySelectorAll('details:not([open])')]
    folded.forEach(each => { each.open = true })
    return folded.length
}"""


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("docs"), "--demo") as service:
        yield service


@pytest.fixture
def submit(demo: Service, page: Page) -> Locator:
    """The operation ``submitTurn``, opened by its address."""
    page.goto(f"{demo.url}/docs#submitTurn")
    found = page.locator("#submitTurn[open]")
    found.wait_for()
    return found


def entry(operation: Locator, name: str) -> tuple[str, str]:
    """The type of a parameter or member, and what is said of it."""
    term = operation.locator(f"dt:has(> code:text-is('{name}'))").first
    return term.inner_text(), term.locator("+ dd").inner_text()


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_with_all_unfolded(demo: Service, browser: Browser, scheme: str, width: int) -> None:
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)  # type: ignore[arg-type]
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(f"{demo.url}/docs")
    page.wait_for_selector(".operation")
    while page.evaluate(OPEN_ALL):
        page.wait_for_timeout(20)  # what is unfolded is filled in an event of its own
    assert page.locator("dt").count() > 500
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert not said
    page.close()


def test_every_operation_is_there(demo: Service, page: Page) -> None:
    page.goto(f"{demo.url}/docs")
    page.wait_for_selector(".operation")
    paths = page.evaluate("fetch('openapi.json').then(answer => answer.json()).then(document => document.paths)")
    names = {its["operationId"]: its["summary"] for path in paths.values() for its in path.values()}
    shown = page.locator(".operation")
    assert {shown.nth(index).get_attribute("id") for index in range(shown.count())} == set(names)
    assert set(page.locator(".operation > summary .does").all_inner_texts()) == set(names.values())


def test_parameters_and_members_have_types_and_bounds(submit: Locator) -> None:
    assert entry(submit, "on_disconnect")[0] == "on_disconnect string query"
    assert entry(submit, "name")[1].endswith("pattern ^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")
    assert entry(submit, "tool")[0] == "tool string required"
    assert "1 to 256 characters" in entry(submit, "tool")[1]
    type_, said = entry(submit, "timeout")
    assert (type_, "> 0" in said, "≤ 86,400" in said, "default 60" in said) == ("timeout number", True, True, True)
    assert entry(submit, "delay")[0] == "delay number or null"
    assert "`" not in submit.inner_text()


def test_answers_have_members_and_problems_have_types(submit: Locator) -> None:
    submit.locator(".answer > summary", has_text="202").click()
    accepted = submit.locator(".answer[open]")
    assert entry(accepted, "status")[1] == "one of scheduled, queued, running, completed, timeout, error, cancelled"
    accepted.locator("summary", has_text="TurnError").click()
    assert entry(accepted, "message")[0] == "message string"
    accepted.locator("summary", has_text="202").click()
    submit.locator(".answer > summary", has_text="429").click()
    full = submit.locator(".answer[open]")
    full.get_by_text("urn:pygents:problem:mailbox-full").first.wait_for()  # it is made when it is opened
    assert entry(full, "limit")[0] == "limit integer"
    full.locator("summary", has_text="Example").first.click()
    assert json.loads(full.locator("pre").first.inner_text())["status"] == 429


def test_a_stream_tells_its_frames(demo: Service, page: Page) -> None:
    page.goto(f"{demo.url}/docs#streamAgent")
    page.locator("#streamAgent .answer > summary", has_text="200").click()
    page.locator("#streamAgent summary", has_text="turn.value").click()
    assert entry(page.locator("#streamAgent .members[open]"), "data")[0] == "data JSON text of TurnValueEvent"


def test_a_patch_may_be_plain_json(demo: Service, page: Page) -> None:
    page.goto(f"{demo.url}/docs#patchAgent")
    page.wait_for_selector("#patchAgent[open]")
    said = page.locator("#patchAgent").inner_text()
    assert "application/merge-patch+json: Merge" in said
    assert "It may also be sent as application/json." in said


def test_the_command_is_copied_and_works(browser: Browser, demo: Service) -> None:
    with browser.new_context(permissions=["clipboard-read", "clipboard-write"]) as context:
        page = context.new_page()
        page.goto(f"{demo.url}/docs#submitTurn")
        page.click("#submitTurn[open] >> text=Copy")
        page.wait_for_selector("#submitTurn >> text=Copied")
        line = page.evaluate("navigator.clipboard.readText()")
    answer = subprocess.run(shlex.split(line), capture_output=True, text=True, check=True, timeout=30).stdout
    assert json.loads(answer)["tool"] == "greet"


def test_it_is_used_by_keyboard(demo: Service, page: Page) -> None:
    page.goto(f"{demo.url}/docs")
    page.wait_for_selector(".operation")
    page.locator("#listTools > summary").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("#listTools[open]")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Copy"
