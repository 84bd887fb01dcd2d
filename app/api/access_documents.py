"""The OpenAPI descriptions of keys, tickets and the audit log; as ``documents`` has those of the other routes."""

from typing import Any

from ..errors import AgentNotFound, KeyNotFound, NoAdminKey, TooManyTickets
from .documents import BODY, READS, WRITES, answer, body, no_content, responses
from .references import reference

KEYS = {200: answer("KeyPage", "A page of keys.")}
AUDIT = {200: answer("AuditPage", "A page of the audit log.")}
GET_KEY: dict[str, Any] = {"responses": responses({200: answer("Key", "The key.")}, KeyNotFound, *READS)}
DELETE_KEY: dict[str, Any] = {"responses": responses({204: no_content("It is revoked.")}, KeyNotFound, *WRITES)}
CREATE_KEY: dict[str, Any] = {
    "responses": responses(
        {201: answer("NewKey", "The key, this once.", headers=["Location"])}, NoAdminKey, *BODY, *WRITES
    ),
    "openapi_extra": body(reference("CreateKey"), example="create-key"),
}
CREATE_TICKET: dict[str, Any] = {
    "responses": responses({201: answer("StreamTicket", "The ticket.")}, AgentNotFound, TooManyTickets, *BODY, *WRITES),
    "openapi_extra": body(reference("CreateTicket"), example="create-ticket"),
}
