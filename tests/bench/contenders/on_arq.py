"""arq on Redis behind a POST that answers with the result, as its users write it.

Both sides look every 10 ms: by default they would wait up to half a second. All else is as it comes; ten at once, the
worker's default, did more per second than 64 or 100.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from arq import create_pool
from arq.connections import RedisSettings
from fastapi import FastAPI
from pydantic import BaseModel

POLL_SECONDS = 0.01
REDIS = RedisSettings.from_dsn(os.environ["BENCH_REDIS"])


async def greet(context: dict[str, Any], name: str) -> str:
    return f"Hello, {name}!"


class WorkerSettings:
    functions = (greet,)
    redis_settings = REDIS
    poll_delay = POLL_SECONDS


@asynccontextmanager
async def connected(app: FastAPI) -> AsyncIterator[None]:
    app.state.redis = await create_pool(REDIS)
    try:
        yield
    finally:
        await app.state.redis.aclose()


app = FastAPI(lifespan=connected)


class Submit(BaseModel):
    name: str


@app.post("/greet")
async def submit(body: Submit) -> dict[str, str]:
    job = await app.state.redis.enqueue_job("greet", body.name)
    return {"result": await job.result(timeout=30, poll_delay=POLL_SECONDS)}
