"""From the POST of a turn to its end on the agent's stream, durable, for ever more connections at once."""

from functools import partial
from pathlib import Path

from .client import ask
from .harness import Burst, Dose, Server, Table, rotate, service, serving
from .roundtrip import burst

TITLE = "latency against connections: POST to the turn's end on the stream"
CONNECTIONS = (1, 4, 16, 64, 256)
FEW = (1, 4)


async def measure(dose: Dose, folder: Path) -> list[Table]:
    """Each connection has an agent of its own, and posts again once it has the end of its last turn."""
    numbers = FEW if dose.small else CONNECTIONS
    command, env = service(folder, "latency")
    with serving(command, folder, env) as server:
        agents = await _agents(server, max(numbers))
        bursts: dict[str, Burst] = {str(each): partial(burst, server, dose, agents[:each]) for each in numbers}
        return [Table(TITLE, str(numbers[0]), await rotate(bursts, dose.rounds))]


async def _agents(server: Server, number: int) -> list[str]:
    names = [f"latency-{index}" for index in range(number)]
    for name in names:
        await ask(server.port, "POST", "/agents", {"name": name, "tools": ["greet"]})
    return [f"/agents/{name}" for name in names]
