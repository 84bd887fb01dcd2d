"""The problems that requests are answered with, by error class.

Errors that only running turns, the store or the start see are not met over HTTP, and not here.
"""

from collections.abc import Mapping

from .. import errors
from ..errors import ServiceError
from .entry import Explanation, Repeat

NO, LATER, SAME_KEY = Repeat

ERRORS: Mapping[type[ServiceError], Explanation] = {
    ServiceError: Explanation(
        "A defect of the service. It was not told to the client what; the log has it, under the request id.",
        "Look for the request id in the log and report it. The service goes on.",
        SAME_KEY,
    ),
    errors.NotFound: Explanation(
        "There is nothing at this address. Addresses have no slash at their end.",
        "Compare the address with `GET /openapi.json`, or with `links` of an answer.",
        NO,
    ),
    errors.MethodNotAllowed: Explanation(
        "The address is there, but not for this method.", "Use one of the methods in the header `Allow`.", NO
    ),
    errors.AgentNotFound: Explanation(
        "No agent has this name, or it was deleted. Names are 1 to 64 letters, digits, `_` and `-`.",
        "`GET /agents` lists those that exist; `POST /agents` makes one.",
        NO,
    ),
    errors.TurnNotFound: Explanation(
        "No turn has this id here: it is of another agent, of a deleted one, or its record is no longer retained.",
        "`GET /agents/{name}/turns` lists an agent's turns; `GET /turns/{id}` finds one of whatever agent.",
        NO,
    ),
    errors.ToolNotFound: Explanation(
        "The code that is served here has no tool of this name.", "`GET /tools` lists those that it has.", NO
    ),
    errors.KeyNotFound: Explanation(
        "No key has this id. It is the part between `pyg_` and the next `_`.",
        "`GET /keys` or `pygents keys list` shows them, those that are void included.",
        NO,
    ),
    errors.EventsGone: Explanation(
        "The turn's events were pruned: only the newest events of an agent are kept (`PYGENTS_RETENTION_EVENTS`, "
        "`PYGENTS_RETENTION_AGE`).",
        "`GET` the turn for its end and output; follow the agent's stream from `earliest`.",
        NO,
    ),
    errors.MalformedBody: Explanation(
        "The body is not JSON in UTF-8, is nested deeper than 64 levels, or has a number that no double can hold.",
        "Mend it at `position`, counted in the body.",
        NO,
    ),
    errors.MalformedCursor: Explanation(
        "`Last-Event-ID` or `?after=` is not a sequence number of 1 to 18 digits.",
        "Send back the `id` of an event as it came, or nothing at all.",
        NO,
    ),
    errors.MalformedRequest: Explanation(
        "What came is not HTTP/1.1, or two readers may take it differently, as with two lengths of a body. The "
        "connection was closed.",
        "Speak plain HTTP/1.1, without TLS, to the service itself; look what stands between.",
        NO,
    ),
    errors.MalformedHeader: Explanation(
        "A header that the service reads is not valid or was given twice, such as `Idempotency-Key` or `Prefer`.",
        "The detail names the header and its form.",
        NO,
    ),
    errors.BodyTooLarge: Explanation(
        "The body has more bytes than `PYGENTS_MAX_BODY` allows (1 MiB by default).",
        "Send a reference instead of the data, split a batch, or raise the setting (and the proxy's limit).",
        NO,
    ),
    errors.HeadTooLarge: Explanation(
        "Request line and headers have more than 64 KiB together.",
        "Look what grows there: cookies, or arguments in the address that belong into the body.",
        NO,
    ),
    errors.RequestTooSlow: Explanation(
        "The head of the request was not here within `PYGENTS_HEAD_TIMEOUT`, or its body not within "
        "`PYGENTS_BODY_TIMEOUT`. Nothing was done; the connection is closed.",
        "Send it again over a new connection. If the way is slow, send less at once, let a proxy gather requests, or "
        "raise the setting.",
        LATER,
    ),
    errors.UnsupportedMediaType: Explanation(
        "The body is not declared as JSON, or is compressed.",
        "Send `Content-Type: application/json` and no `Content-Encoding`.",
        NO,
    ),
    errors.MisdirectedHost: Explanation(
        "The request came by a name that the service does not know. That is how a page of somebody else reaches a "
        "service on this machine (DNS rebinding), so such requests are refused.",
        "Add the name to `PYGENTS_ALLOWED_HOSTS`, and let the proxy hand the `Host` on.",
        NO,
    ),
    errors.ForeignOrigin: Explanation(
        "A page of another origin tried to write; or with a cookie somebody did of whom it is not beyond doubt that it "
        "is a page of the service's own origin, or with a body that is not declared as JSON.",
        "Write from a page of the service's own origin, or from a program, which sends no `Origin`, and a key instead "
        "of a cookie. A proxy must hand on the `Host` with its port.",
        NO,
    ),
    errors.Unauthorized: Explanation(
        "There was no valid key, or more than one; a token of the issuer is not accepted (the detail says why); a "
        "stream's ticket is void, or of another stream; or a browser is not signed in, or not any more.",
        "Send a key that is neither revoked nor expired once, as `Authorization: Bearer …` or `X-API-Key: …`; get a "
        "new token, which goes into `Authorization: Bearer …` only; `POST /stream-tickets` gives another ticket, and "
        "`POST /session` signs a browser in.",
        NO,
    ),
    errors.MissingScope: Explanation(
        "The key is valid, but does not allow this. `scope` is what it would need; the detail says for which agents.",
        "Use another key, or have one made (`pygents keys create`): the scopes of a key never change.",
        NO,
    ),
    errors.InvalidRequest: Explanation(
        "A member of the body or a parameter is unknown, missing or not of its form.",
        "`errors` points to each of them; `/docs` shows the form.",
        NO,
    ),
    errors.InvalidArguments: Explanation(
        "The arguments do not fit the tool's signature; nothing was stored.",
        "`errors` points to each of them; `GET /tools/{tool}` has the schema.",
        NO,
    ),
    errors.ToolNotAccepted: Explanation(
        "The tool exists or not, but this agent does not have it.",
        "`GET /agents/{name}` lists the agent's tools; `PATCH` can add one.",
        NO,
    ),
    errors.SubmitRejected: Explanation(
        "A `BEFORE_PUT` hook of the agent raised: the code does not want this turn.", "The detail is the hook's.", NO
    ),
    errors.KeyReused: Explanation(
        "This `Idempotency-Key` was used for another body. Bodies are compared as parsed JSON, per agent and caller.",
        "Send the same body again, or take a new key for a new turn.",
        NO,
    ),
    errors.AgentExists: Explanation(
        "The name is taken by an agent with another definition. The same definition again would be answered 200.",
        "Choose another name, or `PATCH` the agent.",
        NO,
    ),
    errors.AgentGone: Explanation(
        "The agent was defined in the code and is not any more. Its log and its waiting turns are kept.",
        "Serve code that defines it, or delete it.",
        NO,
    ),
    errors.AgentBusy: Explanation(
        "The agent has turns that wait or run, so it is not deleted.",
        "Wait for their end, or add `?force=true`, which cancels them.",
        NO,
    ),
    errors.CodeAgent: Explanation(
        "The code that is served defines this agent, and code wins.", "Change it in the code and serve that.", NO
    ),
    errors.TurnEnded: Explanation(
        "The turn had ended before it could be cancelled. `turn` shows how.",
        "Nothing is left to do; `…/retry` submits it once more.",
        NO,
    ),
    errors.TurnNotEnded: Explanation(
        "Only an ended turn can be submitted once more.", "Cancel it first, or wait for its end with `?wait=60`.", NO
    ),
    errors.NoAdminKey: Explanation(
        "The first key would have closed the service, and none could have made another one.",
        "Make one with the scope `admin` for all agents first, or set `PYGENTS_ADMIN_KEY`.",
        NO,
    ),
    errors.TooManyTickets: Explanation(
        "As many tickets of this key as there may be (`GET /limits`) are not used up. Nothing was stored.",
        "Wait as long as `Retry-After` says, and get a ticket only for a page that opens its stream at once.",
        LATER,
    ),
    errors.MailboxFull: Explanation(
        "As many turns wait for this agent as its mailbox holds (`PYGENTS_MAILBOX_LIMIT`). Nothing was stored.",
        "Wait as long as `Retry-After` says. If it comes again and again, the agent gets more than it can do: use "
        "several agents, or look whether it is paused, stuck or blocked.",
        LATER,
    ),
    errors.RateLimited: Explanation(
        "The caller, which is its key or, without one, its address, has sent more requests than `PYGENTS_RATE` and "
        "`PYGENTS_RATE_BURST` allow, or the key's own `rate` and `burst`. Or agents have made so many turns in the "
        "course of its own; then it is refused further turns, and nothing else. Nothing was done.",
        "Wait as long as `Retry-After` says; the header `RateLimit` of every answer tells how many are left. Submit "
        "many turns as one batch. If it is `turns` that are used up, look for agents that send to each other without "
        "end; pausing one of them ends that.",
        LATER,
    ),
    errors.TooManyWrongKeys: Explanation(
        "From this address have come more wrong keys and tokens than `PYGENTS_WRONG_KEYS` allows. Until some time has "
        "passed it cannot use `PYGENTS_ADMIN_KEY` either, so that nobody finds that by trying, nor a token that was "
        "not sent before, because to find out that it is forged takes long; all others are admitted.",
        "Look for the program that sends a revoked or mistyped key, or a token that has expired. Behind a proxy all "
        "clients share its address: use stored keys there.",
        LATER,
    ),
    errors.Draining: Explanation(
        "The service is shutting down and takes no turns; it will soon be there again.",
        "Wait as long as `Retry-After` says.",
        LATER,
    ),
    errors.Unavailable: Explanation(
        "The service cannot do this now: the store does not answer, a hook is too slow, the keys of the issuer of "
        "tokens could not be fetched yet, or nobody answers behind the proxy. `reasons` of `/readyz` say more.",
        "Wait and repeat; a submit with the same `Idempotency-Key`.",
        SAME_KEY,
    ),
    errors.NoBackup: Explanation(
        "The store is in memory and has no file to copy.", "Serve a file: `--store sqlite:///./pygents.db`.", NO
    ),
    errors.Damaged: Explanation(
        "What is stored is not what was written: a checksum does not fit. It is not served and not executed.",
        "Stop the service, look with `pygents doctor --full`, restore a backup.",
        NO,
    ),
    errors.StoreFull: Explanation(
        "The disk of the store is full. Reads and streams go on; running turns hold their results and wait for space.",
        "Free some space: the service takes turns again by itself, without a restart.",
        LATER,
    ),
}
