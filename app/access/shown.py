"""A key as it is shown: to clients, and to those who type."""

from typing import Any

from ..clock import to_rfc3339
from .records import AccessKey


def shown(key: AccessKey, now: int) -> dict[str, Any]:
    """Without its secret, which nobody has."""
    expired = key.expires_at is not None and key.expires_at <= now
    status = (
        "damaged" if key.damaged else "revoked" if key.revoked_at is not None else "expired" if expired else "valid"
    )
    return {
        "id": key.id,
        "name": key.name,
        "status": status,
        "scopes": [str(grant) for grant in key.grants],
        **key.limits._asdict(),
        "created_at": to_rfc3339(key.created_at),
        "expires_at": to_rfc3339(key.expires_at) if key.expires_at is not None else None,
        "revoked_at": to_rfc3339(key.revoked_at) if key.revoked_at is not None else None,
    }
