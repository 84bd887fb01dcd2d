"""All registries in one place. Each lives beside the kind of thing that it holds."""

from ._registry import Registry
from .agent import AgentRegistry
from .hooks import HookRegistry
from .serialization import DynamicRegistry
from .tool import ToolRegistry

__all__ = ["AgentRegistry", "DynamicRegistry", "HookRegistry", "Registry", "ToolRegistry"]
