"""The guide in Chromium: it fits on a telephone, in both colour schemes, and breaks no policy."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from pygents_app.guide.pages import INDEX, TITLES
from tests.service import Service, serving

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("guide"), "--demo") as service:
        yield service


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_fits(demo: Service, browser: Browser, scheme: str, width: int) -> None:
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)  # type: ignore[arg-type]
    refused: list[str] = []
    page.on("console", lambda message: refused.append(message.text) if "Security Policy" in message.text else None)
    for name in TITLES:
        page.goto(f"{demo.url}/guide/{'' if name == INDEX else name}")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        text, background = map(_brightness, page.evaluate(COLOURS))
        assert abs(text - background) > 500, (name, text, background)
        assert (background > text) == (scheme == "light"), name
    assert not refused
    page.close()


def test_its_links_are_followed(demo: Service, browser: Browser) -> None:
    page = browser.new_page()
    page.goto(f"{demo.url}/docs")
    page.click("text=guide")
    assert page.url == f"{demo.url}/guide/"
    page.click("nav >> text=Tools")
    page.click("summary")
    page.click("details >> text=Locks and timeouts")
    assert page.url == f"{demo.url}/guide/tools#locks-and-timeouts"
    page.click("nav >> text=API")
    assert page.url == f"{demo.url}/docs"
    page.close()


COLOURS = """() => {
    document.body.style.backgroundColor = 'Canvas'
    const { color, backgroundColor } = getComputedStyle(document.body)
    return [color, backgroundColor]
}"""
"""Of the text and of the page behind it, as ``rgb(18, 18, 18)``."""


def _brightness(colour: str) -> int:
    return sum(map(int, re.findall(r"\d+", colour)[:3]))
