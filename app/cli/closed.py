"""What ``serve`` refuses before it opens, makes or starts anything; ``config show`` and ``doctor`` tell it before."""

from collections.abc import Iterator
from importlib.util import find_spec

from ..errors import StartupError
from ..settings import Settings, no_key, no_verifier
from ..store.naming import file_of


def check(settings: Settings) -> None:
    """Raises ``StartupError`` for the first of ``refusals``."""
    for error in refusals(settings):
        raise error


def refusals(settings: Settings) -> Iterator[StartupError]:
    """A store that is none, tokens that nothing can verify, and what others could come into without a key."""
    try:
        file_of(settings.store)
    except StartupError as error:
        yield error
        return
    if settings.jwt_issuer is not None and not (find_spec("jwt") and find_spec("cryptography")):
        yield no_verifier()
    if settings.needs_key and not _has_keys(settings.store):
        yield no_key(settings.host)


def _has_keys(store: str) -> bool:
    from ..store.opening import has_keys  # noqa: PLC0415 (most starts do without)

    return has_keys(store)
