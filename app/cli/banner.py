"""What ``pygents serve`` says when it is ready: where it is, what it serves, how to try it."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from pygents_core.agent import Agent
from pygents_core.tool import Tool

from ..settings import Settings

MOST_AGENTS = 10
EXAMPLES: Mapping[str, object] = {
    "string": "World", "integer": 3, "number": 1.5, "boolean": True, "array": [], "object": {},
}  # fmt: skip


def banner(
    settings: Settings, *, version: str, title: str, port: int, agents: Iterable[Agent], tools: Iterable[Tool]
) -> str:
    url = f"http://{_reachable(settings.host)}:{port}"
    known = sorted(agents, key=lambda agent: agent.name)
    lines = [
        f"pygents {version} serves {title}",
        "",
        f"  API       {url}",
        f"  Docs      {url}/docs",
        f"  Database  {_database(settings.store)}",
        *_listed("Agents", [f"{agent.name} ({', '.join(_tools(agent))})" for agent in known]),
        "",
        "Try it:",
        "",
        *_example(settings, url, known, sorted(tool.metadata.name for tool in tools)),
        "",
        "Ctrl-C stops it.",
    ]
    return "\n".join(lines)


def _example(settings: Settings, url: str, agents: list[Agent], tools: list[str]) -> list[str]:
    key = ' -H "Authorization: Bearer $PYGENTS_ADMIN_KEY"' if settings.admin_key is not None else ""
    post = f"curl -s{key} -H 'Content-Type: application/json'"
    agent = next((agent for agent in agents if agent.tools), None)
    if agent is None:
        body = json.dumps({"name": "first", "tools": tools})
        return [f"  {post} {url}/agents -d {_shell(body)}"]
    tool = agent.tools[0]
    body = json.dumps({"tool": tool.metadata.name, "kwargs": _arguments(tool.schema.json_schema)})
    return [
        f"  {post} {url}/agents/{agent.name}/turns -d {_shell(body)}",
        f"  curl -sN{key} {url}/agents/{agent.name}/stream",
    ]


def _arguments(schema: Mapping[str, Any]) -> dict[str, object]:
    """Something for each parameter that has no default."""
    properties = schema.get("properties", {})
    return {name: EXAMPLES.get(_type(properties.get(name)), "World") for name in schema.get("required", [])}


def _type(schema: object) -> str:
    """The first type that the schema allows besides null; "" if it does not say. Users write schemas of any shape."""
    if not isinstance(schema, Mapping):
        return ""
    given = schema.get("type")
    found = [given] if isinstance(given, str) else given
    if not isinstance(found, list):
        options = schema.get("anyOf")
        found = [_type(option) for option in options] if isinstance(options, list) else []
    return next((type_ for type_ in found if isinstance(type_, str) and type_ not in {"", "null"}), "")


def _listed(title: str, entries: list[str]) -> list[str]:
    shown = entries[:MOST_AGENTS]
    if len(entries) > len(shown):
        shown.append(f"and {len(entries) - len(shown)} more")
    return [f"  {title if not index else '':9} {entry}" for index, entry in enumerate(shown or ["none yet"])]


def _tools(agent: Agent) -> list[str]:
    return [tool.metadata.name for tool in agent.tools]


def _reachable(host: str) -> str:
    """An address that a client on this machine can use."""
    plain = host.strip("[]")
    plain = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(plain, plain)  # noqa: S104
    return f"[{plain}]" if ":" in plain else plain


def _database(store: str) -> str:
    """The file, or the address without what may be a password."""
    scheme, _, rest = store.partition("://")
    return rest.removeprefix("/") if scheme == "sqlite" else f"{scheme}://{rest.rpartition('@')[2]}"


def _shell(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
