"""What is wrong with a request, as the ``errors`` of a 422: JSON pointers into the body, or names of parameters."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from pygents_core.schema import MOST_ERRORS as MOST_FOUND

from ..pointers import pointer

MOST_ERRORS = 100
"""A body of a million wrong entries is told in a hundred of them."""


def of_body(error: ValidationError) -> list[dict[str, str]]:
    """pydantic's errors about a body. The values that were sent are not repeated: they may be large or secret."""
    if error.error_count() > MOST_FOUND:
        return [{"pointer": "", "detail": f"{error.error_count()} errors, too many to tell them all"}]
    errors = error.errors(include_url=False, include_input=False, include_context=False)
    return [{"pointer": pointer(_place(error["loc"])), "detail": _say(error)} for error in errors[:MOST_ERRORS]]


def _place(loc: Sequence[Any]) -> Sequence[Any]:
    """pydantic marks an error about a member's name by one more step, which leads nowhere in the body."""
    return loc[:-1] if len(loc) > 2 and loc[-1] == "[key]" else loc


def of_parameters(errors: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """FastAPI's errors about the query: their locations begin with ``query``."""
    return [{"pointer": str(error["loc"][-1]), "detail": _say(error)} for error in errors[:MOST_ERRORS]]


def _say(error: Mapping[str, Any]) -> str:
    match error["type"]:
        case "extra_forbidden":
            return "not known here"
        case "missing":
            return "missing"
        case "model_type" | "dict_type" | "model_attributes_type":
            return "must be a JSON object"
        case "list_type":
            return "must be an array"
        case _:
            return str(error["msg"]).removeprefix("Value error, ")
