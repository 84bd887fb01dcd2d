"""README.md and the guide: every page is read from its first line, and every code block does what the page says."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from playwright.sync_api import Page

from pygents_app.guide.pages import TITLES
from tests.examples.markdown import blocks
from tests.examples.session import Session

PAGES = ("README.md", *(f"app/guide/{name}.md" for name in TITLES))

NOT_RUN: Mapping[str, str] = {
    "python3 -m venv .venv": "installs from a registry; `make test` and the wheel's check in .ci/run do the same",
    "PYGENTS_ADMIN_KEY=correct-horse-battery docker compose up --build": "needs an engine; the image has tests",
    "scrape_configs:": "Prometheus is not among what the tests need",
}
"""The first lines of blocks that are not run, and why."""


def _has_scripts(name: str) -> bool:
    return any(block.language in {"html", "js"} for block in blocks(name))


@pytest.mark.parametrize("name", [name for name in PAGES if not _has_scripts(name)])
def test_a_page_says_what_is_true(name: str, tmp_path: Path) -> None:
    read(name, Session(tmp_path))


@pytest.mark.browser
@pytest.mark.parametrize("name", [name for name in PAGES if _has_scripts(name)])
def test_a_page_with_scripts_says_what_is_true(name: str, tmp_path: Path, page: Page) -> None:
    read(name, Session(tmp_path, page))


def read(name: str, session: Session) -> None:
    try:
        for block in blocks(name):
            if block.code.splitlines()[0] not in NOT_RUN:
                session.do(block)
        session.check()
    finally:
        session.end()


def test_what_is_not_run_is_there() -> None:
    """Or the list would grow and nobody would notice."""
    first = {block.code.splitlines()[0] for page in PAGES for block in blocks(page)}
    assert first >= NOT_RUN.keys()
