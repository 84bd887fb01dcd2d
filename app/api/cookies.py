"""The cookie of a browser that is signed in, and whether a request is one of the service's own pages.

A cookie comes by itself with whatever a browser sends here, and so it proves nothing about who made it send that.
``SameSite`` keeps out other sites only: another port of this host and another host of the same domain are the same site
(RFC 6265bis §5.2). Their pages are told from our own by what scripts cannot forge: ``Origin`` and ``Sec-Fetch-Site``.

A cookie is also not bound to a port. So its name has the port of the ``Host``, or services of one machine would take
it from each other; and where it came by https the name begins with ``__Host-``, which no other host can set.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from .heads import Heads

NAME = "pygents"
HOST_ONLY = "__Host-"
"""What browsers take only from the host itself, by https, and for all of its paths (RFC 6265bis §4.1.3.2)."""
ATTRIBUTES = "; Path=/; HttpOnly; SameSite=Strict"
_TOKEN = re.compile(rb"pys_[0-9a-f]{64}")


class Presented(NamedTuple):
    """``secure``: it was set by https, and by nobody else."""

    token: bytes
    secure: bool


def presented(heads: Heads) -> Presented | None:
    """The session's token; None where there is none, more than one, or what can be none. Other cookies are not ours.

    By https only one that is ``secure`` counts: the other could have been planted by a host of the same domain, to
    have somebody work in another's name without noticing.
    """
    if b"cookie" not in heads:
        return None
    plain = cookie_name(heads, secure=False)
    for name, secure in ((HOST_ONLY + plain, True), (plain, False)):
        if values := list(_values(heads[b"cookie"], name.encode())):
            token = values[0] if len(values) == 1 and _TOKEN.fullmatch(values[0]) else None
            counts = token is not None and (secure or not by_https(heads))
            return Presented(token, secure) if token is not None and counts else None
    return None


def cookie_name(heads: Heads, *, secure: bool) -> str:
    """By the port that the browser has sent the request to."""
    host = heads.get(b"host", (b"",))[0].decode("latin-1")
    port = host[host.rfind("]") + 1 :].partition(":")[2]
    return f"{HOST_ONLY if secure else ''}{NAME}{f'-{port}' if port else ''}"


def begin_cookie(token: str, heads: Heads) -> str:
    """The value of ``Set-Cookie``. It has no end: the browser forgets it when it is closed, the service before."""
    secure = by_https(heads)
    return f"{cookie_name(heads, secure=secure)}={token}{ATTRIBUTES}{'; Secure' if secure else ''}"


def end_cookie(heads: Heads, *, secure: bool) -> str:
    """The value of ``Set-Cookie`` that makes the browser forget it."""
    return f"{cookie_name(heads, secure=secure)}=; Max-Age=0{ATTRIBUTES}{'; Secure' if secure else ''}"


def by_https(heads: Heads) -> bool:
    """Whether the browser has sent it by https, which ends at a proxy: what is served here is always plain.

    The ``Origin`` of our pages says so with all that writes; ``X-Forwarded-Proto`` is the proxy's word for the rest.
    Anybody can send either, but only for himself, and then only gets a cookie that is worth less by http.
    """
    if _is_own(heads):
        return heads[b"origin"][0].lower().startswith(b"https://")
    forwarded = heads.get(b"x-forwarded-proto", ())
    return len(forwarded) == 1 and forwarded[0].strip().lower() == b"https"


def is_foreign(heads: Heads) -> bool:
    """Whether a page of another origin has made the browser send it, as far as it says. Programs say nothing."""
    sites = heads.get(b"sec-fetch-site", ())
    if sites and list(sites) not in ([b"same-origin"], [b"none"]):  # none: a person typed the address
        return True
    return b"origin" in heads and not _is_own(heads)


def proves_own(heads: Heads) -> bool:
    """Whether a page of the service's own origin has made the browser send it, beyond doubt."""
    sites = heads.get(b"sec-fetch-site", ())
    if is_foreign(heads):
        return False
    return list(sites) == [b"same-origin"] or (not sites and b"origin" in heads)


def _is_own(heads: Heads) -> bool:
    """Scheme apart, which only the browser and the proxy know, it is the Host that the request was sent to."""
    origins, hosts = heads.get(b"origin", ()), heads.get(b"host", ())
    if len(origins) != 1 or len(hosts) != 1:
        return False
    scheme, _, host = origins[0].lower().partition(b"://")
    return scheme in (b"http", b"https") and host == hosts[0].lower()


def _values(headers: Sequence[bytes], name: bytes) -> Iterator[bytes]:
    for header in headers:
        for pair in header.split(b";"):
            found, equals, value = pair.strip(b" \t").partition(b"=")
            if equals and found == name:
                yield value
