# ruff: noqa: ASYNC240 (looking for files is quick)
"""Keys and tickets of a real process: over kill -9, in its file, on the command line, and for streams that are open."""

import asyncio
import os
import sqlite3
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from tests.caller import Caller, calling
from tests.faults.conftest import AGENTS
from tests.follower import Follower, following
from tests.helpers import eventually, eventually_sync
from tests.service import COMMAND, Service, serving

pytestmark = pytest.mark.anyio

Own = Callable[..., Service]
WITHIN = 5.0
"""Seconds in which the streams of a key that is not valid any more have ended."""


async def make(caller: Caller, *scopes: str, **fields: Any) -> Any:
    answer = await caller.http.post("/keys", json={"scopes": scopes, **fields})
    assert answer.status_code == 201, answer.text
    return answer.json()


async def revoke(caller: Caller, key: Any) -> None:
    assert (await caller.http.delete(f"/keys/{key['id']}")).status_code == 204


async def root_of(service: Service) -> str:
    async with calling(service.url) as caller:
        return str((await make(caller, "admin", name="root"))["key"])


async def ticket_of(service: Service, key: str, *agents: str) -> str:
    async with calling(service.url, key) as caller:
        answer = await caller.http.post("/stream-tickets", json={"agents": agents})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["ticket"])


async def ends(stream: Follower) -> None:
    """In time, and cleanly."""
    began = time.monotonic()
    await stream.to_end(timeout=WITHIN)
    assert time.monotonic() - began < WITHIN


async def status_of(url: str, **options: Any) -> int:
    async with following(url, **options) as stream:
        return stream.status


