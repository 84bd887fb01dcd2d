"""The page of pygents 0.2.1: its example runs, and its names can be imported from where they were."""

import asyncio
import importlib

import pytest

import pygents_core

EXAMPLE = """
import asyncio
from pygents_core import Agent, Turn, tool

@tool()
async def greet(name: str) -> str:
    return f"Hello, {name}!"

async def main():
    agent = Agent("greeter", "Greets people", [greet])
    # Use kwargs:
    await agent.put(Turn("greet", kwargs={"name": "World"}))
    # Or positional args:
    await agent.put(Turn("greet", args=["World"]))

    async for turn, value in agent.run():
        print(value)  # "Hello, World!"

asyncio.run(main())
"""


def test_the_example(capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(EXAMPLE, "example", "exec"), {})  # noqa: S102 - it is a constant of this file
    assert capsys.readouterr().out == "Hello, World!\nHello, World!\n"


@pytest.mark.parametrize(
    ("module", "names"),
    [
        ("agent", ["Agent"]),
        (
            "errors",
            [
                "SafeExecutionError",
                "TurnTimeoutError",
                "UnregisteredAgentError",
                "UnregisteredHookError",
                "UnregisteredToolError",
                "WrongRunMethodError",
            ],
        ),
        ("hooks", ["AgentHook", "Hook", "ToolHook", "TurnHook", "run_hooks"]),
        ("memory", ["WorkingMemory"]),
        ("registry", ["AgentRegistry", "HookRegistry", "ToolRegistry"]),
        ("tool", ["Tool", "ToolMetadata", "tool"]),
        ("turn", ["StopReason", "Turn"]),
    ],
)
def test_its_names(module: str, names: list[str]) -> None:
    found = importlib.import_module(f"pygents_core.{module}")
    for name in names:
        assert getattr(found, name) is getattr(pygents_core, name)


def test_public_names_exist() -> None:
    assert len(set(pygents_core.__all__)) == len(pygents_core.__all__)
    assert all(hasattr(pygents_core, name) for name in pygents_core.__all__)


def test_names_of_a_generic_turn() -> None:
    @pygents_core.tool
    async def double(x: int) -> int:
        return x * 2

    assert asyncio.run(pygents_core.Turn[int]("double", [4]).returning()) == 8
