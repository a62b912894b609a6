"""The command line: a face over the library, and nothing that a library user would miss."""

from __future__ import annotations

import signal
import sys

from udpstream.errors import UdpStreamError


def main() -> None:
    """Run the command line and exit: 0 when all went well, 1 on an error, 2 on wrong usage."""
    try:
        from udpstream.cli.app import app  # typer takes its time; importing us should not
        from udpstream.cli.terminal import complain
    except ImportError as error:
        if "lib" not in str(error):
            raise
        sys.exit(
            f"udpstream: error: OpenCV cannot be loaded: {error}. "
            "On Debian or Ubuntu: sudo apt install libgl1 libglib2.0-0"
        )
    except KeyboardInterrupt:
        sys.exit(130)  # as a shell has it; there is nothing to finish yet

    try:
        app(prog_name="udpstream")  # also as python -m udpstream
    except UdpStreamError as error:
        complain(str(error))
        sys.exit(1)
    except OSError as error:  # of the standard streams; others have become ours
        complain(str(error))
        sys.exit(1)
    finally:
        # What is left is Python's own end: one more Ctrl+C may cut it short, without a word.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
