"""The agents of ``pygents serve --demo``. Of pygents they use ``pygents_core`` alone: copy one and start.

``chat`` is not among those imported here, because it needs an endpoint to talk with.
"""

from .counter import counter
from .greeter import greeter
from .library import librarian, reader

__all__ = ["counter", "greeter", "librarian", "reader"]
