"""A Dockerfile as data: its stages, and what each instruction says. Only what this project's own needs."""

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from string import Template


@dataclass(frozen=True, slots=True)
class Instruction:
    """``word`` is in upper case, ``flags`` are those before the text, by their names."""

    word: str
    flags: Mapping[str, str]
    text: str

    @property
    def exec_form(self) -> list[str]:
        """The words of a JSON array. Raises ``ValueError`` for a line that a shell would have to read."""
        words: list[str] = json.loads(self.text)
        return words

    def pairs(self, env: Mapping[str, str]) -> dict[str, str]:
        """``name=value`` pairs, with ``$NAME`` replaced by its value in ``env``."""
        words = shlex.split(Template(self.text).substitute(env))
        return dict(word.split("=", 1) for word in words)


@dataclass(frozen=True, slots=True)
class Stage:
    base: str
    name: str
    instructions: tuple[Instruction, ...]


def parse(text: str) -> list[Stage]:
    found: list[Stage] = []
    for instruction in _instructions(text):
        if instruction.word == "FROM":
            base, _, name = instruction.text.partition(" AS ")
            found.append(Stage(base, name, ()))
        else:
            last = found.pop()
            found.append(Stage(last.base, last.name, (*last.instructions, instruction)))
    return found


def _instructions(text: str) -> Iterator[Instruction]:
    lines = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    for line in lines.replace("\\\n", " ").splitlines():
        if line.strip():
            word, rest = line.split(None, 1)
            flags, said = re.fullmatch(r"((?:--\S+\s+)*)(.*)", rest.strip()).groups()  # type: ignore[union-attr]
            pairs = (flag.removeprefix("--").partition("=") for flag in flags.split())
            yield Instruction(word.upper(), {name: value for name, _, value in pairs}, said)
