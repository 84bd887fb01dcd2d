"""Bodies: whatever arrives is a value or a MalformedBody, and the parser does not lend itself to attacks."""

import json
from contextlib import suppress
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message

from pygents_app.api import bodies
from pygents_app.api.requests import Submit
from pygents_app.errors import InvalidRequest, MalformedBody
from pygents_app.nesting import MAX_NESTING

REFUSED = {
    "nan": b'{"a":NaN}',
    "infinity": b"[Infinity]",
    "minus infinity": b"[-Infinity]",
    "beyond a float": b"[1e999]",
    "beyond a float, written out": b"[" + b"1" * 400 + b".0]",
    "beyond a float, in capitals": b"[-1E+0309]",
    "beyond a float, a long one with a small exponent": b"[" + b"1" * 290 + b"e20]",
    "beyond a float, deep inside": b'{"a":[{"b":1.5e308},{"c":1.8e308}]}',
    "5,000 digits": b"[" + b"9" * 5000 + b"]",
    "lone surrogate": rb'["\ud800"]',
    "lone low surrogate": rb'{"\uDC00":1}',
    "surrogates the wrong way round": rb'["\ude00\ud83d"]',
    "not UTF-8": b'["\xff"]',
    "UTF-16": '{"a":1}'.encode("utf-16"),
    "byte order mark": b"\xef\xbb\xbf{}",
    "surrogate in UTF-8": b'["\xed\xa0\x80"]',
    "empty": b"",
    "only spaces": b"  \n",
    "cut off": b'{"a":',
    "two values": b"{}{}",
    "trailing comma": b"[1,]",
    "leading zero": b"[01]",
    "control character": b'["\x01"]',
    "single quotes": b"{'a':1}",
    "65 levels": b"[" * 65 + b"]" * 65,
    "65 levels of objects": b'{"a":' * 64 + b"[]" + b"}" * 64,
    "100,000 levels": b"[" * 100_000,
    "100,000 closed levels": b"[" * 100_000 + b"]" * 100_000,
    "900 open objects": b'{"a":' * 900,
}
ACCEPTED: dict[str, tuple[bytes, Any]] = {
    "64 levels": (b"[" * 64 + b"]" * 64, None),
    "brackets in strings": (b'["' + b"[" * 1000 + b'"]', ["[" * 1000]),
    "brackets after escaped quotes": (rb'["\"[[[[\\", "' + b"[" * 100 + b'"]', ['"[[[[\\', "[" * 100]),
    "many brackets side by side": (b"[" + b"[]," * 500 + b"[]]", [[]] * 501),
    "surrogate pair": (rb'["\ud83d\ude00"]', ["😀"]),
    "NUL": (rb'["\u0000"]', ["\0"]),
    "duplicate keys": (b'{"a":1,"a":2}', {"a": 2}),
    "large integer": (b"[18446744073709551616]", [2**64]),
    "large float": (b"[1.7976931348623157e+308]", [1.7976931348623157e308]),
    "small float": (b"[5E-324]", [5e-324]),
    "looks like a number that is too large": (b'["1e999"]', ["1e999"]),
    "spaces around": (b" {} \n", {}),
    "scalar": (b"1", 1),
}


@pytest.mark.parametrize("raw", REFUSED.values(), ids=REFUSED.keys())
def test_refused(raw: bytes) -> None:
    with pytest.raises(MalformedBody) as caught:
        bodies.parse(raw)
    assert caught.value.detail


@pytest.mark.parametrize(("raw", "expected"), ACCEPTED.values(), ids=ACCEPTED.keys())
def test_accepted(raw: bytes, expected: Any) -> None:
    value = bodies.parse(raw)
    assert expected is None or value == expected


