"""Celery on Redis, its results in Redis too, behind a POST that answers with the result: ``get`` blocks, so in threads.

There are as many threads as connections, so that none waits for one: FastAPI's 40 would be too few.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio.to_thread
from celery import Celery
from fastapi import FastAPI
from pydantic import BaseModel

THREADS = 64
worker = Celery("bench", broker=os.environ["BENCH_REDIS"], backend=os.environ["BENCH_REDIS"])


@worker.task
def greet(name: str) -> str:
    return f"Hello, {name}!"


@asynccontextmanager
async def with_threads(_: FastAPI) -> AsyncIterator[None]:
    anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
    yield


app = FastAPI(lifespan=with_threads)


class Submit(BaseModel):
    name: str


@app.post("/greet")
def submit(body: Submit) -> dict[str, str]:
    return {"result": greet.delay(body.name).get(timeout=30)}
