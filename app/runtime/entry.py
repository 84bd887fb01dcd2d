"""Whether code may begin, or is taken to another worker before it has: who asks first decides, from any thread."""


class Entry:
    """``take`` is true once. Popping from a list is one step that no other thread can come between."""

    __slots__ = ("_free",)

    def __init__(self) -> None:
        self._free = [True]

    def take(self) -> bool:
        try:
            return self._free.pop()
        except IndexError:
            return False
