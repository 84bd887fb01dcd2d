"""What ``pygents serve`` says when it is ready: where it is, what it serves, how to try it."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from pygents_core.agent import Agent
from pygents_core.errors import ArgumentsError
from pygents_core.tool import Tool

from ..settings import Settings
from .addresses import local_url

MOST_AGENTS, MOST_TOOLS = 10, 6
EXAMPLES: Mapping[str, object] = {
    "string": "World", "integer": 3, "number": 1.5, "boolean": True, "array": [], "object": {},
}  # fmt: skip


def banner(
    settings: Settings, *, version: str, title: str, port: int, agents: Iterable[Agent], tools: Iterable[Tool]
) -> str:
    url = local_url(settings.host, port)
    known = sorted(agents, key=lambda agent: agent.name)
    lines = [
        f"pygents {version} serves {title}",
        "",
        f"  API       {url}",
        f"  Guide     {url}/guide/",
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
    if not any(agent.tools for agent in agents):
        body = json.dumps({"name": "first", "tools": tools})
        return [f"  {post} {url}/agents -d {_shell(body)}"]
    found = ((agent, _turn(tool)) for agent in agents for tool in agent.tools)
    agent, turn = next(((agent, turn) for agent, turn in found if turn is not None), (None, None))
    if agent is None:
        return [f"  curl -s{key} {url}/tools"]
    return [
        f"  {post} {url}/agents/{agent.name}/turns -d {_shell(json.dumps(turn))}",
        f"  curl -sN{key} {url}/agents/{agent.name}/stream",
    ]


def _turn(tool: Tool) -> dict[str, object] | None:
    """A turn that this tool takes; None if none can be thought up."""
    arguments = _arguments(tool.schema.json_schema)
    try:
        tool.schema.validate([], arguments)
    except ArgumentsError:
        return None
    return {"tool": tool.metadata.name, "kwargs": arguments}


def _arguments(schema: Mapping[str, Any]) -> dict[str, Any]:
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
    shown = _first(MOST_AGENTS, entries) or ["none yet"]
    return [f"  {title if not index else '':9} {entry}" for index, entry in enumerate(shown)]


def _tools(agent: Agent) -> list[str]:
    return _first(MOST_TOOLS, [tool.metadata.name for tool in agent.tools])


def _first(most: int, entries: list[str]) -> list[str]:
    """The first ``most`` entries, and how many others there are; one more is shown rather than counted."""
    return entries if len(entries) <= most + 1 else [*entries[:most], f"and {len(entries) - most} more"]


def _database(store: str) -> str:
    """The file, or the address without what may be a password."""
    scheme, _, rest = store.partition("://")
    return rest.removeprefix("/") if scheme == "sqlite" else f"{scheme}://{rest.rpartition('@')[2]}"


def _shell(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
