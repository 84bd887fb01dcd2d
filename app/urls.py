"""What addresses may be: hosts, origins, and URLs that are trusted or shown."""

import ipaddress
import re
from urllib.parse import urlsplit

ORIGIN = re.compile(r"https?://(?:[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")
HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?")
"""What a ``Host`` may be, with its port, if any, after it."""


def is_trustworthy(url: str) -> bool:
    """Whether what is fetched from there is what its owner has put there: by https, or on this machine."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port  # of which either may be none that can be
    except ValueError:
        return False
    if not re.fullmatch(r"[!-~]+", url) or not host or parts.username is not None or parts.fragment:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))


def masked(url: str) -> str:
    """A store's URL without user and password, in which there may be anything; the path of a file may have an ``@``."""
    return url if url.startswith("sqlite:///") else re.sub(r"(?<=://).*@", "***@", url, flags=re.DOTALL)


def is_loopback(host: str) -> bool:
    """Whether it means this machine and can mean no other."""
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
