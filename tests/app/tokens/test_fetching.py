"""Fetching keys from a real server, right and wrong ones."""

import gzip
import json
import socket
from collections.abc import Iterator

import pytest

from pygents_app.tokens import fetching
from pygents_app.tokens.fetching import MOST_BYTES, Fetcher, FetchFailed
from tests.issuer import Issuer, issuing

pytestmark = pytest.mark.anyio

DISCOVERY = "/.well-known/openid-configuration"


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with issuing() as issuer:
        yield issuer


async def test_by_its_configuration(issuer: Issuer) -> None:
    keys = await Fetcher(issuer=issuer.url, jwks_url=None).fetch()
    assert keys.find("first", "RS256") is not None
    assert issuer.fetched == [DISCOVERY, "/keys"]


async def test_by_the_address_that_is_set(issuer: Issuer) -> None:
    issuer.documents["/mine?v=2"] = issuer.jwks
    keys = await Fetcher(issuer="https://elsewhere.example", jwks_url=f"{issuer.url}/mine?v=2").fetch()
    assert keys.find("first", "RS256") is not None
    assert issuer.fetched == ["/mine?v=2"]


@pytest.mark.parametrize(
    ("path", "document", "why"),
    [
        ("/keys", 500, "answers 500"),
        ("/keys", 302, "answers 302"),
        ("/keys", b"", "JSON"),
        ("/keys", b"[" * 100_000, "recursion"),
        ("/keys", {"keys": []}, "no key in it"),
        ("/keys", b" " * (MOST_BYTES + 1), "more than"),
        (DISCOVERY, 404, "answers 404"),
        (DISCOVERY, [], "another issuer"),
        (
            DISCOVERY,
            {"issuer": "https://another.example", "jwks_uri": "https://127.0.0.1/"},
            "another issuer",
        ),
    ],
)
async def test_what_is_wrong_there(issuer: Issuer, path: str, document: object, why: str) -> None:
    issuer.documents[path] = document
    with pytest.raises(FetchFailed, match=why):
        await Fetcher(issuer=issuer.url, jwks_url=None).fetch()


@pytest.mark.parametrize("uri", ["http://192.0.2.1/keys", "file:///etc/passwd", "ftp://127.0.0.1/", "keys", None, 7])
async def test_keys_come_from_safe_places_only(issuer: Issuer, uri: object) -> None:
    issuer.documents[DISCOVERY] = {"issuer": issuer.url, "jwks_uri": uri}
    with pytest.raises(FetchFailed, match="https"):
        await Fetcher(issuer=issuer.url, jwks_url=None).fetch()


async def test_what_is_compressed_has_no_size_that_is_known(issuer: Issuer) -> None:
    issuer.documents["/keys"] = gzip.compress(json.dumps(issuer.jwks).encode())
    issuer.headers["Content-Encoding"] = "gzip"
    with pytest.raises(FetchFailed, match="in an encoding"):
        await Fetcher(issuer=issuer.url, jwks_url=f"{issuer.url}/keys").fetch()


async def test_nobody_is_there(issuer: Issuer) -> None:
    issuer.stop()
    with pytest.raises(FetchFailed, match="ConnectError"):
        await Fetcher(issuer=issuer.url, jwks_url=None).fetch()


async def test_one_that_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(FetchFailed):
            await Fetcher(issuer=url, jwks_url=None).fetch()
