"""Which of some texts answers a question best: Okapi BM25 (Robertson and Zaragoza, 2009), without an index."""

import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

SATURATION, LENGTH_WEIGHT = 1.2, 0.75
"""BM25's k1 and b, with the values that are usual."""


class Found(NamedTuple):
    """``position`` among the texts; ``why`` names the words of the question that it has, the most telling first."""

    position: int
    score: float
    why: str


COMMON = frozenset(
    """
    a an and are as at be but by can do does for from had has have how i if in is it its my no not of on or so that the
    their then there they this to was we what when where which who why will with you your
    """.split()  # noqa: SIM905 - as a list it would be a page long
)
"""Words that tell nothing about what a text is about."""


def words_of(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text.lower())


def rank(question: str, texts: Sequence[str]) -> list[Found]:
    """The texts that have a word of the question, best first."""
    bags = [Counter(words_of(text)) for text in texts]
    lengths = [sum(bag.values()) for bag in bags]
    mean = sum(lengths) / len(lengths) if lengths else 0.0
    weights = {word: _rarity(word, bags) for word in dict.fromkeys(words_of(question)) if word not in COMMON}
    found = []
    for position, (bag, length) in enumerate(zip(bags, lengths, strict=True)):
        scores = {word: weight * _frequency(bag[word], length / mean) for word, weight in weights.items() if bag[word]}
        if scores:
            telling = sorted(scores, key=lambda word: -scores[word])
            found.append(Found(position, sum(scores.values()), "has " + ", ".join(repr(word) for word in telling)))
    return sorted(found, key=lambda each: -each.score)


def _rarity(word: str, bags: Sequence[Counter[str]]) -> float:
    """A word that few texts have tells more (inverse document frequency)."""
    having = sum(word in bag for bag in bags)
    return math.log(1 + (len(bags) - having + 0.5) / (having + 0.5))


def _frequency(count: int, relative_length: float) -> float:
    """More of a word tells more, but less and less so; and less in a long text."""
    return count * (SATURATION + 1) / (count + SATURATION * (1 - LENGTH_WEIGHT + LENGTH_WEIGHT * relative_length))
