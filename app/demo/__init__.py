"""The agents of ``pygents serve --demo``. They use nothing but ``pygents_core``: copy one and start from it."""

from .counter import counter
from .greeter import greeter
from .library import librarian, reader

__all__ = ["counter", "greeter", "librarian", "reader"]
