"""A workflow of one trivial step on llama-agents-server, with the memory store that it has by default."""

from llama_agents.server import WorkflowServer
from workflows import Workflow, step
from workflows.events import StartEvent, StopEvent


class Greeting(Workflow):
    @step
    async def greet(self, event: StartEvent) -> StopEvent:
        return StopEvent(result=f"Hello, {event.get('name')}!")


server = WorkflowServer()
server.add_workflow("greet", Greeting())
app = server.app
