"""The bodies of requests: what may be in them, and what is made of them."""

import re
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from msgspec import Meta, MsgspecError, Struct, convert
from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.config import JsonDict

from pygents_core.tool import Retry as Policy

from ..clock import Clock, from_datetime
from ..model import NAME_PATTERN, Definition
from ..runtime import requests
from ..runtime.catalogue import HOOK_TYPES

LONGEST_TIMEOUT = requests.MAX_TIMEOUT
LONGEST_DELAY = requests.MAX_DELAY
"""Seconds."""
MOST_ATTEMPTS = 1000
LARGEST_MEMORY = 100_000
MOST_TOOLS = 1000
"""Items."""

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII)
_YEAR_10000 = 253_402_300_800 * 1_000_000


def _written_out(value: object) -> object:
    """pydantic also takes numbers and other spellings, whose meaning would have to be guessed."""
    if not isinstance(value, str) or not _RFC3339.fullmatch(value):
        raise ValueError("must be a time as in RFC 3339, for example 2026-11-22T10:48:00Z")
    return value


def _storable(moment: datetime) -> datetime:
    if not 0 <= from_datetime(moment) < _YEAR_10000:
        raise ValueError("must lie between the years 1970 and 9999, UTC")
    return moment


def _whole(value: object) -> object:
    """``5.0`` is an integer to JSON Schema, and numbers are what they are worth."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Whole = BeforeValidator(_whole)
Moment = Annotated[AwareDatetime, Field(strict=False), BeforeValidator(_written_out), AfterValidator(_storable)]
Name = Annotated[str, Field(pattern=f"^{NAME_PATTERN.pattern}$", max_length=64)]
Word = Annotated[str, Field(min_length=1, max_length=256)]
HookTypeName = Annotated[str, Field(json_schema_extra={"enum": list(HOOK_TYPES)})]
"""Checked where the hooks' names are."""

_NOT_BOTH: JsonDict = {
    "not": {
        "properties": {"delay": {"type": "number"}, "not_before": {"type": "string"}},
        "required": ["delay", "not_before"],
    }
}


class Body(BaseModel):
    # Built when it is first used: most services never see most bodies, and each takes a hundredth of the start.
    model_config = ConfigDict(extra="forbid", strict=True, defer_build=True)


class Retry(Body):
    """How often and when a turn that did not complete is run again. It waits for that at the head of the mailbox."""

    max_attempts: Annotated[int, Field(ge=1, le=MOST_ATTEMPTS, description="All of them, the first included."), Whole]
    delay: float = Field(1, ge=0, le=LONGEST_DELAY, description="Seconds before the second attempt.")
    factor: float = Field(2, ge=1, le=1000, description="What each further delay is multiplied by.")
    max_delay: float | None = Field(
        None,
        ge=0,
        le=LONGEST_DELAY,
        description="Seconds that no delay exceeds; 60 without, or `delay` if that is more.",
    )
    jitter: bool = Field(True, description="Take a random part, up to half, off each delay.")
    on: list[Literal["error", "timeout", "interrupted"]] = Field(
        ["error", "timeout", "interrupted"], min_length=1, max_length=3, description="What is tried again."
    )

    def policy(self) -> Policy:
        return Policy(
            self.max_attempts, self.delay, self.factor, self.max_delay, self.jitter, tuple(dict.fromkeys(self.on))
        )


