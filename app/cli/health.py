"""``pygents health``: ask a service whether it takes turns, as a container's engine or a script would.

It is started again and again, so it uses the quickest HTTP client that there is. That one also knows no proxies: what
is asked is on this machine, or was named on purpose.
"""

import http.client
import json
from typing import NamedTuple
from urllib.parse import urlsplit

from .. import settings
from ..errors import StartupError
from .addresses import local_url

MOST_BYTES = 64 * 1024
"""Of an answer; whatever sends more is not this service."""


class Health(NamedTuple):
    """``line`` says it in words, and why if it is not ready."""

    ready: bool
    line: str


def health(url: str | None, timeout: float, *, host: str | None = None, port: int | None = None) -> Health:
    """Ask the service at ``url``, or the one that this folder's and environment's settings describe; ``host`` and
    ``port`` go before those settings, as ``serve``'s do.

    ``timeout`` in seconds is for each step: connecting, sending, receiving. Raises nothing for what can be wrong.
    """
    try:
        url = url or _own_url(host, port)
        return _judged(url, *_ask(url, timeout))
    except StartupError as error:
        return Health(False, error.detail)
    except TimeoutError:
        return Health(False, f"{url} has not answered within {timeout:g} seconds.")
    except (OSError, http.client.HTTPException) as error:
        return Health(False, f"{url} cannot be reached: {_reason(error)}.")


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or "it closed the connection"


def _own_url(host: str | None, port: int | None) -> str:
    # Whether it may listen there without a key is the service's question: it may have been told --insecure.
    found = settings.load({"host": host, "port": port, "insecure": True})
    if not found.port:
        raise StartupError("The service takes whatever port is free (port 0): say which with --port.")
    return local_url(found.host, found.port)


def _ask(url: str, timeout: float) -> tuple[int, bytes]:
    parts = urlsplit(url)
    kinds = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
    try:
        connection = kinds[parts.scheme](parts.hostname or "", parts.port, timeout=timeout)
    except (KeyError, ValueError):
        raise StartupError(f"{url!r} is not the address of a service. Write http://127.0.0.1:8000.") from None
    try:
        connection.request("GET", parts.path.rstrip("/") + "/readyz")
        answer = connection.getresponse()
        return answer.status, answer.read(MOST_BYTES)
    finally:
        connection.close()


def _judged(url: str, status: int, body: bytes) -> Health:
    try:
        content = json.loads(body)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        return Health(False, f"{url} answers {status}, but is not a pygents service.")
    if status == 200:
        return Health(True, f"{url} is ready.")
    reasons = content.get("reasons") or [content.get("detail") or f"it answers {status}"]
    return Health(False, f"{url} is not ready: {', '.join(str(reason) for reason in reasons)}.")
