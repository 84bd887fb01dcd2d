"""The library: agents, turns, tools, hooks and working memory."""

from .agent import Agent, current_agent
from .errors import (
    ArgumentsError,
    HookFailed,
    HopLimitError,
    MailboxFullError,
    NotJsonError,
    NotRunningError,
    PygentsError,
    SafeExecutionError,
    TurnTimeoutError,
    UnregisteredAgentError,
    UnregisteredDynamicError,
    UnregisteredError,
    UnregisteredHookError,
    UnregisteredToolError,
    WrongRunMethodError,
)
from .hooks import AgentHook, Hook, ToolHook, TurnHook, run_hooks
from .loops import close_loop_locals, loop_local
from .mailbox import InMemoryMailbox, Mailbox
from .memory import WorkingMemory
from .registry import AgentRegistry, DynamicRegistry, HookRegistry, ToolRegistry
from .schema import ToolSchema
from .serialization import Dynamic, dynamic
from .tool import Retry, Tool, ToolMetadata, tool
from .turn import StopReason, Turn, current_turn

__all__ = [
    "Agent",
    "AgentHook",
    "AgentRegistry",
    "ArgumentsError",
    "Dynamic",
    "DynamicRegistry",
    "Hook",
    "HookFailed",
    "HookRegistry",
    "HopLimitError",
    "InMemoryMailbox",
    "Mailbox",
    "MailboxFullError",
    "NotJsonError",
    "NotRunningError",
    "PygentsError",
    "Retry",
    "SafeExecutionError",
    "StopReason",
    "Tool",
    "ToolHook",
    "ToolMetadata",
    "ToolRegistry",
    "ToolSchema",
    "Turn",
    "TurnHook",
    "TurnTimeoutError",
    "UnregisteredAgentError",
    "UnregisteredDynamicError",
    "UnregisteredError",
    "UnregisteredHookError",
    "UnregisteredToolError",
    "WorkingMemory",
    "WrongRunMethodError",
    "close_loop_locals",
    "current_agent",
    "current_turn",
    "dynamic",
    "loop_local",
    "run_hooks",
    "tool",
]
