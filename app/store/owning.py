"""Making files that their owner alone can read, and that belong to whom they should."""

import os
from contextlib import suppress
from pathlib import Path


def open_own(path: Path, flags: int = os.O_RDWR) -> int:
    """A descriptor of ``path``, which is made if it is not there; ``O_EXCL`` in ``flags`` refuses one that is.

    What root makes gets the owner of its folder: the service, which is another user, must be able to open what somebody
    has restored for it. Never what is there already: it may be a link to something else. Raises ``OSError``.
    """
    try:
        descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        if flags & os.O_EXCL:
            raise
        return os.open(path, flags | os.O_CREAT, 0o600)
    folder = os.stat(path.parent)
    if os.geteuid() == 0 and folder.st_uid != 0:
        with suppress(OSError):  # a container's root may not, and some file systems have no owners
            os.fchown(descriptor, folder.st_uid, folder.st_gid)
    return descriptor
