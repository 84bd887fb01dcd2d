"""Who calls: the one admin key, sent as ``Authorization: Bearer`` or ``X-API-Key``."""

import hashlib
import hmac
from collections.abc import Sequence

ADMIN = "admin"
ANONYMOUS = ""
"""Callers: they scope idempotency keys, and cancelled turns name them."""


class AdminKey:
    """Checks credentials. Without a key every caller is ``ANONYMOUS`` and may do everything.

    Both sides are hashed before they are compared, as bytes: the comparison takes the same time whatever was sent, and
    no sequence of bytes can make it fail.
    """

    def __init__(self, key: str | None) -> None:
        self._digest = hashlib.sha256(key.encode()).digest() if key is not None else None

    def caller(self, authorization: Sequence[bytes], x_api_key: Sequence[bytes]) -> str | None:
        """Who sent these header values; None for nobody who is known here.

        A header that was sent twice is nobody's: two readers of the request could disagree on which one counts.
        """
        if self._digest is None:
            return ANONYMOUS
        given = _credential(authorization, x_api_key)
        known = given is not None and hmac.compare_digest(hashlib.sha256(given).digest(), self._digest)
        return ADMIN if known else None


def _credential(authorization: Sequence[bytes], x_api_key: Sequence[bytes]) -> bytes | None:
    match authorization, x_api_key:
        case [value], []:
            scheme, _, key = value.partition(b" ")
            return key.strip() if scheme.lower() == b"bearer" else None
        case _, [key]:
            return key if len(authorization) <= 1 else None
        case _:
            return None
