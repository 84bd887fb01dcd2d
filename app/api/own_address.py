"""The one ``Host`` besides names that needs no telling: the address that a connection has come to."""

import ipaddress

from starlette.types import Scope


def is_own_address(scope: Scope, host: str) -> bool:
    """Whether ``host`` is that of the socket, with its port: what scrapes and probes a pod knows no other name of it.

    A page that has got here by DNS rebinding shows the name that it was loaded by, which is never an address.
    """
    text, port = scope.get("server") or ("", None)
    try:
        address = ipaddress.ip_address(text)
    except ValueError:  # a socket of another kind has none
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped  # a socket for both versions has such
    name = f"[{address}]" if address.version == 6 else str(address)
    return host.lower() == f"{name}:{port}" or (port == 80 and host.lower() == name)
