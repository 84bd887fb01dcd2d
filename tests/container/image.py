"""An image made by the Dockerfile's own instructions, and containers of it, without an engine: bubblewrap stands in.

Each stage has a root of its own with nothing in it but the base: Python under /usr/local, and this machine's /usr and
/etc. All instructions are carried out there, and containers have a read-only root, no rights, and are process 1.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGKILL

from docker.utils.build import exclude_paths

from tests.container.dockerfile import Instruction, Stage
from tests.helpers import eventually_sync

BASE = ("bin", "sbin", "lib", "lib64")
"""Links into /usr, as Debian has them."""

BASE_ENV = {
    "PATH": "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LD_LIBRARY_PATH": "/usr/local/lib",
    "LANG": "C.UTF-8",
}
BESIDE = shlex.split("--ro-bind /usr /usr --ro-bind /etc /etc --proc /proc --dev /dev --tmpfs /tmp")
ALONE = shlex.split("--unshare-pid --unshare-ipc --unshare-uts --as-pid-1 --die-with-parent --clearenv")
"""Arguments of bubblewrap: of the machine, what a base image would have; of its processes, nothing."""

REGISTRY = re.compile(r"PIP_\w+|SSL_CERT_\w+|(https?|no|all)_proxy", re.IGNORECASE)
"""Variables by which this machine tells the way to its package registry."""

ROOT_USER = "0:0"


def context_of(tree: Path) -> set[str]:
    """The files of a tree that an engine would be given, by their relative paths, as .dockerignore says."""
    patterns = [line for line in (tree / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    return {path for path in exclude_paths(str(tree), patterns) if (tree / path).is_file()}


@dataclass(slots=True)
class Image:
    """A root folder, and what the instructions say of the processes in it."""

    root: Path
    env: dict[str, str] = field(default_factory=lambda: dict(BASE_ENV))
    workdir: str = "/"
    user: str = ROOT_USER
    said: dict[str, Instruction] = field(default_factory=dict)

    @property
    def command(self) -> list[str]:
        """What runs if nothing else is said."""
        return [*self.entrypoint, *self.said["CMD"].exec_form]

    @property
    def entrypoint(self) -> list[str]:
        return self.said["ENTRYPOINT"].exec_form

    @property
    def health(self) -> list[str]:
        text = self.said["HEALTHCHECK"].text
        return Instruction("CMD", {}, text.removeprefix("CMD ")).exec_form


class Builder:
    """``context`` is a tree, of which only the files that .dockerignore lets in are seen."""

    def __init__(self, context: Path, scratch: Path, python: Path) -> None:
        self._tree, self._files = context, sorted(context_of(context))
        self._scratch, self._python = scratch, python
        self._stages: dict[str, Image] = {}

    def build(self, stages: Sequence[Stage]) -> Image:
        """Carry out all stages; the last one's image. Fails the test at an instruction that fails."""
        for number, stage in enumerate(stages):
            image = self._stages[stage.name] = Image(self._new_root(f"stage-{number}"))
            for instruction in stage.instructions:
                self._carry_out(instruction, image)
        return self._stages[stages[-1].name]

    def _new_root(self, name: str) -> Path:
        root = self._scratch / name
        for folder in ("usr", "etc", "proc", "dev", "tmp", "home"):
            (root / folder).mkdir(parents=True)
        for link in BASE:
            (root / link).symlink_to(f"usr/{link}")
        return root

    def _carry_out(self, instruction: Instruction, image: Image) -> None:
        match instruction.word:
            case "RUN":
                self._run(instruction.text, image)
            case "COPY":
                self._copy(instruction, image)
            case "ENV":
                image.env |= instruction.pairs(image.env)
            case "WORKDIR":
                image.workdir = instruction.text
                _inside(image.root, instruction.text).mkdir(parents=True, exist_ok=True)
            case "USER":
                image.user = instruction.text
            case "LABEL" | "VOLUME" | "EXPOSE" | "STOPSIGNAL" | "HEALTHCHECK" | "ENTRYPOINT" | "CMD" as word:
                image.said[word] = instruction
            case other:
                raise AssertionError(f"{other} is not known here")

    def _run(self, line: str, image: Image) -> None:
        env = image.env | {name: value for name, value in os.environ.items() if REGISTRY.fullmatch(name)}
        settings = Path.home() / ".config" / "pip"
        binds = ["--ro-bind", str(settings), "/home/.config/pip"] if settings.is_dir() else []
        command = sandbox(
            image, ["/bin/sh", "-c", line], python=self._python, env=env | {"HOME": "/home"},
            mounts=["--bind", str(image.root), "/", *binds],
        )  # fmt: skip
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, f"RUN {line}\n{ended.stdout[-4000:]}\n{ended.stderr[-4000:]}"

    def _copy(self, instruction: Instruction, image: Image) -> None:
        *sources, target = instruction.text.split()
        into = _inside(image.root, os.path.join(image.workdir, target))
        into_folder = target.endswith("/") or len(sources) > 1
        for source in sources:
            copy = self._copy_from_stage if "from" in instruction.flags else self._copy_from_context
            copy(instruction.flags.get("from", ""), source, into / Path(source).name if into_folder else into)
        if "chown" in instruction.flags and os.geteuid() == 0:
            uid, gid = map(int, instruction.flags["chown"].split(":"))
            for path in [into, *into.rglob("*")]:
                os.chown(path, uid, gid, follow_symlinks=False)

    def _copy_from_stage(self, stage: str, source: str, target: Path) -> None:
        shutil.copytree(_inside(self._stages[stage].root, source), target, symlinks=True)

    def _copy_from_context(self, _: str, source: str, target: Path) -> None:
        found = [path for path in self._files if path == source or path.startswith(f"{source}/")]
        assert found, f"{source} is not in the context"
        for path in found:
            own = target / Path(path).relative_to(source) if path != source else target
            own.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(self._tree / path, own)


