"""What clients get, as models: for the OpenAPI description only. The answers themselves are joined bytes
(``representations``); a test holds the two together."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ..model import TurnStatus
from .queries import AgentStatus
from .representations import WaitingFor

StopReason = Literal["completed", "timeout", "error", "cancelled"]


class Shown(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_serialization_defaults_required=True)


class TurnError(Shown):
    """Why a turn failed."""

    type: str = Field(description="The exception's class name, or in lower case one of the service's own causes.")
    message: str


class TurnParent(Shown):
    """The turn that sent this one."""

    agent: str
    id: str


class RetryPolicy(Shown):
    """How often and when the turn is run again if it does not complete."""

    max_attempts: int = Field(description="All of them, the first included.")
    delay: float = Field(description="Seconds before the second attempt.")
    factor: float = Field(description="What each further delay is multiplied by.")
    max_delay: float = Field(description="Seconds that no delay exceeds.")
    jitter: bool
    on: list[Literal["error", "timeout", "interrupted"]]


class TurnLinks(Shown):
    self: str
    agent: str
    stream: str
    cancel: str


class Turn(Shown):
    """One unit of work of an agent."""

    id: str = Field(description="UUIDv7.")
    agent: str
    tool: str
    args: list[Any] | None = Field(description="Null in lists if larger than 64 KiB.")
    kwargs: dict[str, Any] | None = Field(description="Null in lists if larger than 64 KiB.")
    timeout: float = Field(description="Seconds.")
    metadata: dict[str, Any] | None = Field(description="Null in lists if larger than 64 KiB.")
    status: TurnStatus
    stop_reason: StopReason | None = Field(description="How it ended; null until then.")
    position: int | None = Field(description="Place in the mailbox, 1 = next; null unless queued.")
    waiting_for: WaitingFor | None = Field(
        description="Why it has not begun: `previous` while another turn or its code runs. Null if it is about to."
    )
    attempt: int = Field(description="0 until it begins.")
    retry: RetryPolicy | None = Field(description="When it is run again; null: never.")
    retry_of: str | None = Field(description="Id of the ended turn that it repeats.")
    created_at: datetime
    not_before: datetime | None
    start_time: datetime | None
    end_time: datetime | None
    output: Any = Field(description="Of a generator the list of its values, up to 1,000 and 256 KiB.")
    values: int = Field(description="How many values it has given.")
    error: TurnError | None
    parent: TurnParent | None
    root: str = Field(description="Id of the first turn of the chain of sends.")
    hops: int = Field(description="Sends since the root.")
    truncated: list[str] = Field(description="Members that are null here because they are large.")
    links: TurnLinks


class LastError(Shown):
    """The last failure of one of the agent's turns."""

    turn_id: str
    time: datetime
    error: TurnError


class AgentLinks(Shown):
    self: str
    turns: str
    stream: str
    events: str


class Agent(Shown):
    """A long-lived, named agent."""

    name: str
    description: str
    tools: list[str]
    missing_tools: list[str] = Field(description="Those of its tools that are not registered here.")
    hooks: dict[str, list[str]]
    labels: dict[str, str]
    source: Literal["code", "api"]
    status: AgentStatus
    paused: bool
    current_turn: str | None
    queued: int
    scheduled: int
    oldest_queued_at: datetime | None
    last_error: LastError | None
    earliest: int = Field(description="Sequence number of the oldest retained event.")
    latest: int = Field(description="Sequence number of the last event.")
    node: str | None = Field(description="The node that owns the agent now.")
    created_at: datetime
    updated_at: datetime
    links: AgentLinks


class ToolLinks(Shown):
    self: str


class Tool(Shown):
    """A function that agents can run."""

    name: str
    description: str | None
    input_schema: dict[str, Any] = Field(description="JSON schema of the arguments.")
    streaming: bool = Field(description="Whether it gives several values.")
    lock: bool = Field(description="Whether it runs once at a time.")
    links: ToolLinks


class Page(Shown):
    """A page of a list. `next` is the `after` of the next page; null at the end."""

    next: str | None


class AgentPage(Page):
    items: list[Agent]


class TurnPage(Page):
    items: list[Turn]


class ToolPage(Page):
    items: list[Tool]


class Explanation(Shown):
    """What can go wrong: what it means and what to do."""

    name: str
    kind: Literal["http", "stream.closing", "stream.reset", "turn.error"] = Field(
        description="Where it is met: an answer's problem, a stream's reason, a failed turn's error."
    )
    type: str = Field(description="What stands there as `type` or `reason`.")
    status: int | None = Field(description="Of the answer; null for all but `http`.")
    title: str
    meaning: str
    remedy: str
    repeat: Literal["no", "later", "same-key"] = Field(
        description="Whether to send the same again: `no`, something has to change first; `later`, it passes by "
        "itself; `same-key`, whether it was done is not known, so with the same `Idempotency-Key`."
    )
    links: ToolLinks


