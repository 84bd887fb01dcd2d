"""Where a client on this machine finds the service that listens on a given address."""


def local_url(host: str, port: int) -> str:
    """The base URL; of an address that means "all of this machine's" it is the loopback one."""
    plain = host.strip("[]")
    plain = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(plain, plain)  # noqa: S104
    return f"http://[{plain}]:{port}" if ":" in plain else f"http://{plain}:{port}"
