"""A headless Chromium as fixtures, for the ``conftest.py`` of folders whose tests look at pages.

A module's at a time: playwright's driver keeps an event loop running in this thread, in which no async test can run.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

PATH = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not PATH.exists():
        pytest.skip(f"needs Chromium at {PATH}")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=PATH, args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    page = browser.new_page()
    yield page
    page.close()
