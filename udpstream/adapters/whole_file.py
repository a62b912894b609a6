"""Files that are there whole or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from udpstream.errors import RecordingError, UdpStreamError


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a place to write a file at, which takes its own place when all went well.

    Raises:
        RecordingError: it cannot be written.
    """
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        try:
            yield part
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except UdpStreamError:
        raise
    except OSError as error:
        raise RecordingError(
            f"cannot write {path}: {error.strerror}: name a file that can be written"
        ) from error
