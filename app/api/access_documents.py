"""The OpenAPI descriptions of keys, tickets, sessions and the audit log; ``documents`` has those of other routes."""

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
SESSION = {200: answer("Session", "Who one is.")}
SIGN_IN: dict[str, Any] = {
    "responses": responses(
        {
            201: answer("Session", "The browser is signed in.", headers=["Set-Cookie"]),
            200: answer("Session", "No key is needed here, and so there is no cookie either."),
        },
        *BODY, *WRITES,
    ),
    "openapi_extra": body(reference("SignIn"), required=False, example="sign-in"),
}  # fmt: skip
SIGN_OUT: dict[str, Any] = {
    "responses": responses({204: no_content("It is signed out, if it was in.", headers=["Set-Cookie"])}, *WRITES)
}
