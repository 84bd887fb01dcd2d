"""The bodies of requests about keys, tickets and sessions."""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic.config import JsonDict

from ..access.records import KEY_NAME, MOST_A_SECOND, MOST_AT_ONCE, MOST_STREAMS, KeyLimits
from ..access.rules import LONGEST_LIFE_SECONDS
from ..clock import Clock, from_datetime
from ..grants import MOST_GRANTS, Grant, Scope, parse_grant
from .requests import Moment, Name, Whole

MOST_AGENTS = 32
"""Of one ticket."""
AS_SET = "0: any number; null: as many as the settings say."

LONGEST_KEY = 16_384
"""Characters, of a token more than of a key."""

_SCOPE = f"^({'|'.join(Scope)})(@(\\*|[A-Za-z0-9][A-Za-z0-9_-]{{0,63}}\\*?))?$"


_NOT_BOTH: JsonDict = {
    "not": {
        "properties": {"expires_in": {"type": "number"}, "expires_at": {"type": "string"}},
        "required": ["expires_in", "expires_at"],
    }
}


def _known(text: str) -> str:
    parse_grant(text)
    return text


def _readable(text: str) -> str:
    if not KEY_NAME.fullmatch(text):
        raise ValueError("must have no control characters")
    return text


ScopeText = Annotated[str, Field(json_schema_extra={"pattern": _SCOPE}), AfterValidator(_known)]


class CreateKey(BaseModel):
    """A key to be made."""

    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra=_NOT_BOTH, defer_build=True)

    name: Annotated[
        str,
        Field(
            max_length=100, json_schema_extra={"pattern": f"^{KEY_NAME.pattern.removesuffix('{0,100}')}*$"},
            description="For people, to know it by. No control characters.",
        ),
        AfterValidator(_readable),
    ] = ""  # fmt: skip
    scopes: Annotated[
        list[ScopeText],
        Field(
            min_length=1, max_length=MOST_GRANTS,
            description="`scope`, or `scope@pattern` for agents of one name (`a`) or whose names begin so (`a-*`).",
        ),
    ]  # fmt: skip
    expires_at: Annotated[Moment | None, Field(description="From when on it admits nobody; null: never.")] = None
    expires_in: Annotated[
        float | None,
        Field(gt=0, le=LONGEST_LIFE_SECONDS, allow_inf_nan=False, description="Seconds, instead of a time."),
    ] = None
    rate: Annotated[
        float | None,
        Field(ge=0, le=MOST_A_SECOND, allow_inf_nan=False, description=f"Requests per second. {AS_SET}"),
    ] = None
    burst: Annotated[
        int | None,
        Field(ge=1, le=MOST_AT_ONCE, description="Requests at once before `rate` holds; null: as is set."),
        Whole,
    ] = None
    streams: Annotated[int | None, Field(ge=0, le=MOST_STREAMS, description=f"Open at once. {AS_SET}"), Whole] = None

    @model_validator(mode="after")
    def _one_end(self) -> "CreateKey":
        if self.expires_at is not None and self.expires_in is not None:
            raise ValueError("give expires_at or expires_in, not both")
        return self

    def grants(self) -> tuple[Grant, ...]:
        return tuple(parse_grant(text) for text in self.scopes)

    def limits(self) -> KeyLimits:
        return KeyLimits(self.rate, self.burst, self.streams)

    def end(self, clock: Clock) -> int | None:
        """Microseconds since the epoch."""
        if self.expires_in is not None:
            return clock() + int(self.expires_in * 1_000_000)
        return from_datetime(self.expires_at) if self.expires_at is not None else None


class CreateTicket(BaseModel):
    """A stream ticket to be issued."""

    model_config = ConfigDict(extra="forbid", strict=True, defer_build=True)

    agents: Annotated[
        list[Name], Field(min_length=1, max_length=MOST_AGENTS, description="It opens a stream of one of them.")
    ]

    def model_post_init(self, _context: Any) -> None:
        self.agents[:] = dict.fromkeys(self.agents)


class SignIn(BaseModel):
    """The key of a browser that is to be signed in."""

    model_config = ConfigDict(extra="forbid", strict=True, defer_build=True)

    key: Annotated[
        str | None,
        Field(max_length=LONGEST_KEY, description="A key, or a token of the issuer, unless a header has it already."),
    ] = None
