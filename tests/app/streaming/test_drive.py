"""A coroutine that is driven by hand behaves as one that was awaited."""

import asyncio

import pytest

from pygents_app.streaming.drive import drive

pytestmark = pytest.mark.anyio


async def test_one_that_need_not_wait_is_done_at_once() -> None:
    said: list[str] = []

    async def quick() -> None:
        said.append("done")

    before = asyncio.all_tasks()
    assert drive(quick()) is None
    assert said == ["done"]
    assert asyncio.all_tasks() == before


async def test_one_that_waits_goes_on_in_a_task() -> None:
    future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    said: list[str] = []

    async def slow() -> None:
        said.append(await future)
        await asyncio.sleep(0)
        async with asyncio.timeout(5):
            await asyncio.sleep(0.001)
        said.append("end")

    task = drive(slow())
    assert task is not None
    future.set_result("news")
    await task
    assert said == ["news", "end"]


async def test_errors_before_and_after_waiting() -> None:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def fails(waits: bool) -> None:
        if waits:
            await future
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        drive(fails(waits=False))
    task = drive(fails(waits=True))
    assert task is not None
    future.set_result(None)
    with pytest.raises(OSError, match="gone"):
        await task


async def test_a_failed_future_is_an_error_inside() -> None:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    said: list[str] = []

    async def catches() -> None:
        try:
            await future
        except OSError as error:
            said.append(str(error))

    task = drive(catches())
    assert task is not None
    future.set_exception(OSError("gone"))
    await task
    assert said == ["gone"]


async def test_cancelling_is_seen_inside() -> None:
    said: list[str] = []

    async def slow() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            said.append("cancelled")
            raise

    task = drive(slow())
    assert task is not None
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert said == ["cancelled"]
