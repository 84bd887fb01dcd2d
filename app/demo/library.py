"""Two agents that work together: a reader that sends what it reads to a librarian, who remembers and finds it again."""

import re
from collections import Counter
from collections.abc import AsyncIterator
from typing import Annotated, Any

from pydantic import Field

from pygents_core import Agent, Turn, WorkingMemory, current_agent, tool

from .ranking import rank, words_of

PASSAGES = 500
"""How many passages the librarian remembers; the oldest are forgotten first."""

WORDS_PER_MINUTE = 240

CODE_BLOCK = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
"""Markdown's fenced code is not read."""

PARAGRAPH_END = re.compile(r"\n\s*\n|\n(?=[|-] ?)")
"""A blank line; rows of tables and items of lists are paragraphs of their own."""


@tool()
async def read(text: Annotated[str, Field(min_length=1)], source: str = "text") -> AsyncIterator[dict[str, Any]]:
    """Read a text: tell facts about each paragraph, and send it to the librarian.

    Args:
        text: Plain text or Markdown; blank lines separate paragraphs.
        source: Where the text is from, to be told with each passage that is found.
    """
    paragraphs = [part.strip() for part in PARAGRAPH_END.split(CODE_BLOCK.sub("", text)) if part.strip()]
    for number, paragraph in enumerate(paragraphs, start=1):
        passage = {"source": source, "paragraph": number, "text": paragraph}
        await current_agent().send_turn("librarian", Turn("keep", kwargs={"passage": passage}))
        yield {"paragraph": number, "of": len(paragraphs)} | _facts(paragraph)


def _facts(paragraph: str) -> dict[str, Any]:
    words = words_of(paragraph)
    frequent = Counter(word for word in words if len(word) > 4).most_common(3)
    return {
        "words": len(words),
        "seconds_to_read": round(60 * len(words) / WORDS_PER_MINUTE, 1),
        "about": [word for word, _ in frequent],
        "begins": paragraph[:60],
    }


@tool()
async def keep(passage: dict[str, Any], memory: WorkingMemory) -> int:
    """Remember a passage; a passage that is known already is not kept twice.

    Args:
        passage: An object with `source`, `paragraph` and `text`.
    """
    if passage not in memory.items:
        memory.append(passage)
    return len(memory)


@tool()
async def search(
    question: str, memory: WorkingMemory, best: Annotated[int, Field(ge=1, le=20)] = 3
) -> list[dict[str, Any]]:
    """Find the passages that answer a question best, and say why.

    Args:
        question: In plain words.
        best: How many passages at most.
    """
    passages = memory.items
    ranked = rank(question, [passage["text"] for passage in passages])[:best]
    return [{**passages[found.position], "score": round(found.score, 2), "why": found.why} for found in ranked]


reader = Agent("reader", "Reads texts and sends each paragraph to the librarian", [read])
librarian = Agent(
    "librarian", "Remembers passages and finds them again", [keep, search], memory=WorkingMemory(PASSAGES)
)