def _inside(root: Path, absolute: str) -> Path:
    return root / os.path.normpath(absolute).lstrip("/")


def sandbox(
    image: Image, command: Sequence[str], *, python: Path, env: Mapping[str, str], mounts: Sequence[str]
) -> list[str]:
    """The command as one of ``image``: ``mounts`` (bubblewrap's arguments) are its root and what is beside it."""
    uid, gid = image.user.split(":")
    wrap = ["bwrap", *mounts, *BESIDE, "--ro-bind", str(python), "/usr/local", "--chdir", image.workdir, *ALONE]
    wrap += [part for name, value in env.items() for part in ("--setenv", name, value)]
    if os.geteuid() != 0:  # a user of this machine has no other uid than the own, but may see it as another
        return [*wrap, "--unshare-user", "--uid", uid, "--gid", gid, "--", *command]
    if image.user == ROOT_USER:
        return [*wrap, "--", *command]
    drop = ["setpriv", "--reuid", uid, "--regid", gid, "--clear-groups", "--no-new-privs"]
    return [*wrap, "--", *drop, "--inh-caps", "-all", "--bounding-set", "-all", *command]


class Containers:
    """Containers of one image that share a volume, which lives on when they have ended, as with an engine."""

    def __init__(self, image: Image, volume: Path, python: Path, **env: object) -> None:
        self._image, self._volume, self._python = image, volume, python
        self._env = image.env | {name: str(value) for name, value in env.items()}
        inside = _inside(image.root, image.said["VOLUME"].text)
        volume.mkdir(mode=inside.stat().st_mode)
        if os.geteuid() == 0:
            os.chown(volume, inside.stat().st_uid, inside.stat().st_gid)

    def run(self, *command: str) -> "subprocess.CompletedProcess[str]":
        """Run to the end; what it said."""
        return subprocess.run(self._sandbox(command), capture_output=True, text=True, timeout=60, check=False)

    @contextmanager
    def running(self, *command: str, code: Path | None = None) -> Iterator["Running"]:
        """Start in the background; ``code`` is mounted at the working directory."""
        log = self._volume.with_name("container.log")
        with log.open("w") as out, subprocess.Popen(self._sandbox(command, code), stdout=out, stderr=out) as process:
            container = Running(process, log)
            try:
                yield container
            finally:
                container.kill()
                print(f"--- container ---\n{log.read_text()[-8000:]}")

    def _sandbox(self, command: Sequence[str], code: Path | None = None) -> list[str]:
        mounts = ["--ro-bind", str(self._image.root), "/"]
        mounts += ["--bind", str(self._volume), self._image.said["VOLUME"].text]
        mounts += ["--ro-bind", str(code), self._image.workdir] if code is not None else []
        return sandbox(self._image, command, python=self._python, env=self._env, mounts=mounts)


class Running:
    """A container in the background."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self._process, self._log = process, log

    @property
    def log(self) -> str:
        return self._log.read_text()

    def stop(self, signal: int) -> None:
        """Send a signal to its process 1: as with any, it arrives only if that handles it."""
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        os.kill(int(children.read_text().split()[0]), signal)

    def kill(self) -> None:
        """The one inside first: by its change of user it has forgotten to die with its parent (prctl(2))."""
        with suppress(IndexError, ProcessLookupError, FileNotFoundError):  # it has ended
            self.stop(SIGKILL)
        self._process.kill()

    def wait(self, timeout: float) -> int:
        return self._process.wait(timeout)

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition; fail the test if the container ends before it holds."""

        def holds() -> bool:
            assert self._process.poll() is None, self.log
            return condition()

        eventually_sync(holds, timeout=30)


def find_python(version: str) -> Path:
    """The prefix of a Python of this version that really runs, or else of the one that runs the tests."""
    managed = Path.home().glob(f".pyenv/versions/{version}.*/bin/python")
    for candidate in [f"python{version}", *map(str, managed), sys.executable]:
        found = shutil.which(candidate)
        ask = [found or candidate, "-c", "import ensurepip, sys; print(sys.base_prefix)"]
        try:
            prefix = Path(subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip())
        except (OSError, subprocess.CalledProcessError):
            continue
        if (prefix / "bin" / "python").exists() and prefix != Path("/usr"):
            return prefix
    raise AssertionError("no Python with a folder of its own was found, to stand in for the base image's")
