"""Open only on purpose: what is refused by ``serve``, and told by ``config show`` and ``doctor`` before."""

from ..errors import StartupError
from ..settings import Settings, no_key


def check_closed(settings: Settings) -> None:
    """Raises ``StartupError`` if others could come in without a key. Opens, makes and starts nothing."""
    if (error := why_open(settings)) is not None:
        raise error


def why_open(settings: Settings) -> StartupError | None:
    if not settings.needs_key:
        return None
    from ..store.opening import has_keys  # noqa: PLC0415 (most starts do without)

    return None if has_keys(settings.store) else no_key(settings.host)
