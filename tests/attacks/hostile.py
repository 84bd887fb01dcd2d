"""Values that programs stumble over: drawn by dice, so that a seed makes the same ones again."""

import json
from random import Random
from typing import Any

STRINGS = (
    "", " ", "\x00", "a\x00b", "\r\nX: y", "\n\nevent: turn.completed", "\x1b[2J", "\u2028", "\x85", "\ufffe",
    "\U0010ffff",
    "..", "../../etc/passwd", "%2e%2e", "%00", "'; DROP TABLE turns; --", "' OR '1'='1", "<img src=x onerror=alert(1)>",
    "__init__", "os.system", "__import__('os')", "{{7*7}}", "${jndi:ldap://x}", "$dynamic", "-1", "1e999", "NaN",
    "null",
    "a" * 65, "a" * 300, "é" * 100, "code", "admin", "urn:pygents:problem:damaged",
)  # fmt: skip
NUMBERS = (0, -1, 1, 2**31, 2**53 + 1, 2**63, -(2**63), 2**70, 1e308, 5e-324, -0.0, 0.1, 10**18, 1e-9)
RAW = (
    b"NaN", b"-Infinity", b"1e999", b"9" * 5000, b'"\\ud800"', b'{"\\udc00":1}', b'"\xff"', b'"\xed\xa0\x80"',
    b"[" * 900,
    b"[" * 65 + b"]" * 65, b'{"a":' * 100_000, b"[" * 100_000, b'{"a":1,"a":2}', b"01", b"'a'", b"[1,]", b'"\x01"', b"",
    b"{}{}", b"\xef\xbb\xbf{}", b"tru", b'"' + b"x" * 300_000 + b'"', b'{"$dynamic":"os.getcwd"}',
)  # fmt: skip
"""JSON that is none, or that is hard to read."""
VISIBLE = bytes(range(0x20, 0x7F))


def scalar(dice: Random) -> Any:
    return dice.choice((None, True, False, dice.choice(NUMBERS), dice.choice(STRINGS), dice.choice(STRINGS)))


def value(dice: Random, depth: int = 0) -> Any:
    kind = dice.random()
    if depth > 3 or kind < 0.6:
        return scalar(dice)
    if kind < 0.8:
        return [value(dice, depth + 1) for _ in range(dice.randrange(4))]
    return {dice.choice(STRINGS): value(dice, depth + 1) for _ in range(dice.randrange(4))}


def changed(dice: Random, document: Any) -> Any:
    """The document with something in it exchanged, left out or added."""
    if isinstance(document, dict) and document and dice.random() < 0.85:
        name = dice.choice(list(document))
        kind = dice.random()
        if kind < 0.15:
            return {key: each for key, each in document.items() if key != name}
        if kind < 0.3:
            return {**document, dice.choice(STRINGS): value(dice)}
        return {**document, name: changed(dice, document[name])}
    if isinstance(document, list) and document and dice.random() < 0.5:
        place = dice.randrange(len(document))
        return [*document[:place], changed(dice, document[place]), *document[place + 1 :]]
    return value(dice)


def written(dice: Random, document: Any) -> bytes:
    """As JSON, most often; else with some of it replaced by what is none, cut off, or with bytes that were changed."""
    text = json.dumps(document, ensure_ascii=dice.random() < 0.5).encode(errors="surrogatepass")
    kind = dice.random()
    if kind < 0.6:
        return text
    if kind < 0.75:
        inner = json.dumps("code").encode()
        return text.replace(inner, dice.choice(RAW), 1) if inner in text else dice.choice(RAW)
    if kind < 0.85:
        return text[: dice.randrange(len(text) + 1)]
    return flipped(dice, text)


def flipped(dice: Random, data: bytes) -> bytes:
    """With one to eight bytes changed."""
    changed_ = bytearray(data)
    for _ in range(dice.randint(1, 8)):
        if changed_:
            changed_[dice.randrange(len(changed_))] = dice.randrange(256)
    return bytes(changed_)


def field(dice: Random) -> bytes:
    """What can stand in a header."""
    kind = dice.random()
    if kind < 0.3:
        return bytes(dice.choices(VISIBLE, k=dice.randrange(60)))
    if kind < 0.5:
        return bytes(dice.choices(VISIBLE + bytes(range(0x80, 0x100)), k=dice.randrange(60)))
    if kind < 0.6:
        return bytes(dice.choices(VISIBLE, k=1)) * dice.choice((255, 256, 5_000, 20_000))
    text = dice.choice(STRINGS).encode(errors="replace")
    return bytes(each for each in text if each >= 0x20 and each != 0x7F)
