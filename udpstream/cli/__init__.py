"""The command line: a face over the library, and nothing that a library user would miss."""

from __future__ import annotations

import sys

from udpstream.errors import UdpStreamError


def main() -> None:
    """Run the command line and exit: 0 when all went well, 1 on an error, 2 on wrong usage."""
    from udpstream.cli.app import app  # typer takes its time; importing this module should not
    from udpstream.cli.terminal import complain

    try:
        app(prog_name="udpstream")  # also as python -m udpstream
    except UdpStreamError as error:
        complain(str(error))
        sys.exit(1)
    except OSError as error:  # of the standard streams; others have become ours
        complain(str(error))
        sys.exit(1)
