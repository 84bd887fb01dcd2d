"""What clients get of keys, tickets, sessions and the audit log, as models: for the OpenAPI description only."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from .schemas import Page, Shown


class Key(Shown):
    """A key, without its secret."""

    id: str = Field(pattern="^[0-9a-f]{12}$", description="A part of the key that is no secret.")
    name: str
    status: Literal["valid", "expired", "revoked", "damaged"] = Field(description="Only a valid one admits anybody.")
    scopes: list[str] = Field(description="`scope`, or `scope@pattern`.")
    rate: float | None = Field(description="Requests per second. 0: any number; null: as is set.")
    burst: int | None = Field(description="Requests at once before `rate` holds; null: as is set.")
    streams: int | None = Field(description="Open at once. 0: any number; null: as is set.")
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


class NewKey(Key):
    """A key that was just made."""

    key: str = Field(pattern="^pyg_[0-9a-f]{12}_[0-9a-f]{64}$", description="The key. It is never shown again.")


class KeyPage(Page):
    items: list[Key]


class StreamTicket(Shown):
    """A ticket for one stream."""

    ticket: str = Field(pattern="^pyt_[0-9a-f]{64}$", description="The value of `?ticket=`.")
    expires_at: datetime = Field(description="By when it must have opened its stream.")


class Session(Shown):
    """Who one is to the service."""

    credential: Literal["cookie", "key", "token"] | None = Field(
        description="What has admitted one; null: no key is needed here, everybody may do everything."
    )
    id: str | None = Field(description="Of the key; of a token's subject, beginning with `jwt:`; `admin`; or null.")
    name: str
    scopes: list[str] = Field(description="`scope`, or `scope@pattern`.")
    expires_at: datetime | None = Field(
        description="When the cookie, the key or the token is void; a cookie earlier, if it is not used for long."
    )


class Caller(Shown):
    """Who has done something."""

    id: str | None = Field(description="Of the key; of a token's subject, beginning with `jwt:`; `admin`; or null.")
    name: str


class AuditEntry(Shown):
    """Something that an admin has done."""

    number: int = Field(ge=1)
    time: datetime
    action: str = Field(description="The id of the operation, as in this document.")
    target: str | None = Field(description="The agent or the key that it was done to.")
    details: dict[str, Any]
    by: Caller
    address: str | None = Field(description="Of the connection; null for a command on the machine itself.")
    request_id: str | None


class AuditPage(Page):
    items: list[AuditEntry]


MODELS: tuple[type[Shown], ...] = (Key, NewKey, KeyPage, StreamTicket, Session, AuditPage)
