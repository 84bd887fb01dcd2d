"""The guide as pages: what is rendered, where its links lead, and what is not served."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from starlette.testclient import TestClient

from pygents_app.api.install import Application
from pygents_app.guide import pages

FOLDER = Path(pages.__file__).parent
LINK = re.compile(r'(?:href|src)="([^"]*)"')
ANCHOR = re.compile(r' id="([^"]*)"')


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    """The routes alone; these pages need no services."""
    with TestClient(Application(), base_url="http://127.0.0.1") as client:
        yield client  # type: ignore[misc]


def html(name: str) -> str:
    page = pages.page(name)
    assert page is not None
    return page.decode()


class TestPages:
    def test_every_file_is_a_page_and_every_page_a_file(self) -> None:
        assert {path.stem for path in FOLDER.glob("*.md")} == set(pages.TITLES)

    @pytest.mark.parametrize("name", pages.TITLES)
    def test_the_title_is_that_of_the_text(self, name: str) -> None:
        assert f"<h1>{pages.TITLES[name]}</h1>" in html(name)

    @pytest.mark.parametrize("name", pages.TITLES)
    def test_links_lead_somewhere(self, name: str, client: httpx.Client) -> None:
        for link in LINK.findall(html(name)):
            address, _, anchor = link.partition("#")
            answer = client.get(f"/guide/{'' if name == pages.INDEX and not address else address or name}")
            assert answer.status_code == 200, link
            assert not anchor or anchor in ANCHOR.findall(answer.text), link

    @pytest.mark.parametrize("name", pages.TITLES)
    def test_nothing_comes_from_elsewhere_and_nothing_is_executed(self, name: str) -> None:
        """Neither does the policy allow it. Code is text: that of the browser's examples, too."""
        assert not [link for link in LINK.findall(html(name)) if ":" in link]
        assert not re.search(r"<script|\sstyle=|\son\w+=", html(name))

    def test_a_page_is_rendered_once(self) -> None:
        assert pages.page("tools") is pages.page("tools")

    def test_anchors_are_unique(self) -> None:
        assert {name: len(ANCHOR.findall(html(name))) for name in pages.TITLES} == {
            name: len(set(ANCHOR.findall(html(name)))) for name in pages.TITLES
        }

    @pytest.mark.parametrize(
        ("href", "address"),
        [
            ("tools.md", "tools"),
            ("tools.md#locks-and-timeouts", "tools#locks-and-timeouts"),
            ("index.md", "./"),
            ("#here", "#here"),
            ("../docs", "../docs"),
            ("unknown.md", "unknown.md"),
        ],
    )
    def test_links_between_files_become_addresses(self, href: str, address: str) -> None:
        assert pages.address(href) == address

    @pytest.mark.parametrize(
        ("heading", "anchor"), [("What not to do", "what-not-to-do"), ("The key, hosts & `x`", "the-key-hosts--x")]
    )
    def test_anchors_are_those_of_sites_that_show_files(self, heading: str, anchor: str) -> None:
        assert pages.slug(heading) == anchor

    def test_the_renderer_is_not_loaded_before_it_is_needed(self) -> None:
        code = "import sys, pygents_app.api.install; sys.exit('markdown_it' in sys.modules)"
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


class TestHttp:
    def test_it_is_html_under_a_policy(self, client: httpx.Client) -> None:
        answer = client.get("/guide/")
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        policy = answer.headers["content-security-policy"].split("; ")
        assert {"default-src 'self'", "frame-ancestors 'none'"} <= set(policy)
        assert answer.headers["referrer-policy"] == "same-origin"
        assert answer.headers["cross-origin-opener-policy"] == "same-origin"

    @pytest.mark.parametrize(
        "path",
        [
            "/guide", "/guide/unknown", "/guide/tools.md", "/guide/tools/", "/guide/%2e%2e%2fapi%2fdocs.py",
            "/guide/..%2f..%2fpyproject.toml", "/guide/pages.py", "/guide/TOOLS", "/guide/tools%00",
            "/guide/%2Fetc%2Fpasswd",
        ],
    )  # fmt: skip
    def test_nothing_else_is_there(self, path: str, client: httpx.Client) -> None:
        answer = client.get(path, follow_redirects=False)
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")

    def test_it_is_read_only(self, client: httpx.Client) -> None:
        answer = client.post("/guide/")
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")

    def test_it_is_not_in_the_description(self, client: httpx.Client) -> None:
        assert not [path for path in client.get("/openapi.json").json()["paths"] if path.startswith("/guide")]

    def test_the_docs_lead_to_it(self, client: httpx.Client) -> None:
        assert 'href="guide/"' in client.get("/docs").text
