"""Which stream a frame belongs to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stream:
    """One sender's run, from its start to its stop, as a receiver knows it.

    Attributes:
        id: number of the stream in this receiver, from 1.
        camera: a short label made here, from the sender's address alone, of letters,
            digits, dots and dashes: safe in a path or a window's title. A camera
            that restarts keeps it.
        address: where the datagrams come from, as ``host:port``.
        epoch: the sender's 16-bit epoch; 0 on the classic wire.
        wire: ``"indexed"`` or ``"classic"``.
    """

    id: int
    camera: str
    address: str
    epoch: int
    wire: str


def host_port(host: str, port: int) -> str:
    """``HOST:PORT``, with brackets where the host is an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
