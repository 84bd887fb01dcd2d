"""What is tried against the service, and by which tests: a table of the guide's page on security is made of this."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Topic(NamedTuple):
    """``tests`` as pytest names them; of a class its name is enough."""

    tried: str
    tests: Sequence[str]


GUARD, MATRIX, ACCESS = "app/api/test_guard.py", "app/api/test_matrix.py", "faults/test_access.py"
CAMPAIGN, MEMORY = "attacks/test_campaign.py::test_nothing_gets_through", "attacks/test_memory.py"

TOPICS: Mapping[str, Topic] = {
    "listening without a key": Topic(
        "an address beyond loopback without a key does not start; with one, every operation but the probes asks for it",
        (f"{ACCESS}::TestStart", f"{MATRIX}::test_nobody_comes_in", f"{GUARD}::TestKey",
         "conformance/test_fuzzing.py::test_without_a_key_nothing_is_to_be_had"),
    ),
    "keys at rest": Topic(
        "no file has a key or a ticket; a revoked or expired one ends its open streams",
        (f"{ACCESS}::TestKeys", "contracts/test_access.py::TestKeys"),
    ),
    "guessing": Topic(
        "the same comparisons of whole hashes whatever was sent; keys not in ASCII, empty, huge, doubled; many of them",
        ("app/test_auth.py::TestTime", f"{GUARD}::TestKey", "app/api/test_keys.py::TestHostile",
         "app/api/test_turnstile.py::TestWrongKeys", "faults/test_greedy_callers.py::test_keys_that_are_tried_out"),
    ),
    "scopes": Topic(
        "every kind of key on every operation of the OpenAPI document: refused by name, or as if it did not exist",
        (MATRIX, "conformance/test_fuzzing.py::test_with_a_narrow_key_it_is_answered_as_described"),
    ),
    "keys in addresses, tickets": Topic(
        "a key in the address is none; a ticket for another stream, changed, doubled, too late",
        (f"{ACCESS}::TestTickets", "app/api/test_keys.py::TestHostile", "browser/test_ticket.py",
         "deploy/test_proxies.py::TestStreams::test_its_ticket_is_in_no_access_log"),
    ),
    "tokens of an issuer": Topic(
        "unsigned, of other keys, issuers and times, the public key as a secret; keys from unsafe addresses, redirects",
        ("faults/test_tokens.py", "app/tokens/test_verifying.py",
         "app/tokens/test_fetching.py::test_keys_come_from_safe_places_only"),
    ),
    "pages of others": Topic(
        "CORS by exact origins only; foreign and null origins, forms, plain text; DNS rebinding by a foreign Host",
        ("app/api/test_cors.py", f"{GUARD}::TestHost", f"{GUARD}::TestOrigin",
         "app/api/test_keys.py::TestHostile::test_the_form_of_a_foreign_page_makes_no_key"),
    ),
    "pages of the service": Topic(
        "a strict policy, nothing from elsewhere, all data shown as text",
        ("app/guide/test_guide.py::TestHttp", "app/guide/test_guide.py::TestPages", "browser/test_docs.py"),
    ),
    "values that break out of a stream": Topic(
        "line ends of every kind, further fields and whole events in values",
        ("properties/test_sse_frames.py", "faults/test_resume.py::test_values_cannot_break_out_of_their_frame"),
    ),
    "names": Topic(
        "paths that climb, NUL, line ends, any coding of them, as names of agents, turns, tools, pages",
        ("app/api/test_hostile.py::test_paths", "faults/test_hostile_http.py::test_names",
         "app/guide/test_guide.py::TestHttp::test_nothing_else_is_there"),
    ),
    "calling what is no tool": Topic(
        "names of modules and methods, tools of other agents, arguments that do not fit",
        ("faults/test_hostile_http.py::test_bodies", "supply/test_dangers.py"),
    ),
    "crafted documents": Topic(
        "nothing in them is imported, run or opened, as Python's own audit hooks tell",
        ("core/test_crafted_documents.py", "supply/test_dangers.py"),
    ),
    "bodies and heads": Topic(
        "JSON that is none, too deep, too large, of numbers beyond numbers; heads, trailers and requests without end",
        ("app/api/test_bodies.py", "app/api/test_hostile.py", MEMORY, "app/test_protocol.py",
         "faults/test_storage.py::test_refused_bodies_cost_no_memory"),
    ),
    "slow clients": Topic(
        "a thousand requests that go on no further; bytes that trickle",
        (f"{MEMORY}::test_a_thousand_half_requests", "app/test_slow_clients.py", "faults/test_greedy_callers.py"),
    ),
    "logs": Topic(
        "keys, tickets, tokens and arguments that were sent are looked for in every line; line ends and escapes",
        (CAMPAIGN, "app/logs/test_forms.py", "app/logs/test_stderr.py",
         "app/api/test_access_log.py::TestALine::test_never_has_the_query"),
    ),
    "errors": Topic(
        "each problem that any test meets, a full disk, damage and defects included, has no traceback, path or SQL",
        ("conformance/test_checker.py", f"{GUARD}::TestEveryAnswer::test_a_defect_tells_nothing", CAMPAIGN),
    ),
    "things of other callers": Topic(
        "their turns are not found, their idempotency keys are not theirs alone",
        ("app/api/test_keys.py::TestCaller", "app/api/test_keys.py::TestLists", f"{MATRIX}",
         "faults/test_tokens.py::TestWhoComesIn::test_a_subject_is_its_own_scope_of_idempotency"),
    ),
    "caches and proxies": Topic(
        "no answer may be stored; streams pass nginx and Caddy as they come",
        (f"{GUARD}::TestEveryAnswer", "app/streaming/test_streams_http.py", "deploy/test_proxies.py"),
    ),
    "made up addresses": Topic(
        "`X-Forwarded-For` and `Forwarded` change neither what is counted nor what is in the audit log",
        ("app/api/test_turnstile.py::TestRate::test_what_is_made_up_of_an_address_does_not_count",
         "app/api/test_keys.py::TestAudit"),
    ),
    "files": Topic(
        "0600 for the database, its backups and its log; a container without rights on a file system that is read only",
        ("faults/test_file_modes.py", "container/test_files.py", "container/test_image.py", "deploy/test_files.py"),
    ),
    "the audit log": Topic(
        "one entry for each action of an admin, with it or not at all, and no way to change it",
        ("app/api/test_keys.py::TestAudit", f"{ACCESS}::TestAudit", "contracts/test_access.py"),
    ),
    "requests that hide in others": Topic(
        "lengths and codings that two readers take differently, trailers, upgrades, pipelines",
        ("attacks/test_smuggling.py", "app/test_protocol.py"),
    ),
    "what is installed": Topic(
        "all of it pinned with hashes; nothing of the product runs data",
        ("supply/test_bill.py", "supply/test_dangers.py", "test_architecture.py"),
    ),
    "agents that call each other": Topic(
        "loops and fans stop at the bounds of hops and mailboxes",
        ("faults/test_sends.py::test_a_loop_of_messages_stops", "faults/test_crowds.py"),
    ),
    "all of it at once": Topic(
        "hundreds of thousands of requests of all these kinds; memory and descriptors are as before",
        (CAMPAIGN,),
    ),
}  # fmt: skip


def table() -> str:
    rows = ["| against | what is tried | where (`tests/`) |", "|---|---|---|"]
    for name, (tried, tests) in TOPICS.items():
        files = dict.fromkeys(test.partition("::")[0].removesuffix(".py") for test in tests)
        rows.append(f"| {name} | {tried} | {', '.join(f'`{file}`' for file in files)} |")
    return "\n".join(rows) + "\n"
