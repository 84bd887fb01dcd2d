"""A conversation with a language model, as a stream of its words. Served if ``OPENAI_BASE_URL`` is set."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Annotated

from pydantic import Field

from pygents_core import Agent, WorkingMemory, tool

from .completions import Message, stream

MESSAGES, CHARACTERS = 100, 100_000
"""How much of a conversation is remembered; what is older is forgotten, because models read only so much."""

SYSTEM = "You are a helpful assistant. Answer briefly and in plain words."


@tool()
async def chat(
    message: Annotated[str, Field(min_length=1, max_length=CHARACTERS)],
    memory: WorkingMemory,
    system: str = SYSTEM,
    model: str | None = None,
    temperature: Annotated[float | None, Field(ge=0, le=2)] = None,
) -> AsyncIterator[str]:
    """Say something to the model; its answer comes piece by piece. It remembers the conversation.

    Args:
        message: What to say.
        system: What the model is told about its part before everything else.
        model: The model to ask, instead of the one in OPENAI_MODEL or the endpoint's first.
        temperature: 0 for the likeliest words, up to 2 for surprising ones.
    """
    said: Message = {"role": "user", "content": message}
    answer = []
    conversation = [{"role": "system", "content": system}, *memory.items, said]
    async with aclosing(stream(conversation, model=model, temperature=temperature)) as pieces:
        async for piece in pieces:
            answer.append(piece)
            yield piece
    if answer:  # endpoints refuse an empty message when it is sent back to them
        memory.replace(_newest([*memory.items, said, {"role": "assistant", "content": "".join(answer)}]))


def _newest(messages: list[Message]) -> list[Message]:
    """As many of the newest pairs of question and answer as may be remembered; at least the last."""
    kept, characters = 0, 0
    for start in range(len(messages) - 2, -1, -2):
        characters += sum(len(message["content"]) for message in messages[start : start + 2])
        if kept and (characters > CHARACTERS or kept + 2 > MESSAGES):
            break
        kept += 2
    return messages[-kept:]


chatter = Agent("chat", "Talks with a language model", [chat], memory=WorkingMemory(MESSAGES))
