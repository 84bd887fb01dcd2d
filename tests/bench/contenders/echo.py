"""A bare FastAPI application that validates the body of a submit and gives it back."""

from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()


class Submit(BaseModel, extra="forbid"):
    tool: str
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    timeout: float = 60
    metadata: dict[str, Any] = {}


@app.get("/healthz")
async def health() -> dict[str, str]:
    return {"status": "ok"}


@app.post("/agents/{name}/turns", status_code=202)
async def submit(name: str, body: Submit) -> Submit:
    return body
