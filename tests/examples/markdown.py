"""The code blocks of a Markdown file, in their order."""

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAME = re.compile(r"(?:#|//) ([\w.-]+\.\w+)\n")


class Block(NamedTuple):
    """``file``: the name that the block's first line gives it, in a comment; a block without is run, or is output."""

    where: str
    language: str
    code: str

    @property
    def file(self) -> str | None:
        name = NAME.match(self.code)
        return name[1] if name else None


def blocks(name: str) -> list[Block]:
    """Those of the file ``name`` of the tree."""
    text = (ROOT / name).read_text()
    found = BLOCK.finditer(text)
    return [Block(f"{name}:{text[: match.start()].count(chr(10)) + 1}", match[1], match[2]) for match in found]
