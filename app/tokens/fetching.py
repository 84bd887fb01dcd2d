"""Where an issuer's keys come from: its JWKS, whose address is set or is in its OpenID configuration."""

import asyncio
import json
from typing import Any
from urllib.parse import urlsplit

import httpx

from ..urls import is_trustworthy
from .keyset import KeySet

SECONDS = 5.0
"""For all of it."""
MOST_BYTES = 256 * 1024
"""Of one document."""
DISCOVERY = "/.well-known/openid-configuration"


class FetchFailed(Exception):
    """There are no keys to be had now. The message says why, for the log."""


class Fetcher:
    """Makes the TLS context when it is constructed, which takes a while: not on a loop that serves somebody.

    Only ``https`` is spoken, but to this machine; no redirect is followed, because the keys of whoever answers last
    would be those of the issuer; what is compressed is refused, because its size is not known.
    """

    def __init__(self, *, issuer: str, jwks_url: str | None) -> None:
        self._issuer, self._jwks_url = issuer, jwks_url
        self._tls = httpx.create_ssl_context()

    async def fetch(self) -> KeySet:
        """Raises ``FetchFailed``, after ``SECONDS`` at the latest."""
        try:
            async with asyncio.timeout(SECONDS):
                url = self._jwks_url or await self._discover()
                return KeySet(await self._get(url))
        except TimeoutError:
            raise FetchFailed(f"the issuer took longer than {SECONDS:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError, RecursionError) as error:
            raise FetchFailed(f"{type(error).__name__}: {error}"[:300]) from error

    async def _discover(self) -> str:
        document: Any = json.loads(await self._get(self._issuer.rstrip("/") + DISCOVERY))
        if not isinstance(document, dict) or document.get("issuer") != self._issuer:
            raise FetchFailed("the OpenID configuration there is that of another issuer")
        url = document.get("jwks_uri")
        if not isinstance(url, str) or not is_trustworthy(url):
            raise FetchFailed("the OpenID configuration has no jwks_uri that is https")
        return url

    async def _get(self, url: str) -> bytes:
        local = urlsplit(url).scheme == "http"  # which is on this machine: not a way to go by a proxy
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        async with (
            httpx.AsyncClient(verify=self._tls, timeout=SECONDS, trust_env=not local, headers=headers) as client,
            client.stream("GET", url, follow_redirects=False) as answer,
        ):
            if answer.status_code != 200 or "content-encoding" in answer.headers:
                raise FetchFailed(f"{url} answers {answer.status_code}, or in an encoding")
            body = bytearray()
            async for part in answer.aiter_raw():
                body += part
                if len(body) > MOST_BYTES:
                    raise FetchFailed(f"{url} answers with more than {MOST_BYTES} bytes")
            return bytes(body)