def run(folder: Path, *arguments: object, **environ: str) -> tuple[int, str, str]:
    """Exit code, and what was said on stdout and stderr."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("PYGENTS_")}
    command = [str(COMMAND), *map(str, arguments)]
    ended = subprocess.run(
        command, cwd=folder, env={**others, **environ}, capture_output=True, text=True, timeout=60, check=False
    )
    return ended.returncode, ended.stdout, ended.stderr


class TestKeys:
    async def test_they_outlive_the_process_and_are_in_no_file(self, own: Own, tmp_path: Path) -> None:
        service = own()
        root = await root_of(service)
        async with calling(service.url, root) as caller:
            revoked, kept = await make(caller, "agents:read"), await make(caller, "agents:read")
            await revoke(caller, revoked)
            ticket = await ticket_of(service, root, "coded")
            assert await status_of(f"{service.url}/agents/coded/stream?ticket={ticket}") == 200
        service.restart()
        async with calling(service.url) as nobody:
            for key, status in ((None, 401), (revoked["key"], 401), (kept["key"], 200), (root, 200)):
                headers = {"X-API-Key": key} if key is not None else {}
                assert (await nobody.http.get("/agents", headers=headers)).status_code == status
        service.stop()
        for file in tmp_path.iterdir():
            content = file.read_bytes()
            for secret in (root, revoked["key"], kept["key"], ticket):
                assert secret.rpartition("_")[2].encode() not in content, file

    async def test_the_streams_of_a_revoked_key_end(self, own: Own) -> None:
        service = own()
        root = await root_of(service)
        async with calling(service.url, root) as caller:
            agent = await caller.make_agent("gated")
            turn = await caller.submit(agent, "gated", kwargs={"gate": "/nowhere"})
            key, other = await make(caller, "stream:read"), await make(caller, "stream:read")
            streams = [f"{service.url}/agents/{agent}/stream", service.url + turn["links"]["stream"]]
            ticket = await ticket_of(service, key["key"], agent)
            async with (
                following(streams[0], key=key["key"]) as whole,
                following(streams[1], key=key["key"]) as one,
                following(f"{streams[0]}?ticket={ticket}") as page,
                following(streams[0], key=other["key"]) as others,
            ):
                assert [each.status for each in (whole, one, page, others)] == [200] * 4
                await revoke(caller, key)
                for stream in (whole, one, page):
                    await ends(stream)
                for url in streams:
                    assert await status_of(url, key=key["key"]) == 401
                assert await status_of(f"{streams[0]}?ticket={ticket}") == 401
                await caller.cancel(turn)
                await others.until_type("turn.cancelled")

    async def test_so_do_those_of_one_that_expires(self, own: Own) -> None:
        service = own()
        async with calling(service.url, await root_of(service)) as caller:
            agent = await caller.make_agent("echo")
            key = await make(caller, "stream:read", expires_in=1)
            async with following(f"{service.url}/agents/{agent}/stream", key=key["key"]) as stream:
                await stream.to_end(timeout=1 + WITHIN)
            assert await status_of(f"{service.url}/agents/{agent}/stream", key=key["key"]) == 401

    async def test_and_those_of_nobody_when_the_first_key_is_made(self, own: Own) -> None:
        service = own()
        async with following(f"{service.url}/agents/coded/stream") as stream:
            assert stream.status == 200
            await root_of(service)
            await ends(stream)

    async def test_the_answer_to_a_submit_that_is_a_stream_ends_too(self, own: Own) -> None:
        service = own()
        root = await root_of(service)
        async with calling(service.url, root) as caller, calling(service.url) as other:
            agent = await caller.make_agent("gated")
            key = await make(caller, "turns:write")
            headers = {"Accept": "text/event-stream", "X-API-Key": key["key"]}
            body = {"tool": "gated", "kwargs": {"gate": "/nowhere"}}
            async with other.http.stream("POST", f"/agents/{agent}/turns", json=body, headers=headers) as answer:
                assert answer.status_code == 200
                await revoke(caller, key)
                async with asyncio.timeout(WITHIN):
                    received = [chunk async for chunk in answer.aiter_text()]
            assert "turn.queued" in "".join(received)


class TestLimits:
    async def test_those_of_a_key_outlive_the_process(self, own: Own) -> None:
        service = own()
        root = await root_of(service)
        async with calling(service.url, root) as admin:
            key = await make(admin, "agents:read", "stream:read", rate=0.001, burst=4, streams=1)
            agent = await admin.make_agent("echo")
            service.restart()
            listed = (await admin.http.get(f"/keys/{key['id']}")).json()
            assert (listed["rate"], listed["burst"], listed["streams"]) == (0.001, 4, 1)
            async with following(f"{service.url}/agents/{agent}/stream", key=key["key"]) as stream:
                assert stream.status == 200
                async with calling(service.url, key["key"]) as caller:
                    second = await caller.http.get(f"/agents/{agent}/stream")
                    assert '{"reason":"busy"}' in second.text, "it may have one stream"
                    answer = await caller.http.get("/agents")
                    assert answer.headers["ratelimit-policy"] == '"requests";q=4;w=4000'
                    assert [(await caller.http.get("/agents")).status_code for _ in range(2)] == [200, 429]
            assert "ratelimit" not in (await admin.http.get("/agents")).headers, "others have none"


class TestTickets:
    async def test_one_admits_its_stream_over_a_kill(self, own: Own) -> None:
        service = own()
        root = await root_of(service)
        async with calling(service.url, root) as caller:
            agent = await caller.make_agent("echo")
            ticket = await ticket_of(service, root, agent, "coded")
            url = f"{service.url}/agents/{agent}/stream?ticket={ticket}"
            async with following(url) as stream:
                await caller.do(agent, "echo", args=[1])
                seq = (await stream.until_type("turn.completed"))["seq"]
                service.restart()
            async with following(url, cursor=seq) as stream:
                turn = await caller.do(agent, "echo", args=[2])
                await stream.until_type("turn.completed")
                assert [event["turn_id"] for event in stream.events] == [turn["id"]] * len(stream.events)
            for other in (f"/agents/{agent}/turns/{turn['id']}/stream", "/agents/coded/stream"):
                assert await status_of(f"{service.url}{other}?ticket={ticket}") == 401

    async def test_the_time_to_come_back_begins_when_the_process_ends(self, own: Own) -> None:
        service = own()
        ticket = await ticket_of(service, await root_of(service), "coded")
        async with following(f"{service.url}/agents/coded/stream?ticket={ticket}"):

            def until() -> object:
                with closing(sqlite3.connect(f"file:{service.database}?mode=ro", uri=True)) as db:
                    return db.execute("SELECT until FROM tickets").fetchone()[0]

            assert until() is None
            service.restart()
            assert until() is not None

    async def test_the_newest_connection_has_it(self, own: Own) -> None:
        """The one before is most often dead, and nobody has noticed: refusing the new one would end it for ever."""
        service = own()
        ticket = await ticket_of(service, await root_of(service), "coded")
        url = f"{service.url}/agents/coded/stream?ticket={ticket}"
        async with following(url) as first, following(url) as second:
            assert (first.status, second.status) == (200, 200)
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                await first.to_end(timeout=WITHIN)
            assert await second.read()

    async def test_what_is_none(self, own: Own) -> None:
        service = own()
        root = await root_of(service)
        ticket = await ticket_of(service, root, "coded")
        stream = f"{service.url}/agents/coded/stream"
        for query in (
            "ticket=", "ticket=" + root, "ticket=pyt_" + "0" * 64, f"ticket={ticket}0", f"ticket={ticket.upper()}",
            f"ticket={ticket}&ticket={ticket}", f"key={root}", f"Ticket={ticket}", f"access_token={root}",
        ):  # fmt: skip
            assert await status_of(f"{stream}?{query}") == 401, query
        assert await status_of(f"{stream}?ticket={ticket}", key=root) == 401, "two credentials are none"
        async with calling(service.url) as nobody:
            for method, path in (("GET", "/agents"), ("GET", "/agents/coded"), ("POST", "/agents/coded/stream")):
                assert (await nobody.http.request(method, f"{path}?ticket={ticket}")).status_code == 401
        assert await status_of(f"{stream}?ticket={ticket}") == 200

    async def test_they_are_never_logged(self, tmp_path: Path) -> None:
        with serving(tmp_path, AGENTS, settings={"log": "debug"}) as service:
            ticket = await ticket_of(service, await root_of(service), "coded")
            for path in ("coded/stream", "nobody/stream", "coded/stream?types=x"):
                url = f"{service.url}/agents/{path}{'&' if '?' in path else '?'}ticket={ticket}"
                await status_of(url)
            service.stop()
            assert ticket not in service.log

    async def test_a_service_without_keys_has_them_too(self, own: Own) -> None:
        """So that a page works the same before there are keys."""
        service = own()
        async with calling(service.url) as nobody:
            answer = await nobody.http.post("/stream-tickets", json={"agents": ["coded"]})
            ticket = answer.json()["ticket"]
        url = f"{service.url}/agents/coded/stream?ticket="
        assert await status_of(url + ticket) == 200
        assert await status_of(url + "pyt_" + "0" * 64) == 401
        await root_of(service)
        assert await status_of(url + ticket) == 401


class TestCascade:
    async def test_it_cancels_only_what_the_key_may_cancel(self, own: Own) -> None:
        """It goes on through what the key may not cancel, because what came of that may be in reach again."""
        service = own()
        async with calling(service.url, await root_of(service)) as root:
            sender, other, last = [await root.make_agent("send", "gated") for _ in range(3)]
            hold = {"gate": "/nowhere"}
            onward = {"to": last, "tool_name": "gated", "kwargs": hold, **hold}
            turn = await root.submit(sender, "send", args=[other, "send", onward], kwargs=hold)
            (child,) = await eventually(lambda: root.turns(other))
            (grandchild,) = await eventually(lambda: root.turns(last))
            key = await make(root, f"turns:cancel@{sender}", f"turns:cancel@{last}", f"admin@{last}")
            path = f"/agents/{sender}/turns/{turn['id']}/cancel?cascade=true"
            async with calling(service.url, key["key"]) as caller:
                assert (await caller.http.post(path)).status_code == 202
                assert (await caller.http.post(f"/agents/{other}/turns/{child['id']}/cancel")).status_code == 404
            assert [(await root.ended(each))["status"] for each in (turn, grandchild)] == ["cancelled"] * 2
            assert (await root.turn(child))["status"] == "running"
            logged = (await root.http.get("/audit?limit=1000")).json()["items"]
            cancels = [each for each in logged if each["action"] == "cancelTurn"]
            assert [(each["target"], each["details"]["turn_id"]) for each in cancels] == [(last, grandchild["id"])]
            assert (await root.http.post(path)).status_code == 200
            assert (await root.ended(child))["status"] == "cancelled"
            logged = (await root.http.get("/audit?limit=1000")).json()["items"]
            cancelled = {each["target"] for each in logged if each["action"] == "cancelTurn"}
            assert cancelled == {sender, other, last}


class TestAudit:
    async def test_a_backup_has_an_entry(self, own: Own) -> None:
        async with calling((service := own()).url, await root_of(service)) as caller:
            assert (await caller.http.post("/backup")).status_code == 200
            entries = (await caller.http.get("/audit")).json()["items"]
            assert [entry["action"] for entry in entries] == ["createKey", "backup"]

    async def test_so_has_what_is_cancelled_though_its_root_had_ended(self, own: Own) -> None:
        service = own()
        async with calling(service.url, await root_of(service)) as caller:
            sender, target = await caller.make_agent("send"), await caller.make_agent("gated")
            sent = {"to": target, "tool_name": "gated", "kwargs": {"gate": "/nowhere"}}
            turn = await caller.do(sender, "send", kwargs=sent)
            path = f"/agents/{sender}/turns/{turn['id']}/cancel?cascade=true"
            assert (await caller.http.post(path)).status_code == 200
            assert (await caller.http.post(path)).status_code in {200, 409}
            entries = (await caller.http.get("/audit")).json()["items"]
            assert [entry["action"] for entry in entries][:4] == [
                "createKey",
                "createAgent",
                "createAgent",
                "cancelTurn",
            ]


class TestCommands:
    async def test_through_the_server(self, own: Own, tmp_path: Path) -> None:
        service = own()
        here = {"PYGENTS_PORT": str(service.port)}
        code, root, said = run(tmp_path, "keys", "create", "--scope", "admin", "--name", "root", **here)
        assert (code, root.strip()) == (0, root.strip())
        assert "shown this once" in said
        root = root.strip()
        assert run(tmp_path, "keys", "list", **here)[0] == 2
        here["PYGENTS_API_KEY"] = root
        code, key, _ = run(
            tmp_path,
            "keys",
            "create",
            "--scope",
            "turns:write@a-*",
            "--scope",
            "agents:read",
            "--expires",
            "30d",
            "--rate",
            "0.001",
            "--burst",
            "2",
            "--streams",
            "1",
            **here,
        )
        id_ = key.split("_")[1]
        listed = run(tmp_path, "keys", "list", **here)[1].splitlines()
        assert [line.split()[:2] for line in listed] == [
            ["id", "status"],
            [root.split("_")[1], "valid"],
            [id_, "valid"],
        ]
        assert "turns:write@a-* agents:read" in listed[-1]
        assert listed[-1].endswith("rate=0.001 burst=2 streams=1")
        async with calling(service.url, key.strip()) as caller:
            assert [(await caller.http.get("/agents")).status_code for _ in range(3)] == [200, 200, 429]
        assert run(tmp_path, "keys", "revoke", id_, "--url", service.url, **here)[0] == 0
        async with calling(service.url, key.strip()) as caller:
            assert (await caller.http.get("/agents")).status_code == 401
        code, _, said = run(tmp_path, "keys", "list", "--store", f"sqlite:///{service.database}", **here)
        assert (code, "--url" in said) == (2, True)

    async def test_in_the_file_while_nothing_is_served(self, own: Own, tmp_path: Path) -> None:
        service = own()
        service.stop()
        code, root, _ = run(tmp_path, "keys", "create", "--scope", "admin")
        _, reader, _ = run(tmp_path, "keys", "create", "--scope", "agents:read", "--name", "page", "--burst", "7")
        assert (code, run(tmp_path, "keys", "revoke", reader.split("_")[1])[0]) == (0, 0)
        listed = run(tmp_path, "keys", "list")[1]
        assert "revoked  page  agents:read" in listed
        assert listed.splitlines()[-1].endswith("burst=7")
        for id_, words in (("x", "is not the id of a key"), ("0123456789ab", "no key with the id")):
            code, _, said = run(tmp_path, "keys", "revoke", id_)
            assert (code, words in said) == (2, True)
        service.start()
        async with calling(service.url, root.strip()) as caller:
            entries = (await caller.http.get("/audit")).json()["items"]
            assert [entry["action"] for entry in entries] == ["createKey", "createKey", "revokeKey"]
            assert {(entry["by"]["id"], entry["address"], entry["request_id"]) for entry in entries} == {
                ("local", None, None)
            }

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (("create",), "Missing option"),
            (("create", "--scope", "turns"), "'turns' is not a scope"),
            (("create", "--scope", "agents:read"), "--scope admin"),
            (("create", "--scope", "admin", "--expires", "soon"), "write 30d"),
            (("create", "--scope", "admin", "--name", "\x1b[2J"), "no control characters"),
            (("create", "--scope", "admin", "--rate", "-1"), "--rate -1.0 must be at least 0"),
            (("create", "--scope", "admin", "--rate", "nan"), "--rate nan must be"),
            (("create", "--scope", "admin", "--burst", "0"), "--burst 0 must be at least 1"),
            (("create", "--scope", "admin", "--streams", "10000000000"), "at most 1000000000"),
            (("create", "--scope", "admin", "--store", "sqlite:////nowhere/x.db"), "/nowhere"),
            (("list", "--url", "http://127.0.0.1:1"), "does not answer"),
            (("list",), "There is no file"),
            (("revoke", "0123456789ab"), "There is no file"),
        ],
    )
    def test_mistakes_are_told_in_a_line(self, tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
        code, out, said = run(tmp_path, "keys", *arguments)
        assert (code, out) == (2, "")
        assert words in " ".join(said.split())
        assert "Traceback" not in said
        assert not (tmp_path / "pygents.db").exists() or arguments[0] == "create"


class TestStart:
    def served(self, stack: ExitStack, folder: Path, **settings: object) -> Service:
        return stack.enter_context(serving(folder, AGENTS, settings={"host": "0.0.0.0", **settings}))  # noqa: S104

    def test_beyond_loopback_keys_of_the_store_count(self, tmp_path: Path) -> None:
        service = Service(tmp_path, AGENTS, settings={"host": "0.0.0.0"})  # noqa: S104
        service.launch()
        assert service.wait(20) == 2
        assert "there is no key" in service.log
        root = run(tmp_path, "keys", "create", "--scope", "admin")[1].strip()
        with ExitStack() as stack:
            self.served(stack, tmp_path).stop()
        run(tmp_path, "keys", "revoke", root.split("_")[1])
        with ExitStack() as stack:
            started = self.served(stack, tmp_path)
            assert "WARNING" not in started.log
            asyncio.run(self.refused(started, root))

    async def refused(self, service: Service, key: str) -> None:
        async with calling(service.url, key) as caller:
            assert (await caller.http.get("/agents")).status_code == 401

    def test_on_purpose(self, tmp_path: Path) -> None:
        with ExitStack() as stack:
            service = self.served(stack, tmp_path, insecure=True)
            eventually_sync(lambda: "WARNING: there is no key" in service.log)
