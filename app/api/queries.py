"""Query parameters, one model for each set. Unknown ones are refused: a misspelt one must not be ignored."""

import re
import warnings
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.warnings import UnsupportedFieldAttributeWarning

from ..model import TurnStatus
from .names import TURN_ID

TURN_CURSOR = rf"^{TURN_ID.pattern}(\.[0-9a-f]{{16}})?$"
MAX_ITEMS = 1000
"""Of one page."""
MAX_WAIT = 60
"""Seconds."""

AgentStatus = Literal["blocked", "stuck", "running", "paused", "unavailable", "idle"]
"""Of an agent, the first that holds."""


def _digits(value: object) -> object:
    """Python's ``int`` takes ``1_0``, ``+1``, `` 1`` and digits of other scripts; a query does not."""
    if isinstance(value, str) and not re.fullmatch(r"[0-9]{1,9}", value):
        raise ValueError("must be a whole number of digits 0 to 9")
    return value


Digits = BeforeValidator(_digits)
"""Goes last: bounds that stand before it are in the JSON schema, those after it are not."""


# FastAPI silences this warning where it defines what it makes of a model; of one that is deferred, that is built later.
warnings.filterwarnings("ignore", "The 'alias' attribute", UnsupportedFieldAttributeWarning)


class NoQuery(BaseModel):
    # Built when it is first used, as bodies are, and so is what the framework makes of it for each route.
    model_config = ConfigDict(extra="forbid", defer_build=True)


class PageQuery(NoQuery):
    limit: Annotated[int, Field(ge=1, le=MAX_ITEMS, description="Items per page."), Digits] = 100
    after: Annotated[str | None, Field(max_length=256, description="`next` of the page before.")] = None


class AgentsQuery(PageQuery):
    status: Annotated[AgentStatus | None, Field(description="Only agents of this status.")] = None
    prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{0,64}$", description="Only names that begin so.")] = ""
    after: Annotated[
        str | None, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$", description="`next` of the page before.")
    ] = None


class KeysQuery(PageQuery):
    after: Annotated[str | None, Field(pattern="^[0-9a-f]{12}$", description="`next` of the page before.")] = None


class AuditQuery(PageQuery):
    after: Annotated[str | None, Field(pattern="^[0-9]{1,18}$", description="`next` of the page before.")] = None


class DeleteQuery(NoQuery):
    force: Annotated[
        Literal["true", "false"], Field(description="Cancel the turns that wait or run, instead of refusing.")
    ] = "false"


class CancelQuery(NoQuery):
    cascade: Annotated[
        Literal["true", "false"],
        Field(description="Cancel also the turns that it has sent, and those in turn, even if it had ended itself."),
    ] = "false"


class TurnsQuery(PageQuery):
    status: Annotated[TurnStatus | None, Field(description="Only turns of this status.")] = None
    after: Annotated[str | None, Field(pattern=TURN_CURSOR, description="`next` of the page before.")] = None


class TurnQuery(NoQuery):
    wait: Annotated[
        int,
        Field(ge=0, le=MAX_WAIT, description="Seconds to wait for the turn's end; answers as soon as it has ended."),
        Digits,
    ] = 0
