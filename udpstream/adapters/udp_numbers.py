"""Numbers of the kernel's UDP that Python's socket module does not name, and its errors by kind."""

from __future__ import annotations

import errno
import socket

# linux/udp.h, asm-generic/socket.h and sockios.h
SOL_UDP = 17
UDP_SEGMENT = 103
UDP_GRO = 104
SO_RXQ_OVFL = 40
SO_RCVBUFFORCE = 33
SIOCGSTAMPNS = 0x8907

DONTWAIT = int(getattr(socket, "MSG_DONTWAIT", 0))
TRUNCATED = int(getattr(socket, "MSG_TRUNC", 0))  # as an IntFlag, each `&` takes 1.5 us

_NOBODY_THERE = frozenset({errno.ECONNREFUSED, errno.ECONNRESET})
# What may be told of a datagram that left before: by ICMP, or by this machine's own rules.
EARLIER = _NOBODY_THERE | {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN,
                           errno.ENETDOWN, errno.ENETRESET, errno.ENOPROTOOPT, errno.EPROTO,
                           errno.EACCES, errno.EPERM}  # fmt: skip
TOLD = EARLIER | {errno.EMSGSIZE}  # where something is read
NO_SEGMENTS = frozenset({errno.EINVAL, errno.EIO, errno.EMSGSIZE, errno.EOPNOTSUPP})
PASSING = _NOBODY_THERE | {errno.ENOBUFS, errno.EAGAIN, errno.ENETUNREACH, errno.EHOSTUNREACH,
                           errno.ENETDOWN, errno.EHOSTDOWN, errno.EPERM}  # fmt: skip
