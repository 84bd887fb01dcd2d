"""The guide's pages: Markdown beside this file, rendered to HTML when a page is first asked for.

Pages are found in a literal table, never by a path of the request's. They link to one another as files do
(``tools.md#locks``), so that they can be read in the repository, too; the HTML has the addresses instead.
"""

import html
import re
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

INDEX = "index"
TITLES = {
    INDEX: "Guide",
    "concepts": "Concepts",
    "tools": "Tools",
    "streaming": "Streaming",
    "http": "HTTP",
    "problems": "Problems",
    "operations": "Operations",
    "security": "Security",
    "deployment": "Deployment",
    "observing": "Observing",
    "runbook": "Runbook",
    "speed": "Speed",
}
"""Every page, in the order in which they are read."""

SHELL = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} · pygents</title>
<link rel="icon" href="../docs.svg">
<link rel="stylesheet" href="../docs.css">
</head>
<body class="guide">
<nav>{nav}</nav>
<main>
{title_line}{contents}{body}</main>
<footer>{onward}</footer>
</body>
</html>
"""

_PAGE_LINK = re.compile(r"([a-z]+)\.md(#.*)?")


class Heading(NamedTuple):
    anchor: str
    text: str


@cache
def page(name: str) -> bytes | None:
    """The page of that name as HTML; None if there is none."""
    if name not in TITLES:
        return None
    source = Path(__file__).with_name(f"{name}.md").read_text("utf-8")
    parser = _parser()
    tokens = parser.parse(source)
    headings = _mark_headings(tokens)
    _mark_links(tokens)
    _mark_cells(tokens)
    title_line, end, body = parser.renderer.render(tokens, parser.options, {}).partition("</h1>\n")
    return SHELL.format(
        title=html.escape(TITLES[name]),
        nav=_nav(name),
        title_line=title_line + end,
        contents=_contents(headings),
        body=body,
        onward=_onward(name),
    ).encode()


def _parser() -> "MarkdownIt":
    """CommonMark with tables, and HTML only as text."""
    from markdown_it import MarkdownIt  # noqa: PLC0415 - only who reads the guide waits for it

    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    rules: dict[str, Any] = parser.renderer.rules  # type: ignore[attr-defined]
    rules["heading_close"] = _close_heading
    rules["table_open"] = lambda *_: '<div class="wide"><table>\n'
    rules["table_close"] = lambda *_: "</table></div>\n"
    return parser


# --- what is added to the tokens -------------------------------------------------------------------------------------


def _mark_headings(tokens: Sequence["Token"]) -> list[Heading]:
    """Give every heading below the title an anchor; those of the second level are returned."""
    found: list[Heading] = []
    for opening, inline in pairwise(tokens):
        if opening.type == "heading_open" and opening.tag != "h1":
            text = "".join(part.content for part in inline.children or ())
            opening.attrSet("id", slug(text))
            if opening.tag == "h2":
                found.append(Heading(slug(text), text))
    return found


def _close_heading(tokens: Sequence["Token"], index: int, *_: object) -> str:
    """With a link to the section that the heading begins, to be copied."""
    anchor, tag = tokens[index - 2].attrGet("id"), tokens[index].tag
    link = f' <a class="anchor" href="#{anchor}" aria-label="Link to this section">#</a>' if anchor else ""
    return f"{link}</{tag}>\n"


def slug(text: str) -> str:
    """The anchor of a heading: as on the sites that show Markdown files, so that links work in both places."""
    return re.sub(r"[^\w-]", "", text.strip().lower().replace(" ", "-"))


def _mark_links(tokens: Sequence["Token"]) -> None:
    for link in (part for token in tokens for part in token.children or () if part.type == "link_open"):
        link.attrSet("href", address(str(link.attrs["href"])))


def _mark_cells(tokens: Sequence["Token"]) -> None:
    """Tell every cell its column's title, for screens that are too narrow for columns; of two columns none needs it."""
    titles: list[str] = []
    column = 0
    for opening, inline in pairwise(tokens):
        if opening.type == "thead_open":
            titles = []
        elif opening.type == "th_open":
            titles.append(inline.content)
        elif opening.type == "tr_open":
            column = 0
        elif opening.type == "td_open":
            if titles[column] and len(titles) > 2:
                opening.attrSet("data-label", titles[column])
            column += 1


def address(href: str) -> str:
    """Where a link of a page leads when it is served; those to other places stay as they are."""
    to = _PAGE_LINK.fullmatch(href)
    return f"{_path(to[1])}{to[2] or ''}" if to and to[1] in TITLES else href


def _path(name: str) -> str:
    return "./" if name == INDEX else name


# --- around the text -------------------------------------------------------------------------------------------------


def _nav(current: str) -> str:
    links = [_link(_path(name), title, current=name == current) for name, title in TITLES.items()]
    return "".join(['<a class="brand" href="./">pygents</a>', *links, _link("../docs", "API")])


def _contents(headings: Sequence[Heading]) -> str:
    if not headings:
        return ""
    items = "".join(f"<li>{_link(f'#{heading.anchor}', heading.text)}</li>" for heading in headings)
    return f'<details class="contents"><summary>On this page</summary><ul>{items}</ul></details>\n'


def _onward(current: str) -> str:
    names = list(TITLES)
    following = names.index(current) + 1
    return f"Next: {_link(_path(names[following]), TITLES[names[following]])}" if following < len(names) else ""


def _link(href: str, text: str, *, current: bool = False) -> str:
    marked = ' aria-current="page"' if current else ""
    return f'<a href="{html.escape(href)}"{marked}>{html.escape(text)}</a>'
