"""``pygents`` as the child of ``pygents dev``: it ends when its parent does, however that ends."""

import os
import signal
import threading

from .commands import main


def _end_with_parent() -> None:
    os.read(0, 1)  # the parent holds the other end and writes nothing
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    main()
