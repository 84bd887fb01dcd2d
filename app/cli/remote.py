"""Which running service a verb asks, and with which key."""

import os
from urllib.parse import urlsplit

from ..settings import Settings
from ..urls import is_loopback
from .addresses import local_url


def own_url(settings: Settings) -> str:
    """Of the service on this machine that has these settings."""
    return local_url(settings.host, settings.port)


def key_headers(settings: Settings) -> dict[str, str]:
    """``PYGENTS_API_KEY`` goes before the service's own key; no header without either."""
    key = os.environ.get("PYGENTS_API_KEY") or (settings.admin_key.get_secret_value() if settings.admin_key else "")
    return {"Authorization": f"Bearer {key}"} if key else {}


def by_proxy(url: str, settings: Settings) -> bool:
    """Whether a proxy of the environment may stand between. What is on this machine is asked directly: the proxy would
    see nothing but the key."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:  # no address at all, which asking tells
        return False
    return url != own_url(settings) and not is_loopback(host)
