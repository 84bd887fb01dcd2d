"""Every limit that a client may meet, read from where it is enforced: nothing is written here a second time."""

from collections.abc import Mapping

from ..access import rules
from ..grants import MOST_GRANTS
from ..nesting import MAX_NESTING
from ..payloads import INLINE_LIMIT
from ..rates import LONGEST_DEBT_SECONDS, WRONG_KEYS_PER_SECOND
from ..runtime.encoding import Limits
from ..runtime.outcomes import MESSAGE_LIMIT, OUTPUT_BYTES, OUTPUT_VALUES
from ..settings import Settings
from ..streaming.ring import BATCH_BYTES
from ..streaming.subscription import PATIENCE
from . import access_bodies, events, heads, queries, requests, submit


def limits_of(settings: Settings) -> Mapping[str, float]:
    """The limits by name; each name ends with the unit. ``schemas.Limits`` describes them."""
    return {**_of_requests(settings), **_of_turns(settings), **_of_streams_and_keys(settings)}


def _of_requests(settings: Settings) -> dict[str, float]:
    return {
        "requests_per_second": settings.rate,
        "requests_at_once": settings.rate_burst,
        "turns_debt_seconds": LONGEST_DEBT_SECONDS,
        "wrong_keys_per_second": WRONG_KEYS_PER_SECOND if settings.wrong_keys else 0,
        "wrong_keys_at_once": settings.wrong_keys,
        "body_bytes": settings.max_body,
        "head_bytes": heads.MOST_BYTES,
        "head_seconds": settings.head_timeout,
        "body_seconds": settings.body_timeout,
        "nesting_levels": MAX_NESTING,
        "idempotency_key_characters": submit.MAX_KEY,
        "page_items": queries.MAX_ITEMS,
        "events_page_bytes": events.PAGE_BYTES,
        "wait_seconds": queries.MAX_WAIT,
    }


def _of_turns(settings: Settings) -> dict[str, float]:
    return {
        "timeout_seconds": requests.LONGEST_TIMEOUT,
        "delay_seconds": requests.LONGEST_DELAY,
        "batch_turns": min(settings.max_batch, settings.mailbox_limit),
        "mailbox_turns": settings.mailbox_limit,
        "chain_hops": settings.max_hops,
        "turn_attempts": requests.MOST_ATTEMPTS,
        "turn_crashes": settings.max_crashes,
        "concurrent_turns": settings.concurrency,
        "value_bytes": Limits._field_defaults["value_bytes"],
        "turn_values": Limits._field_defaults["values"],
        "output_bytes": OUTPUT_BYTES,
        "output_values": OUTPUT_VALUES,
        "error_message_characters": MESSAGE_LIMIT,
        "inline_bytes": INLINE_LIMIT,
        "memory_bytes": Limits._field_defaults["memory_bytes"],
        "memory_items": requests.LARGEST_MEMORY,
        "log_events": settings.retention_events,
        "log_seconds": settings.retention_age,
        "hook_seconds": settings.hook_timeout,
        "cancel_grace_seconds": settings.cancel_grace,
        "drain_seconds": settings.drain,
    }


def _of_streams_and_keys(settings: Settings) -> dict[str, float]:
    return {
        "streams": settings.max_streams,
        "caller_streams": settings.max_caller_streams,
        "stream_buffer_bytes": BATCH_BYTES,
        "stream_send_seconds": PATIENCE.send,
        "stream_ping_seconds": settings.ping,
        "key_scopes": MOST_GRANTS,
        "key_tickets": rules.MOST_TICKETS,
        "key_sessions": rules.MOST_SESSIONS,
        "session_seconds": rules.SESSION_SECONDS,
        "session_idle_seconds": rules.IDLE_SECONDS,
        "ticket_agents": access_bodies.MOST_AGENTS,
        "ticket_open_seconds": rules.OPEN_WITHIN_SECONDS,
        "ticket_return_seconds": rules.RETURN_WITHIN_SECONDS,
    }