class Submit(Body):
    """A turn for an agent's mailbox."""

    model_config = ConfigDict(json_schema_extra=_NOT_BOTH)

    tool: Word = Field(description="Name of a tool that the agent accepts.", examples=["greet"])
    # By factories, because pydantic copies a default deeply for each request.
    args: list[Any] = Field(
        default_factory=list, description="Positional arguments.", json_schema_extra={"default": []}
    )
    kwargs: dict[str, Any] = Field(
        default_factory=dict,
        description="Keyword arguments.",
        examples=[{"name": "World"}],
        json_schema_extra={"default": {}},
    )
    timeout: float = Field(60.0, gt=0, le=LONGEST_TIMEOUT, description="Seconds that the tool may take.")
    metadata: dict[str, Any] = Field(
        default_factory=dict,
        description="Kept with the turn; not given to the tool.",
        json_schema_extra={"default": {}},
    )
    delay: float | None = Field(None, ge=0, le=LONGEST_DELAY, description="Seconds until the turn joins the mailbox.")
    not_before: Moment | None = Field(None, description="When the turn joins the mailbox, instead of `delay`.")
    retry: Retry | None = Field(None, description="When the turn is run again; null: as its tool says.")

    @model_validator(mode="after")
    def _joins_once(self) -> Self:
        if self.delay is not None and self.not_before is not None:
            raise ValueError("give delay or not_before, not both")
        return self

    def request(self, clock: Clock) -> requests.TurnRequest:
        due, retry = self._due(clock), self.retry.policy() if self.retry is not None else None
        return requests.TurnRequest(self.tool, self.args, self.kwargs, self.timeout, self.metadata, due, retry)

    def _due(self, clock: Clock) -> int | None:
        if self.not_before is not None:
            return from_datetime(self.not_before)
        return clock() + round(self.delay * 1_000_000) if self.delay else None


class _Plain(Struct, forbid_unknown_fields=True):
    """A submit without anything that has to be looked at twice. What it takes, ``Submit`` takes as the same."""

    tool: Annotated[str, Meta(min_length=1, max_length=256)]
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    timeout: Annotated[float, Meta(gt=0, le=LONGEST_TIMEOUT)] = 60.0
    metadata: dict[str, Any] = {}


def plain_submit(value: Any) -> requests.TurnRequest | None:
    """The turn that a parsed body asks for, if it is a plain one; all else, right or wrong, is for ``Submit``.

    msgspec takes a quarter of the time of a model, but has not the words for what is wrong.
    """
    try:
        plain = convert(value, _Plain)
    except MsgspecError:
        return None
    return requests.TurnRequest(plain.tool, plain.args, plain.kwargs, plain.timeout, plain.metadata)


class NoBody(Body):
    """No members."""


class Merge(Body):
    """A merge patch (RFC 7396) of an agent: what is not named stays, null removes, arrays are replaced."""

    description: str | None = Field(None, max_length=10_000)
    tools: list[Word] = Field(
        [], max_length=MOST_TOOLS, description="Names of registered tools; all that it shall have."
    )
    hooks: dict[HookTypeName, list[Word] | None] | None = Field(None, description="Names of registered hooks, by type.")
    labels: dict[Word, Annotated[str, Field(max_length=1000)] | None] | None = Field(None, max_length=100)

    def changes(self) -> dict[str, Any]:
        """What was named, and nothing else."""
        return self.model_dump(exclude_unset=True)


class Cancel(Body):
    """Why a turn is cancelled."""

    reason: str | None = Field(None, max_length=1000, description="For people; it is in the turn's last event.")


class Memory(Body):
    """The working memory of an agent."""

    limit: Annotated[int, Field(ge=1, le=LARGEST_MEMORY, description="Items that the memory keeps."), Whole]


class CreateAgent(Body):
    """An agent made of tools that are registered here."""

    name: Name = Field(examples=["greeter"])
    tools: list[Word] = Field(max_length=MOST_TOOLS, description="Names of registered tools.", examples=[["greet"]])
    description: str = Field("", max_length=10_000)
    hooks: dict[HookTypeName, list[Word]] = Field(default={}, description="Names of registered hooks, by type.")
    labels: dict[Word, Annotated[str, Field(max_length=1000)]] = Field(default={}, max_length=100)
    memory: Memory | None = None

    def definition(self) -> Definition:
        return Definition(
            name=self.name,
            description=self.description,
            tools=tuple(dict.fromkeys(self.tools)),
            hooks={type_: tuple(names) for type_, names in self.hooks.items()},
            labels=self.labels,
            memory_limit=self.memory.limit if self.memory else None,
        )
