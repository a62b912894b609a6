"""A look at this machine: can it receive, send, show and record?"""

from __future__ import annotations

import ctypes
import importlib.metadata
import os
import platform
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from udpstream.adapters.screen import screen_problem
from udpstream.adapters.udp import UdpReceiver, UdpSender
from udpstream.bench.finding import Finding, receive_buffer
from udpstream.errors import AddressError

_LOOPBACK = "127.0.0.1"
_PACKAGES = ("opencv-python", "av", "numpy")
_TEST_SOURCE = "udpstream send HOST --source test"
_UNSYNCHRONISED = 5  # TIME_ERROR of adjtimex(2)
_TIMEX_BYTES = 512  # more than struct timex has anywhere
_ARRIVAL_S = 0.5


def look_at_machine(datagram_bytes: int) -> Iterator[Finding]:
    """Yield what is found, one by one: some looks take a while."""
    yield _versions()
    yield from _sockets(datagram_bytes)
    yield _screen()
    yield _camera()
    yield _clock()


def _versions() -> Finding:
    found = [f"Python {platform.python_version()}"]
    missing = []
    for package in _PACKAGES:
        try:
            found.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(package)
    system = f"{platform.system()} {platform.release()}, "
    if not missing:
        return Finding("ok", "programs", system + ", ".join(found))
    # Another build may stand in for one of them, such as opencv-python-headless.
    text = f"{system}{', '.join(found)}; not installed under that name: {', '.join(missing)}"
    return Finding("warning", "programs", text, (f"pip install {' '.join(missing)}",))


def _sockets(datagram_bytes: int) -> Iterator[Finding]:
    try:
        receiver = UdpReceiver(_LOOPBACK, 0)
    except (AddressError, OSError) as error:
        yield Finding("problem", "sockets", f"no UDP socket can be had: {error}")
        return
    try:
        yield receive_buffer(receiver.receive_buffer_bytes, datagram_bytes, sys.platform)
        sender = UdpSender(_LOOPBACK, receiver.endpoint.sockaddr[1])
        try:
            yield _offload(sender, receiver)
        finally:
            sender.close()
    finally:
        receiver.close()


def _offload(sender: UdpSender, receiver: UdpReceiver) -> Finding:
    """Send a few datagrams in one call, and see whether they come as they are."""
    sender.send_all(np.zeros((8, 1000), np.uint8))
    until_s = time.monotonic() + _ARRIVAL_S
    arrived = 0
    while arrived < 8 and (left_s := until_s - time.monotonic()) > 0:
        receiver.wait(left_s)
        arrived += sum(len(batch.datagrams) for batch in receiver.read())
    if arrived < 8:
        return Finding(
            "problem", "loopback", f"of 8 datagrams to {_LOOPBACK} {arrived} came",
            ("let this machine's firewall pass UDP on the loopback device",),
        )  # fmt: skip
    have = {"UDP_SEGMENT": sender.segments, "UDP_GRO": receiver.coalesces}
    if all(have.values()):
        return Finding("ok", "offload", "UDP_SEGMENT and UDP_GRO work: many datagrams a call")
    lacks = " and ".join(name for name, there in have.items() if not there)
    if sys.platform != "linux":
        return Finding(
            "ok", "offload", f"{lacks} are Linux's: datagrams go one by one, enough for JPEG"
        )
    return Finding(
        "warning", "offload", f"{lacks} cannot be had: datagrams go one by one, enough for JPEG",
        ("Linux 5.0 or later has both",),
    )  # fmt: skip


def _screen() -> Finding:
    problem = screen_problem()
    if problem is None:
        return Finding("ok", "screen", "windows can be opened")
    return Finding(
        "warning", "screen", problem, ("without windows: udpstream receive --display off",)
    )


def _camera() -> Finding:
    if sys.platform != "linux":
        return Finding("ok", "camera", "not looked for here; to try the first: udpstream send")
    devices = sorted(Path("/dev").glob("video*"))
    if not devices:
        return Finding("warning", "camera", "there is no /dev/video*", (_TEST_SOURCE,))
    names = ", ".join(map(str, devices))
    if not any(os.access(device, os.R_OK | os.W_OK) for device in devices):
        return Finding(
            "problem", "camera", f"{names}: not for this user",
            ("sudo usermod -aG video $USER, and log in again",),
        )  # fmt: skip
    return Finding("ok", "camera", names)


def _clock() -> Finding:
    resolution_s = time.get_clock_info("monotonic").resolution
    if resolution_s > 1e-3:  # Windows before Python 3.13: 15.6 ms
        return Finding(
            "warning", "clock", f"it ticks each {resolution_s * 1e3:.1f} ms: no latency is finer",
            ("Python 3.13 or later has a finer one on Windows",),
        )  # fmt: skip
    if _is_synchronised() is False:
        return Finding(
            "ok", "clock",
            "not set by NTP: recordings bear this machine's own time; latency is measured all "
            "the same",
        )  # fmt: skip
    return Finding("ok", "clock", f"fine to {resolution_s * 1e6:.3g} us")


def _is_synchronised() -> bool | None:
    """Whether NTP keeps the wall clock; None where that is not told."""
    if sys.platform != "linux":
        return None
    try:
        libc = ctypes.CDLL(None)
        state = int(libc.adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES)))
    except (OSError, AttributeError):
        return None
    return None if state < 0 else state != _UNSYNCHRONISED
