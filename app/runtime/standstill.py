"""Code that holds the interpreter, one huge regular expression for instance, stops every thread of the process.

No Python code can report that, but a timer of C's can: faulthandler writes where all threads are, again and again until
somebody is back to wind it up. It may look at threads only while they stand still, because it does so without holding
the interpreter. So the timer counts the processor's time: a process that was suspended, or is not let run by a busy
machine, does not let it expire; and it is wound by a thread with nothing else to do, which no busy event loop delays.
"""

import faulthandler
import logging
import os
import signal
import sys
import threading
from time import process_time

log = logging.getLogger("pygents.standstill")

WIND_SECONDS = 0.1
HELD_SECONDS = max(2.0, 2 * WIND_SECONDS * (os.cpu_count() or 1))
"""Of the process's time in its own code: what sleeps while it holds the interpreter is not found. On more than ten
processors it is longer, because libraries that let go of the interpreter may keep all of them busy meanwhile."""
SIGNAL = signal.SIGVTALRM


class Standstill:
    """There is one such timer in a process; it belongs to whoever wound it up last.

    Nothing is watched where the signal has a handler already, or standard error is no file.
    """

    def __init__(self) -> None:
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        if self._thread is None and _register():
            self._thread = threading.Thread(target=self._keep_wound, name="standstill", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Safe without ``start``. The handler stays: without one the signal would end the process."""
        if self._thread is not None:
            self._ended.set()
            self._thread.join()
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)

    def _keep_wound(self) -> None:
        wound_at = process_time()
        while True:
            signal.setitimer(signal.ITIMER_VIRTUAL, HELD_SECONDS, HELD_SECONDS)
            if self._ended.wait(WIND_SECONDS):
                return
            passed, wound_at = process_time() - wound_at, process_time()
            if passed > HELD_SECONDS:
                log.error("the interpreter was held for about %.1f s; the stacks are on the standard error", passed)


def _register() -> bool:
    """Whether the signal writes the stacks from now on."""
    if sys.__stderr__ is None or signal.getsignal(SIGNAL) is not signal.SIG_DFL:
        return False
    try:
        faulthandler.register(SIGNAL, file=sys.__stderr__, all_threads=True)
    except (OSError, ValueError, RuntimeError):  # it is closed, or no file
        return False
    return True
