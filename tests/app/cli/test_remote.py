"""How a verb asks a service: whom it shows its key."""

import socket
from pathlib import Path

import pytest

from pygents_app.cli.remote import by_proxy
from pygents_app.settings import Settings
from tests.app.cli.test_cli import run
from tests.service import serving

KEY = "correct-horse-battery"


def test_no_proxy_sees_the_key_of_what_is_on_this_machine(tmp_path: Path) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as proxy,
        serving(tmp_path, "--demo", settings={"admin_key": KEY}) as service,
    ):
        proxy.setblocking(False)
        address = f"http://127.0.0.1:{proxy.getsockname()[1]}"
        environ = dict.fromkeys(("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"), address)
        environ |= {"PYGENTS_ADMIN_KEY": KEY, "PYGENTS_PORT": str(service.port)}
        for arguments in (
            ("keys", "list"), ("keys", "list", "--url", service.url), ("backup", "a.db"),
            ("backup", "b.db", "--url", service.url),
        ):  # fmt: skip
            ended = run(tmp_path, *arguments, **environ)
            assert ended.returncode == 0, ended.stderr
        with pytest.raises(BlockingIOError):
            proxy.accept()


@pytest.mark.parametrize(
    ("url", "may"),
    [("https://pygents.example.org", True), ("http://localhost:8000", False), ("http://[::1]:8000", False),
     ("http://127.0.0.2", False), ("http://192.0.2.1:8000", False), ("http://192.0.2.1:8001", True),
     ("http://[", False)],
)  # fmt: skip
def test_one_elsewhere_may_be_asked_through_a_proxy(url: str, may: bool) -> None:
    assert by_proxy(url, Settings(host="192.0.2.1", port=8000, insecure=True)) is may
