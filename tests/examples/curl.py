"""What a person does with ``curl -N`` on a stream that never ends: look until nothing more comes, then Ctrl-C.

``python curl.py REAL_CURL REFUSALS ARGUMENTS``; calls that do not follow a stream are curl's own. Those that are
answered with a problem are noted in the file ``REFUSALS``, wherever a page sends the answer.
"""

import os
import re
import selectors
import subprocess
import sys
import time
from pathlib import Path

QUIET, LONGEST, PATIENCE = 1.5, 5.0, 30.0
"""Seconds: of silence after an event; after the first event; until the first event."""


def main() -> int:
    _, curl, refusals, *arguments = sys.argv
    if not any(re.fullmatch(r"-[a-zA-Z]*N[a-zA-Z]*", argument) for argument in arguments):
        done = subprocess.run([curl, *arguments], stdout=subprocess.PIPE, check=False)
        sys.stdout.buffer.write(done.stdout)
        if b"urn:pygents:problem" in done.stdout:
            Path(refusals).write_text(" ".join(arguments))
        return done.returncode
    with subprocess.Popen([curl, *arguments], stdout=subprocess.PIPE) as process:
        looked = _look(process)
        if process.poll() is not None:
            return process.returncode
        process.terminate()
        if not looked:
            sys.stderr.write(f"no event came within {PATIENCE} s\n")
        return 0 if looked else 1


def _look(process: "subprocess.Popen[bytes]") -> bool:
    """Copy what comes, until it ends or enough was seen. False if there was nothing to see."""
    assert process.stdout is not None
    begin, first, last, shown = time.monotonic(), 0.0, 0.0, b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while True:
            if selector.select(0.05):
                part = os.read(process.stdout.fileno(), 65536)
                if not part:
                    process.wait()
                    return True
                shown, last = shown + part, time.monotonic()
                sys.stdout.buffer.write(part)
                sys.stdout.flush()
            now = time.monotonic()
            first = first or (now if b"event: " in shown else 0.0)
            if first and (now - last > QUIET or now - first > LONGEST):
                return True
            if not first and now - begin > PATIENCE:
                return False


if __name__ == "__main__":
    sys.exit(main())
