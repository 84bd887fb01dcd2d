"""Who calls, as the guard has found out, and what of it goes into the audit log."""

import json
from typing import Any, cast

from starlette.types import Scope

from ..access.records import Actor, Entry
from ..auth import Principal
from ..model import Asker

CALLER = "pygents.caller"
"""Where in the ASGI scope the caller's id is: it scopes idempotency keys, and cancelled turns name it."""
PRINCIPAL = "pygents.principal"
REQUEST_ID = "pygents.request_id"
CHARGED = "pygents.charged"
"""Where it is as which the request was counted, if it was: what comes of it is charged to the same."""
ADMISSION = "pygents.admission"
"""Where the ``Admission`` of a request with a ticket is; others have none."""


def principal_of(scope: Scope) -> Principal:
    return cast(Principal, scope[PRINCIPAL])


def actor_of(scope: Scope) -> Actor:
    """The address is that of the connection: what a header says of it can be made up."""
    principal, client = principal_of(scope), scope.get("client")
    return Actor(principal.id, principal.name, client[0] if client else "", scope[REQUEST_ID].decode())


def asker_of(scope: Scope) -> Asker:
    """For the turns that the request makes."""
    return Asker(scope[REQUEST_ID].decode(), scope.get(CHARGED))


def entry(scope: Scope, action: str, target: str = "", **details: Any) -> Entry:
    """For the audit log. ``action`` is the operation's id."""
    return Entry(actor_of(scope), action, target, json.dumps(details, ensure_ascii=False, separators=(",", ":")))
