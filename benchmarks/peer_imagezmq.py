"""imagezmq: ZeroMQ over TCP, REQ/REP and JPEG as in its README."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Iterator
from multiprocessing.synchronize import Event

from benchmarks.peer import HOST, Load, Received, Run, Sent, frames_to_send, run_pair
from benchmarks.pictures import decode_jpeg, encode_jpeg, read_strip


class ImageZmq:
    """JPEG frames by `send_jpg`; the sender waits for each frame's reply."""

    name = "imagezmq, REQ/REP"

    def missing(self) -> str | None:
        """A package of its own."""
        return None if importlib.util.find_spec("imagezmq") else "pip install imagezmq"

    def run(self, load: Load) -> Run:
        """Carry JPEG frames."""
        return run_pair(_send, _receive, load)


def _send(load: Load, port: int) -> Iterator[Sent]:
    import imagezmq  # optional: only where it is measured

    sender = imagezmq.ImageSender(connect_to=f"tcp://{HOST}:{port}")
    for number, frame_bgr in frames_to_send(load):
        captured_s = time.perf_counter()
        jpeg = encode_jpeg(frame_bgr, load.quality)
        encode_s = time.perf_counter() - captured_s
        sender.send_jpg("camera", jpeg)
        yield Sent(number, captured_s, encode_s)
    sender.close()


def _receive(_load: Load, port: int, ready: Event, stop: Event) -> Iterator[Received]:
    import imagezmq  # optional: only where it is measured
    import zmq

    hub = imagezmq.ImageHub(open_port=f"tcp://{HOST}:{port}")
    hub.zmq_socket.setsockopt(zmq.RCVTIMEO, 100)
    ready.set()
    while not stop.is_set():
        try:
            _, jpeg = hub.recv_jpg()
        except zmq.Again:
            continue
        begun_s = time.perf_counter()
        image = decode_jpeg(jpeg)
        decoded_s = time.perf_counter()
        hub.send_reply()
        yield Received(read_strip(image), decoded_s, decoded_s - begun_s, intact=True)
    hub.close()
