"""The command as a process: what it says and how it ends."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.helpers import eventually_sync

PYGENTS = Path(sys.executable).with_name("pygents")
AGENTS = '''
from pygents_core import Agent, tool

@tool
async def greet(name: str, times: int = 1) -> str:
    """Greet somebody."""
    return f"Hello, {name}!"

greeter = Agent("greeter", "Greets.", [greet])
'''
ODD_AGENTS = """
from typing import Annotated, Any
from pydantic import WithJsonSchema
from pygents_core import Agent, tool

@tool
async def greet(
    listed: Annotated[Any, WithJsonSchema({"type": ["string", "null"]})],
    number: Annotated[Any, WithJsonSchema({"type": ["null", "integer"]})],
    either: int | None,
    odd: Annotated[Any, WithJsonSchema({"type": 5})],
    unknown: Annotated[Any, WithJsonSchema({"type": ["of mine", {}]})],
) -> None: ...

Agent("greeter", "Greets.", [greet])
"""
MANY = """
from pygents_core import Agent, tool

def named(number):
    async def new() -> None: ...
    new.__name__ = f"tool_{number}"
    return tool(new)

tools = [named(number) for number in range(200)]
agents = [Agent(f"agent-{number}", "One of many.", tools) for number in range(15)]
"""
BROKEN_BANNER = """
from pygents_app.cli import serve

def banner(*given, **named):
    raise RuntimeError("no banner")

