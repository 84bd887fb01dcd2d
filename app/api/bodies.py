"""Request bodies: read within bounds, decoded strictly, validated once. Whatever arrives ends as a 4xx or as a value.

Strict means RFC 8259 with UTF-8 only: Python's parser alone takes NaN, Infinity, numbers beyond a float, lone
surrogates and any nesting, and each of those fails later, as an error of ours, when it is stored or sent.
"""

import hashlib
import json
import re
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message, Receive

from ..errors import InvalidRequest, MalformedBody, UnsupportedMediaType
from ..nesting import MAX_NESTING, too_deep
from .heads import Heads, heads_of
from .invalid import of_body

Model = TypeVar("Model", bound=BaseModel)

_JSON_TYPE = re.compile(
    rb"application/(?:[!#$&^_.+a-z0-9-]+\+)?json\s*(?:;\s*charset=\"?utf-8\"?\s*)?;?", re.IGNORECASE
)
_NUMBERS = bytes(
    {**dict.fromkeys(b"0123456789", 48), **dict.fromkeys(b"eE", 101), 43: 43}.get(byte, 32) for byte in range(256)
)
"""Maps digits to 0, both letters of exponents to e, and all that numbers do not have to a space."""
_LONGEST = b"0" * 300
EXACT = 2**53
"""Integers below it are written alike as integers; what a float from here on is worth takes up to 309 digits."""
_SURROGATE = re.compile(rb"\\u[dD][89abAB]|\\u[dD][c-fC-F]")


async def read_json(request: Request) -> Any:
    """The body as JSON. Raises UnsupportedMediaType, MalformedBody (with the position), and what reading it raises."""
    return await receive_json(heads_of(request.scope), request.receive)


async def read_optional_json(request: Request) -> Any:
    """As ``read_json``, but no body at all is an empty object."""
    return await receive_optional_json(heads_of(request.scope), request.receive)


async def receive_json(heads: Heads, receive: Receive) -> Any:
    """As ``read_json``, where there is no ``Request``."""
    check_type(heads)
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):  # as most bodies come
        return parse(message.get("body", b""))
    return parse(await _receive(receive, message))


async def receive_optional_json(heads: Heads, receive: Receive) -> Any:
    body = await _receive(receive, await receive())
    if not body:
        return {}
    check_type(heads)
    return parse(body)


async def _receive(receive: Receive, message: Message) -> bytes:
    """The whole body, of which ``message`` is the first piece. Behind the guard it is no more than is allowed."""
    parts: list[bytes] = []
    while True:
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return parts[0] if len(parts) == 1 else b"".join(parts)
        message = await receive()


def parse(raw: bytes) -> Any:
    """JSON, strictly. Raises MalformedBody.

    pydantic's parser takes all that is right, but would make a number that is beyond a float infinite. What may be one,
    and what is wrong, is for Python's parser, which is slower and can say where. Values are not for its cache of
    strings: hardly one comes again, and some are secrets.
    """
    try:
        if _may_overflow(raw):
            return _parse_slowly(raw)
        value = from_json(raw, allow_inf_nan=False, cache_strings="keys")
    except ValueError:
        return _parse_slowly(raw)
    if too_deep(raw):
        raise _nested_too_deep()
    return value


def _may_overflow(raw: bytes) -> bool:
    """Whether a number may be over 1.8e308: it has an exponent, or is so long that it needs none.

    Also where a string looks like that, as many ids do.
    """
    numbers = raw.translate(_NUMBERS)
    return b"0e0" in numbers or b"0e+" in numbers or _LONGEST in numbers


def _parse_slowly(raw: bytes) -> Any:
    if not raw:
        raise MalformedBody("The body is empty; send a JSON object.")
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise MalformedBody(f"The body is not UTF-8: byte {error.start} is wrong.", position=error.start) from None
    try:
        value = _decode(text)
        if b"\\u" in raw and _SURROGATE.search(raw):
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError:
        raise _nested_too_deep() from None
    except ValueError as error:
        raise _malformed(error) from None
    if too_deep(raw):
        raise _nested_too_deep()
    return value


def validate(model: type[Model], value: Any) -> Model:
    """The parsed body as ``model``. Raises InvalidRequest with a JSON pointer for each error."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise InvalidRequest("The body is not valid.", errors=of_body(error)) from None


def digest(value: Any) -> bytes:
    """The same for two bodies that are the same JSON, however they were written (SHA-256 of a canonical form).

    Members have no order (RFC 8259 §4), and numbers are what they are worth: ``60``, ``60.0`` and ``6e1`` are one.
    """
    return hashlib.sha256(json.dumps(_canonical(value), sort_keys=True, separators=(",", ":")).encode()).digest()


def _canonical(value: Any) -> Any:
    """The value with whole floats as integers, -0.0 included: json writes each of the two in another way.

    And integers that are worth the same as a large float as that, which is written in a few digits, not in 309.
    """
    if isinstance(value, float):
        return int(value) if value.is_integer() and -EXACT < value < EXACT else value
    if isinstance(value, int) and not -EXACT < value < EXACT:
        return _worth(value)
    if isinstance(value, list):
        return [_canonical(each) for each in value]
    if isinstance(value, dict):
        return {name: _canonical(each) for name, each in value.items()}
    return value


def _worth(value: int) -> int | float:
    """A float if there is one that is the same number."""
    try:
        return float(value) if float(value) == value else value
    except OverflowError:
        return value


def check_type(heads: Heads) -> None:
    types = heads.get(b"content-type", ())
    if len(types) != 1 or not (types[0] == b"application/json" or _JSON_TYPE.fullmatch(types[0].strip())):
        raise UnsupportedMediaType("Send JSON in UTF-8, with the header Content-Type: application/json.")
    if any(encoding.strip().lower() not in {b"", b"identity"} for encoding in heads.get(b"content-encoding", ())):
        detail = "Send the body as it is, without a Content-Encoding."
        raise UnsupportedMediaType(detail, headers={"Accept-Encoding": "identity"})


def _malformed(error: ValueError) -> MalformedBody:
    match error:
        case json.JSONDecodeError():
            where = f"line {error.lineno}, column {error.colno}"
            return MalformedBody(f"The body is not JSON: {error.msg} ({where}).", position=error.pos)
        case UnicodeEncodeError():
            return MalformedBody("A string of the body has half of a surrogate pair, which is no character.")
        case _:
            return MalformedBody(f"The body has a number that cannot be kept: {error}.")


def _nested_too_deep() -> MalformedBody:
    return MalformedBody(f"The body is nested deeper than {MAX_NESTING} levels.")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise ValueError("it is larger than a 64-bit float can be")
    return number


def _integer(digits: str) -> int:
    try:
        return int(digits)
    except ValueError:  # Python's own bound, against quadratic time
        raise ValueError(f"an integer of {len(digits)} digits") from None


_decode = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite, parse_int=_integer).decode
