"""Which requests take the short way, and that all others find the router."""

import pytest
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from pygents_app.api.shortcut import Shortcut

pytestmark = pytest.mark.anyio


class Application:
    """Notes what it was called with."""

    def __init__(self) -> None:
        self.scopes: list[Scope] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)


async def ask(method: str, path: str, **more: object) -> tuple[list[Scope], list[Scope]]:
    """The calls of the endpoint, and those of the router."""
    endpoint, router = Application(), Application()
    shortcut = Shortcut(router, routes=[Route("/agents/{name}/turns", endpoint, methods=["POST"])])

    async def receive() -> dict[str, object]:
        raise AssertionError

    async def send(message: object) -> None:
        raise AssertionError

    await shortcut({"type": "http", "method": method, "path": path, **more}, receive, send)
    return endpoint.scopes, router.scopes


async def test_a_hot_route_is_called_with_what_its_path_names() -> None:
    hot, _ = await ask("POST", "/agents/reader/turns", root_path="")
    assert [scope["path_params"] for scope in hot] == [{"name": "reader"}]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/agents/reader/turns"),
        ("post", "/agents/reader/turns"),
        ("POST", "/agents/reader/turns/"),
        ("POST", "/agents//turns"),
        ("POST", "/agents/a/b/turns"),
        ("POST", "/v1/agents/reader/turns"),
    ],
)
async def test_all_else_is_the_routers(method: str, path: str) -> None:
    hot, routed = await ask(method, path)
    assert (len(hot), len(routed)) == (0, 1)


async def test_below_a_mount_the_router_knows_the_paths() -> None:
    hot, routed = await ask("POST", "/agents/reader/turns", root_path="/mounted")
    assert (len(hot), len(routed)) == (0, 1)


async def test_what_is_no_request_passes() -> None:
    hot, routed = await ask("", "", type="lifespan")
    assert (len(hot), len(routed)) == (0, 1)
