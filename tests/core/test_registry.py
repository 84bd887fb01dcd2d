import pytest

from pygents_core import (
    Agent,
    AgentRegistry,
    HookRegistry,
    ToolRegistry,
    UnregisteredAgentError,
    UnregisteredHookError,
    UnregisteredToolError,
    tool,
)
from pygents_core.errors import UnregisteredDynamicError, UnregisteredError
from pygents_core.registry import DynamicRegistry, Registry
from pygents_core.testing import isolated_registries, scripted_tool


async def a_hook() -> None:
    pass


class TestTools:
    def test_registered_by_name(self) -> None:
        @tool
        async def listed() -> None:
            pass

        assert ToolRegistry.get("listed") is listed
        assert listed in ToolRegistry.all()

    def test_second_of_a_name(self) -> None:
        twice = scripted_tool("twice")
        with pytest.raises(ValueError, match="'twice' already registered"):
            ToolRegistry.register(twice)


@pytest.mark.parametrize(
    ("registry", "error"),
    [
        (ToolRegistry, UnregisteredToolError),
        (AgentRegistry, UnregisteredAgentError),
        (HookRegistry, UnregisteredHookError),
        (DynamicRegistry, UnregisteredDynamicError),
    ],
)
def test_missing_names(registry: Registry[object], error: type[UnregisteredError]) -> None:
    with pytest.raises(error, match="'nothing' not found") as caught:
        registry.get("nothing")
    assert isinstance(caught.value, KeyError)
    assert not str(caught.value).startswith('"'), "KeyError's quotes are not in the message"


class TestHooks:
    def test_register_under_its_name_or_another(self) -> None:
        HookRegistry.register(a_hook)
        HookRegistry.register(a_hook, name="other")
        assert HookRegistry.get("a_hook") is HookRegistry.get("other") is a_hook

    def test_register_is_strict_and_ensure_is_not(self) -> None:
        async def other() -> None:
            pass

        HookRegistry.ensure(a_hook)
        HookRegistry.ensure(a_hook)
        with pytest.raises(ValueError, match="already registered"):
            HookRegistry.register(a_hook)
        with pytest.raises(ValueError, match="already registered"):
            HookRegistry.ensure(other, "a_hook")

    def test_clear(self) -> None:
        HookRegistry.register(a_hook)
        HookRegistry.clear()
        with pytest.raises(UnregisteredHookError):
            HookRegistry.get("a_hook")

    def test_name_for(self) -> None:
        assert HookRegistry.name_for(a_hook) == "a_hook"
        HookRegistry.register(a_hook, "custom")
        assert HookRegistry.name_for(a_hook) == "custom"


class TestResolver:
    def test_is_asked_for_what_is_missing_only(self) -> None:
        asked: list[str] = []
        known = Agent("known", "", [])
        stored = Agent("stored", "", [], register=False)

        def resolve(name: str) -> Agent | None:
            asked.append(name)
            return stored if name == "stored" else None

        AgentRegistry.resolver = resolve
        assert AgentRegistry.get("known") is known
        assert AgentRegistry.get("stored") is stored
        with pytest.raises(UnregisteredAgentError):
            AgentRegistry.get("nobody")
        assert asked == ["stored", "nobody"]
        assert stored not in AgentRegistry.all()

        AgentRegistry.resolver = None
        with pytest.raises(UnregisteredAgentError):
            AgentRegistry.get("stored")


def test_isolated_registries() -> None:
    outer = scripted_tool("outer")
    with isolated_registries():
        scripted_tool("inner")
        AgentRegistry.resolver = {"somebody": Agent("somebody", "", [])}.get
        assert ToolRegistry.get("outer") is outer
        AgentRegistry.clear()
        assert AgentRegistry.get("somebody").name == "somebody"
    with pytest.raises(UnregisteredAgentError):
        AgentRegistry.get("somebody")
    with pytest.raises(UnregisteredToolError):
        ToolRegistry.get("inner")