serve.banner = banner
serve.serve_code("my_agents.py", demo=False, flags={"port": 0})
"""
# What the tests' own process was started with must not decide.
ENVIRON = {name: value for name, value in os.environ.items() if not name.startswith("PYGENTS_")}


def run(folder: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [str(PYGENTS), *arguments]
    return subprocess.run(
        command, cwd=folder, env=ENVIRON | environ, capture_output=True, text=True, timeout=60, check=False
    )


def refusal(folder: Path, *arguments: str, verb: str = "serve", code: int = 2, **environ: str) -> str:
    """The one line on stderr of a start that is refused. ``code`` is 75 if that may pass by itself."""
    ended = run(folder, verb, *arguments, **environ)
    assert ended.returncode == code, ended.stderr
    assert ended.stdout == ""
    (line,) = ended.stderr.splitlines()
    assert line.startswith("error: ")
    assert "Traceback" not in line
    return line


@contextmanager
def serving(folder: Path, *arguments: str, **environ: str) -> Iterator[tuple[str, str, "subprocess.Popen[str]"]]:
    """A server that is ready: its banner, its address, the process."""
    with (
        (folder / "stdout").open("w+") as out,
        (folder / "stderr").open("w+") as err,
        subprocess.Popen(
            [str(PYGENTS), "serve", "--port", "0", *arguments],
            cwd=folder, env=ENVIRON | environ, stdout=out, stderr=err, text=True,
        ) as process,
    ):  # fmt: skip
        try:
            banner = eventually_sync(lambda: _ready(folder, process), timeout=30)
            url = next(line.split()[1] for line in banner.splitlines() if line.startswith("  API"))
            yield banner, url, process
        finally:
            process.kill()


def _ready(folder: Path, process: "subprocess.Popen[str]") -> str:
    assert process.poll() is None, (folder / "stderr").read_text()
    said = (folder / "stdout").read_text()
    return said if "Ctrl-C" in said else ""


@pytest.fixture
def code(tmp_path: Path) -> Path:
    (tmp_path / "my_agents.py").write_text(AGENTS)
    return tmp_path


class TestServe:
    def test_it_says_where_it_is_and_the_line_to_try_works(self, code: Path) -> None:
        with serving(code, "my_agents.py") as (banner, url, process):
            for said in ("my_agents.py", f"{url}/docs", f"{url}/guide/", "./pygents.db", "greeter (greet)"):
                assert said in banner
            line = next(line for line in banner.splitlines() if "curl" in line)
            answer = json.loads(subprocess.run(line, shell=True, capture_output=True, check=True).stdout)  # noqa: S602
            assert (answer["tool"], answer["kwargs"]) == ("greet", {"name": "World"})
            turn = httpx.get(f"{url}/turns/{answer['id']}?wait=30", timeout=40, trust_env=False).json()
            assert turn["output"] == "Hello, World!"
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) in (0, -signal.SIGTERM, 128 + signal.SIGTERM)
        assert "Traceback" not in (code / "stderr").read_text()

    def test_ctrl_c_ends_it_quietly(self, code: Path) -> None:
        with serving(code, "my_agents.py", "--store", "memory://") as (_, _, process):
            process.send_signal(signal.SIGINT)
            assert process.wait(30) in (0, 128 + signal.SIGINT)
        assert "Traceback" not in (code / "stderr").read_text()

    def test_a_module_by_its_dotted_name(self, code: Path) -> None:
        (code / "their").mkdir()
        (code / "their" / "agents.py").write_text(AGENTS)
        with serving(code, "their.agents", "--store", "memory://") as (banner, _, _):
            assert "greeter (greet)" in banner

    def test_a_users_package_named_app(self, code: Path) -> None:
        (code / "app").mkdir()
        (code / "app" / "__init__.py").write_text("WORD = 'own'")
        (code / "my_agents.py").write_text("from app import WORD\nassert WORD == 'own'\n" + AGENTS)
        with serving(code, "my_agents.py", "--store", "memory://") as (banner, _, _):
            assert "greeter" in banner

    def test_beyond_loopback_it_warns_or_asks_for_the_key(self, code: Path) -> None:
        with serving(code, "my_agents.py", "--host", "0.0.0.0", "--insecure", "--store", "memory://"):  # noqa: S104
            assert "WARNING: there is no key" in (code / "stderr").read_text()
        key = {"PYGENTS_ADMIN_KEY": "0123456789abcdef"}
        with serving(code, "my_agents.py", "--host", "0.0.0.0", "--store", "memory://", **key) as (banner, url, _):  # noqa: S104
            assert "Bearer $PYGENTS_ADMIN_KEY" in banner
            assert key["PYGENTS_ADMIN_KEY"] not in banner
            assert httpx.get(f"{url}/agents", trust_env=False).status_code == 401

    def test_another_loopback_address_is_served_by_its_own_name(self, code: Path) -> None:
        with serving(code, "my_agents.py", "--host", "127.0.0.2", "--store", "memory://") as (_, url, _):
            assert url.startswith("http://127.0.0.2:")
            assert httpx.get(f"{url}/agents", trust_env=False).status_code == 200

    def test_schemas_of_any_shape_have_an_example(self, code: Path) -> None:
        (code / "my_agents.py").write_text(ODD_AGENTS)
        with serving(code, "my_agents.py", "--store", "memory://") as (banner, _, _):
            for example in ('"listed": "World"', '"number": 3', '"either": 3', '"odd": "World"', '"unknown": "World"'):
                assert example in banner

    def test_a_tool_for_which_nothing_can_be_thought_up_is_no_example(self, code: Path) -> None:
        """What the line to try would be refused for is not proposed."""
        wants_more = "class Order(BaseModel):\n    lines: dict[str, int]\n    when: date\n"
        first = "@tool()\nasync def order(what: Order) -> str:\n    return ''\n"
        imports = "from datetime import date\nfrom pydantic import BaseModel\nfrom pygents_core import Agent, tool\n"
        (code / "my_agents.py").write_text(f"{imports}{wants_more}{first}Agent('shop', '', [order])\n")
        with serving(code, "my_agents.py", "--store", "memory://") as (banner, url, _):
            assert f"curl -s {url}/tools" in banner
        (code / "my_agents.py").write_text(f"{imports}{wants_more}{first}{AGENTS}Agent('a', '', [order, greet])\n")
        with serving(code, "my_agents.py", "--store", "memory://") as (banner, _, _):
            assert '/agents/a/turns -d \'{"tool": "greet"' in banner

    def test_of_many_agents_and_tools_some_are_shown(self, code: Path) -> None:
        (code / "my_agents.py").write_text(MANY)
        with serving(code, "my_agents.py", "--store", "memory://") as (banner, _, _):
            assert "agent-0 (tool_0, tool_1, tool_2, tool_3, tool_4, tool_5, and 194 more)\n" in banner
            assert "and 5 more\n" in banner
            assert len(banner.splitlines()) < 25
            assert max(len(line) for line in banner.splitlines() if "curl" not in line) < 100

    def test_stopped_while_it_starts_it_ends_at_once(self, code: Path) -> None:
        (code / "my_agents.py").write_text("import time\nprint('importing', flush=True)\ntime.sleep(60)")
        command = [str(PYGENTS), "serve", "my_agents.py", "--port", "0"]
        with subprocess.Popen(command, cwd=code, env=ENVIRON, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            process.send_signal(signal.SIGTERM)
            assert process.wait(5) == -signal.SIGTERM

    def test_an_error_before_it_serves_ends_the_process(self, code: Path) -> None:
        """The store has a thread by then; a process that it keeps alive would look like a server."""
        ended = subprocess.run(
            [sys.executable, "-c", BROKEN_BANNER], cwd=code, env=ENVIRON, capture_output=True, text=True, timeout=30,
            check=False,
        )  # fmt: skip
        assert ended.returncode == 1
        assert ended.stderr.rstrip().endswith("RuntimeError: no banner")


class TestRefused:
    @pytest.mark.parametrize(("given", "told"), [("77", "is not a socket"), ("1", "is not a socket")])
    def test_a_descriptor_that_is_no_socket(self, tmp_path: Path, given: str, told: str) -> None:
        assert told in refusal(tmp_path, "--demo", "--fd", given)

    @pytest.mark.parametrize("host", ["127.0.0.1", None])
    def test_a_socket_that_others_reach_without_a_key(self, tmp_path: Path, host: str | None) -> None:
        """Whatever address is set: it is the socket that is connected to."""
        with socket.create_server(("0.0.0.0", 0)) as listener:  # noqa: S104
            arguments = ["--demo", "--fd", str(listener.fileno()), *(["--host", host] if host else [])]
            ended = subprocess.run(
                [str(PYGENTS), "serve", *arguments], cwd=tmp_path, env=ENVIRON, capture_output=True, text=True,
                timeout=30, check=False, pass_fds=[listener.fileno()],
            )  # fmt: skip
        assert ended.returncode == 2
        assert "0.0.0.0 can be reached from other machines and there is no key" in ended.stderr
        assert list(tmp_path.iterdir()) == []

    def test_a_socket_that_is_none_of_tcp(self, tmp_path: Path) -> None:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(tmp_path / "s"))
            listener.listen()
            ended = subprocess.run(
                [str(PYGENTS), "serve", "--demo", "--fd", str(listener.fileno())], cwd=tmp_path, env=ENVIRON,
                capture_output=True, text=True, timeout=30, check=False, pass_fds=[listener.fileno()],
            )  # fmt: skip
        assert ended.returncode == 2
        assert "is not one of TCP" in ended.stderr

    def test_developing_code_that_is_not_there(self, tmp_path: Path) -> None:
        assert "There is no file nothing.py" in refusal(tmp_path, "nothing.py", verb="dev")

    def test_nothing_to_serve(self, tmp_path: Path) -> None:
        assert "pygents serve my_agents.py" in refusal(tmp_path)

    @pytest.mark.parametrize("given", ["nothing.py", "nothing", "no.such.module", "what/is/this", "a b"])
    def test_no_such_code(self, tmp_path: Path, given: str) -> None:
        assert given in refusal(tmp_path, given)

    @pytest.mark.parametrize(
        ("source", "told"),
        [
            ("x = 1\n1 / 0\n", "ZeroDivisionError: division by zero"),
            ("x = 1\nraise SystemExit(3)\n", "SystemExit: 3"),
            ("x = 1\nimport not_installed_anywhere\n", "ModuleNotFoundError"),
            ("x = 1\ndef broken(:\n", "SyntaxError"),
            ("x = 1\nraise ValueError('two\\nlines')\n", "ValueError: two lines"),
        ],
    )
    def test_code_that_does_not_import(self, tmp_path: Path, source: str, told: str) -> None:
        (tmp_path / "broken.py").write_text(source)
        line = refusal(tmp_path, "broken.py")
        assert told in line
        assert "broken.py:2" in line

    def test_code_without_tools_and_agents(self, tmp_path: Path) -> None:
        (tmp_path / "empty.py").write_text("x = 1\n")
        assert "no tools and no agents" in refusal(tmp_path, "empty.py")

    def test_a_file_that_has_the_name_of_a_module_of_python(self, tmp_path: Path) -> None:
        (tmp_path / "queue.py").write_text(AGENTS)
        assert "Rename it" in refusal(tmp_path, "queue.py")

    def test_a_file_that_is_not_python(self, tmp_path: Path) -> None:
        (tmp_path / "agents.txt").write_text(AGENTS)
        assert "agents.txt is not Python: give a file whose name ends in .py" in refusal(tmp_path, "agents.txt")

    def test_a_name_that_cannot_be_an_address(self, code: Path) -> None:
        (code / "my_agents.py").write_text(AGENTS.replace('"greeter"', '"the greeter"'))
        assert "'the greeter'" in refusal(code, "my_agents.py", "--store", "memory://")

    def test_a_port_in_use_before_the_code_is_imported(self, code: Path) -> None:
        (code / "my_agents.py").write_text("raise SystemExit('imported')")
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            line = refusal(code, "my_agents.py", "--port", str(port), code=75)
        assert f"Port {port}" in line
        assert "--port" in line

    @pytest.mark.parametrize("host", ["203.0.113.1", "no.such.host.invalid"])
    def test_an_address_of_another_machine(self, code: Path, host: str) -> None:
        assert host in refusal(code, "my_agents.py", "--host", host, "--insecure")

    def test_a_second_server_on_the_file(self, code: Path) -> None:
        with serving(code, "my_agents.py"):
            assert "another" in refusal(code, "my_agents.py", "--port", "0", code=75)

    @pytest.mark.parametrize("store", ["sqlite:////proc/pygents.db", "sqlite:///./missing/x.db", "mysql://x", "x.db"])
    def test_a_store_that_cannot_be_used(self, code: Path, store: str) -> None:
        refusal(code, "my_agents.py", "--port", "0", "--store", store)

    def test_a_store_in_a_folder_that_takes_no_files(self, code: Path) -> None:
        line = refusal(code, "my_agents.py", "--port", "0", "--store", "sqlite:////proc/pygents.db")
        assert "No file can be made in /proc; give --store another file." in line

    def test_a_disk_that_is_full(self, code: Path) -> None:
        full = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n{AGENTS}"
        (code / "my_agents.py").write_text(full)
        assert "no space left" in refusal(code, "my_agents.py", "--port", "0", code=75)

    def test_for_programs_it_is_a_line_of_the_log(self, code: Path) -> None:
        with serving(code, "my_agents.py"):
            ended = run(code, "serve", "my_agents.py", "--port", "0", PYGENTS_LOG_FORMAT="json")
        assert (ended.returncode, ended.stdout) == (75, "")
        (line,) = ended.stderr.splitlines()
        told = json.loads(line)
        assert (told["level"], told["logger"]) == ("critical", "pygents")
        assert told["message"].startswith("Another server")

    def test_a_setting_that_is_none(self, code: Path) -> None:
        assert "PYGENTS_PROT" in refusal(code, "my_agents.py", PYGENTS_PROT="1")

    @pytest.mark.parametrize("given", ["notaurl", "127.0.0.1:8080", "ftp://host/v1", "http:///v1", "http://host:x/v1"])
    def test_a_demo_that_cannot_chat(self, tmp_path: Path, given: str) -> None:
        line = refusal(tmp_path, "--demo", "--store", "memory://", "--port", "0", OPENAI_BASE_URL=given)
        assert "OPENAI_BASE_URL is not the address of an endpoint" in line
        assert given not in line

    def test_beyond_loopback_without_a_key(self, code: Path) -> None:
        assert "PYGENTS_ADMIN_KEY" in refusal(code, "my_agents.py", "--host", "0.0.0.0")  # noqa: S104


class TestOthers:
    def test_help_is_quick_because_it_loads_no_server(self, tmp_path: Path) -> None:
        script = "import sys; from pygents_app.cli import main; sys.argv = ['pygents', '--help']\ntry: main()\n"
        script += "finally: print(sorted({'fastapi', 'uvicorn', 'sqlite3', 'pydantic', 'httpx'} & set(sys.modules)))"
        said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False).stdout
        assert "serve" in said
        assert said.rstrip().endswith("[]")

    def test_version(self, tmp_path: Path) -> None:
        assert run(tmp_path, "--version").stdout.startswith("pygents 0.")

    def test_openapi_is_printed(self, tmp_path: Path) -> None:
        committed = Path(__file__).parents[3] / "openapi" / "openapi.json"
        assert run(tmp_path, "openapi").stdout == committed.read_text()

    @pytest.mark.parametrize("arguments", [["serv"], ["serve", "--prot", "1"], ["serve", "--port", "x"]])
    def test_misspelt_verbs_and_options(self, tmp_path: Path, arguments: list[str]) -> None:
        ended = run(tmp_path, *arguments)
        assert ended.returncode == 2
        assert "Traceback" not in ended.stderr


def test_the_banner_waits_for_the_service(code: Path) -> None:
    """Whoever reads the banner can connect: there is nothing to wait for after it."""
    with serving(code, "my_agents.py", "--store", "memory://") as (_, url, _):
        started = time.monotonic()
        assert httpx.get(f"{url}/readyz", trust_env=False).status_code == 200
        assert time.monotonic() - started < 5