class ExplanationPage(Page):
    items: list[Explanation]


class TurnBatch(Shown):
    """The turns of a batch, in its order."""

    items: list[Turn]


class Info(Shown):
    version: str
    node: str
    engine: str
    durability: Literal["full", "relaxed"]


class Limits(Shown):
    """Each name ends with the unit, or tells what is counted."""

    requests_per_second: float = Field(
        description="Of one key or, without keys, address, and as many turns; 0: any number. A key may have its own."
    )
    requests_at_once: int = Field(description="What it may send before that holds, if it does.")
    turns_debt_seconds: float = Field(
        description="For turns that agents make in the course of a caller's, its next is refused for so long at most."
    )
    wrong_keys_per_second: float = Field(description="From one address; 0: any number.")
    wrong_keys_at_once: int = Field(description="What it may send before that holds; 0: any number.")
    body_bytes: int = Field(description="Of a request.")
    head_bytes: int = Field(description="Of the request line and all headers.")
    head_seconds: float = Field(description="For the head of a request to arrive.")
    body_seconds: float = Field(description="For its body to arrive then.")
    nesting_levels: int = Field(description="Of bodies and of values, as JSON.")
    idempotency_key_characters: int
    page_items: int = Field(description="Largest `limit` of a list.")
    events_page_bytes: int = Field(description="Where a page of events ends early.")
    wait_seconds: int = Field(description="Largest `wait` for a turn's end.")
    timeout_seconds: float = Field(description="Longest `timeout` of a turn.")
    delay_seconds: float = Field(description="Longest `delay` of a turn.")
    batch_turns: int = Field(description="Turns of one batch.")
    mailbox_turns: int = Field(description="Turns that wait for one agent, delayed ones included.")
    chain_hops: int = Field(description="Sends from a chain's first turn.")
    turn_attempts: int = Field(description="Largest `max_attempts` of a turn.")
    turn_crashes: int = Field(description="Ends of the process at which a turn is run again no more.")
    concurrent_turns: int = Field(description="Turns that this node runs at once.")
    value_bytes: int = Field(description="One value of a turn, as JSON.")
    turn_values: int = Field(description="Values of one turn.")
    output_bytes: int = Field(description="Larger outputs of generators are null.")
    output_values: int = Field(description="Longer outputs of generators are null.")
    error_message_characters: int = Field(description="Longer messages of errors are cut.")
    inline_bytes: int = Field(description="Larger pieces are null in events and lists.")
    memory_bytes: int = Field(description="An agent's memory, as JSON.")
    memory_items: int = Field(description="Largest `limit` of an agent's memory.")
    log_events: int = Field(description="Events that are kept of each agent; the running turn's are kept in any case.")
    log_seconds: float = Field(description="How long events are kept.")
    hook_seconds: float
    cancel_grace_seconds: float = Field(description="For code to stop when it is told to.")
    drain_seconds: float = Field(description="For running turns to finish at shutdown.")
    streams: int = Field(description="That this node has open at once; 0: any number.")
    caller_streams: int = Field(
        description="Of one key or, without keys, address; 0: any number. A key may have its own."
    )
    stream_buffer_bytes: int = Field(description="What a stream holds for a slow reader.")
    stream_send_seconds: float = Field(description="A reader that takes nothing for so long is cut off.")
    stream_ping_seconds: float = Field(description="Silence before a ping.")
    key_scopes: int = Field(description="Of one key.")
    key_tickets: int = Field(description="Stream tickets of one key that are not void.")
    key_sessions: int = Field(description="Browsers that are signed in with one key.")
    session_seconds: int = Field(description="That a browser is signed in at most.")
    session_idle_seconds: int = Field(description="From its last request until it is signed out.")
    ticket_agents: int = Field(description="Of one stream ticket.")
    ticket_open_seconds: int = Field(description="From a ticket's issue to its stream.")
    ticket_return_seconds: int = Field(description="From a stream's end to its next connection with the ticket.")


class Health(Shown):
    status: Literal["ok"]


class Problem(BaseModel):
    """An error of any kind (RFC 9457). Each kind has a schema of its own, and some have further members."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(description="Stable: `urn:pygents:problem:…`.")
    title: str
    status: int
    detail: str = Field(description="For people: what is wrong and what to do.")


class Mistake(Shown):
    pointer: str = Field(description="JSON pointer (RFC 6901) into the body, or the name of a query parameter.")
    detail: str
