"""Real proxies in front of a service: the shipped files, changed only where they say that one must change them."""

import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from pygents_app.deploy.files import find
from tests.helpers import eventually_sync, free_port

NAME = "agents.example.com"
# What may stand in a distribution's own file, at its worst for streams: all that the server's own lines must outdo.
NGINX = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{ worker_connections 768; }}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    gzip on;
    gzip_types *;
    gzip_proxied any;
    gzip_min_length 0;
    proxy_buffering on;
    include {folder}/pygents.conf;
}}
"""
CADDY = """{{
	admin off
	auto_https off
	default_bind 127.0.0.1
	storage file_system {folder}
}}
"""


class Proxy(NamedTuple):
    """``command`` starts it in the foreground."""

    port: int
    command: tuple[str, ...]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def _changed(name: str, changes: Mapping[str, str]) -> str:
    file = find(name)
    assert file is not None
    text = file.text()
    for old, new in changes.items():
        assert text.count(old) == 1, f"{old!r} is not once in the file for {name}"
        text = text.replace(old, new)
    return text


def nginx(folder: Path, service_port: int) -> Proxy:
    port = free_port()
    changes = {"listen 80;": f"listen 127.0.0.1:{port};", "server 127.0.0.1:8000;": f"server 127.0.0.1:{service_port};"}
    (folder / "pygents.conf").write_text(_changed("nginx", changes))
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder))
    return Proxy(port, ("nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")))


def caddy(folder: Path, service_port: int) -> Proxy:
    port = free_port()
    sites = ", ".join(f"http://{name}:{port}" for name in (NAME, "127.0.0.1"))
    changes = {f"{NAME} {{": f"{sites} {{", "127.0.0.1:8000": f"127.0.0.1:{service_port}"}
    (folder / "Caddyfile").write_text(CADDY.format(folder=folder) + _changed("caddy", changes))
    return Proxy(port, ("caddy", "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"))


Setup = Callable[[Path, int], Proxy]
SETUPS: Mapping[str, Setup] = {"nginx": nginx, "caddy": caddy}


@contextmanager
def proxied(name: str, folder: Path, service_port: int) -> Iterator[Proxy]:
    """The proxy of that name in front of the port, gone when the block ends."""
    if shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") is None:
        pytest.skip(f"needs {name}")
    folder.mkdir()
    proxy = SETUPS[name](folder, service_port)
    own = {"PATH": f"{os.environ['PATH']}:/usr/sbin", "HOME": str(folder)}
    with (folder / "said").open("wb") as said:
        process = subprocess.Popen(proxy.command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, env=own)
    try:
        eventually_sync(lambda: process.poll() is not None or _listens(proxy.port), timeout=20)
        assert process.poll() is None, (folder / "said").read_text()
        yield proxy
    finally:
        process.kill()
        process.wait(10)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