def test_the_position_is_told() -> None:
    with pytest.raises(MalformedBody) as caught:
        bodies.parse(b'{\n"a": x}')
    assert caught.value.fields == {"position": 7}
    assert "line 2, column 6" in caught.value.detail


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON, st.booleans())
def test_all_json_is_read_as_it_was_written(value: Any, ascii_only: bool) -> None:
    assert bodies.parse(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


NUMBERS = st.from_regex(r"-?(0|[1-9][0-9]{0,400})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,4})?", fullmatch=True)


@given(NUMBERS)
def test_numbers_are_what_they_are_to_python(text: str) -> None:
    expected = json.loads(text)
    if expected in (float("inf"), float("-inf")):
        with pytest.raises(MalformedBody):
            bodies.parse(f"[{text}]".encode())
    else:
        (value,) = bodies.parse(f"[{text}]".encode())
        assert (value, type(value)) == (expected, type(expected))


@given(st.binary())
def test_any_bytes_are_a_value_or_malformed(raw: bytes) -> None:
    try:
        value = bodies.parse(raw)
    except MalformedBody:
        return
    json.dumps(value, ensure_ascii=False, allow_nan=False).encode()


WRAPPINGS = ("[%s]", '{"[":%s}', '["]\\"]",%s]', '[[],{"}":{}},%s]')


@given(st.lists(st.sampled_from(WRAPPINGS), min_size=55, max_size=70))
def test_nesting_is_measured_right(wrappings: list[str]) -> None:
    text = "0"
    for wrapping in wrappings:
        text = wrapping % text
    if _depth(json.loads(text)) > MAX_NESTING:
        with pytest.raises(MalformedBody):
            bodies.parse(text.encode())
    else:
        bodies.parse(text.encode())


def test_a_digest_knows_the_json_not_its_spelling() -> None:
    one, other = bodies.parse(b'{"a": 1, "b": [1.0, "\xc3\xa9"]}'), bodies.parse(rb'{"b":[1.0,"\u00e9"],"a":1}')
    assert bodies.digest(one) == bodies.digest(other)
    assert bodies.digest(one) != bodies.digest(bodies.parse(b'{"a": 1, "b": [1.0, "e"]}'))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (b"60", b"60.0", True),
        (b"100", b"1e2", True),
        (b'[{"a": [1]}]', b'[{"a": [1.0]}]', True),
        (b"0", b"-0.0", True),
        (b"9007199254740992", b"9007199254740992.0", True),
        (b"9007199254740993", b"9007199254740992.0", False),
        (b"1", b"true", False),
        (b"1.0", b"true", False),
        (b"0", b"false", False),
        (b"0.0", b"null", False),
        (b"1", b'"1"', False),
        (b"1", b"1.5", False),
    ],
)
def test_a_digest_takes_numbers_for_what_they_are_worth(one: bytes, other: bytes, same: bool) -> None:
    digests = [bodies.digest(bodies.parse(b'{"args": [%s]}' % written)) for written in (one, other)]
    assert (digests[0] == digests[1]) is same


def _depth(value: Any) -> int:
    match value:
        case dict():
            return 1 + max(map(_depth, value.values()), default=0)
        case list():
            return 1 + max(map(_depth, value), default=0)
        case _:
            return 0


@pytest.mark.anyio
async def test_a_body_in_pieces_is_one() -> None:
    pieces = [b'{"a"', b":", b"", b"1}"]
    messages = [{"type": "http.request", "body": piece, "more_body": piece != pieces[-1]} for piece in pieces]
    coming = iter(messages)

    async def receive() -> Message:
        return next(coming)

    assert await bodies.receive_json({b"content-type": [b"application/json"]}, receive) == {"a": 1}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (b"[9007199254740992]", b"[9007199254740992.0]", True),
        (b"[-9007199254740992]", b"[-9.007199254740992e15]", True),
        (b"[9007199254740993]", b"[9007199254740992.0]", False),
        (b"[9007199254740991]", b"[9007199254740991.0]", True),
        (b"[1%s]" % (b"0" * 22), b"[1e22]", True),
        (b"[1%s]" % (b"0" * 23), b"[1e23]", False),  # which no float is: the nearest is 99999999999999991611392
        (b"[99999999999999991611392]", b"[1e23]", True),
        (b"[1%s]" % (b"0" * 400), b"[1%s]" % (b"0" * 400), True),
        (b"[1e308]", b"[1e307]", False),
    ],
)
def test_large_numbers_are_what_they_are_worth(one: bytes, other: bytes, same: bool) -> None:
    assert (bodies.digest(bodies.parse(one)) == bodies.digest(bodies.parse(other))) == same


@given(st.integers(-(10**310), 10**310), st.integers(-2, 2))
def test_of_any_two_numbers_the_digests_are_equal_if_they_are(number: int, apart: int) -> None:
    other: int | float = number + apart
    with suppress(OverflowError):
        other = float(other)
    assert (bodies.digest([number]) == bodies.digest([other])) == (number == other)


def test_a_large_number_is_digested_as_short_as_it_is_written() -> None:
    """Not as the 309 digits that it is worth: a body of them would stall the service."""
    with patch.object(json, "dumps", wraps=json.dumps) as dumps:
        bodies.digest(bodies.parse(b"[1e308]"))
    assert dumps.call_args.args == ([1e308],)
    assert isinstance(dumps.call_args.args[0][0], float)


def test_of_very_many_errors_their_number_is_told() -> None:
    """pydantic would make a description of each before one could be thrown away."""
    with pytest.raises(InvalidRequest) as caught:
        bodies.validate(Submit, {f"x{index}": 1 for index in range(2000)})
    (error,) = caught.value.fields["errors"]
    assert error == {"pointer": "", "detail": "2001 errors, too many to tell them all"}
