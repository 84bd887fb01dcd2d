"""Agents of which something that is stored is damaged: they stand still, and nobody else does because of them."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import Damaged
from ..logs.about import about

log = logging.getLogger("pygents.damages")


class Damages:
    """What is damaged stays so until it is restored, which takes a new process: such an agent is not tried again."""

    def __init__(self) -> None:
        self._agents: set[str] = set()

    def __contains__(self, agent: object) -> bool:
        return agent in self._agents

    @contextmanager
    def outlived(self, agent: str) -> Iterator[None]:
        """What is damaged of this agent ends what is inside, and nothing more. Logged once."""
        try:
            yield
        except Damaged as damage:
            if agent not in self._agents:
                self._agents.add(agent)
                log.error("agent %s stands still, all others are served: %s", agent, damage.detail, extra=about(agent))
