"""A workflow of one step that calls a function, on Agno's AgentOS with its SQLite database."""

from agno.db.sqlite import SqliteDb
from agno.os import AgentOS
from agno.workflow import Step, StepInput, StepOutput, Workflow


async def greet(asked: StepInput) -> StepOutput:
    return StepOutput(content=f"Hello, {asked.input}!")


workflow = Workflow(
    id="greet",
    name="greet",
    db=SqliteDb(db_file="agno.db"),
    steps=[Step(name="greet", executor=greet)],
    telemetry=False,
)
app = AgentOS(workflows=[workflow], telemetry=False).get_app()
