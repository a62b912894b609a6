"""A screen of the tests' own, where the machine has none."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

MISSING_TOOLS = [tool for tool in ("Xvfb", "xdotool") if shutil.which(tool) is None]


@contextmanager
def x_server() -> Iterator[str]:
    """Run a bare X server on a free display; yields its name, ``":0"`` say."""
    read_fd, write_fd = os.pipe()
    # Without -noreset a server starts anew whenever its last client leaves, and throws out
    # who connects meanwhile: here, a window's process, as xdotool comes and goes.
    command = ["Xvfb", "-displayfd", str(write_fd), "-noreset", "-nolisten", "tcp"]
    with subprocess.Popen(
        [*command, "-screen", "0", "1024x768x24"],
        pass_fds=[write_fd],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as server:
        os.close(write_fd)
        try:
            with os.fdopen(read_fd) as answer:
                number = answer.readline().strip()
            if not number:
                pytest.skip("Xvfb could not start")
            yield f":{number}"
        finally:
            server.terminate()
