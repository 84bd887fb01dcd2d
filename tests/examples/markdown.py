"""The code blocks of a Markdown file, by language, in their order."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(name: str, language: str) -> list[str]:
    """Those of the file ``name`` of the tree. There is at least one, or the file has changed and its test has not."""
    found = [code for of, code in BLOCK.findall((ROOT / name).read_text()) if of == language]
    assert found, f"{name} has no block of {language}"
    return found
