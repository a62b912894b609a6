"""GStreamer's two ends, run by whichever Python has PyGObject; standard library otherwise.

python -m benchmarks.gst_ends send     load and pictures on stdin, records on stdout
python -m benchmarks.gst_ends receive  load on stdin; ends, and tells, when stdin closes
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import gi

from benchmarks.schedule import due_numbers

gi.require_version("Gst", "1.0")
from gi.repository import Gst  # noqa: E402 - the version has to be chosen first

_BITS, _BLOCK = 24, 16  # the strip of benchmarks.pictures, here without numpy

# As little waiting as the elements allow: no jitter buffer, nothing synchronised to a clock.
_SEND = (
    "appsrc name=camera is-live=true do-timestamp=true format=time "
    "caps=video/x-raw,format=BGR,width={width},height={height},framerate={fps}/1 "
    "! videoconvert name=convert ! video/x-raw,format=I420 "
    "! jpegenc name=encode quality={quality} ! rtpjpegpay mtu=1400 "
    "! udpsink host=127.0.0.1 port={port} sync=false async=false"
)
_RECEIVE = (
    "udpsrc address=127.0.0.1 port={port} buffer-size=4194304 "
    "caps=application/x-rtp,media=video,clock-rate=90000,encoding-name=JPEG,payload=26 "
    "! rtpjpegdepay ! jpegdec name=decode ! videoconvert ! video/x-raw,format=BGR "
    "! appsink name=screen sync=false async=false emit-signals=true"
)


def send(load: dict[str, Any]) -> list[tuple[int, float, float]]:
    """Push the pictures; return number, capture time and encode time of each."""
    frame_bytes = load["width"] * load["height"] * 3
    pictures = [bytearray(sys.stdin.buffer.read(frame_bytes)) for _ in range(load["pictures"])]
    pipeline = Gst.parse_launch(_SEND.format(**load))
    begun_s = 0.0
    encode_s: list[float] = []

    def convert_begins(*_: object) -> Any:
        nonlocal begun_s
        begun_s = time.perf_counter()
        return Gst.PadProbeReturn.OK

    def encode_ends(*_: object) -> Any:
        encode_s.append(time.perf_counter() - begun_s)
        return Gst.PadProbeReturn.OK

    _probe(pipeline, "convert", "sink", convert_begins)
    _probe(pipeline, "encode", "src", encode_ends)
    pipeline.set_state(Gst.State.PLAYING)
    camera = pipeline.get_by_name("camera")
    captured: list[tuple[int, float]] = []
    for number in due_numbers(load["fps"], load["seconds"]):
        picture = pictures[number % len(pictures)]
        _write_strip(picture, number, load["width"] * 3)
        buffer = Gst.Buffer.new_wrapped(bytes(picture))
        captured.append((number, time.perf_counter()))
        camera.emit("push-buffer", buffer)
    camera.emit("end-of-stream")
    pipeline.get_bus().timed_pop_filtered(
        5 * Gst.SECOND, Gst.MessageType.EOS | Gst.MessageType.ERROR
    )
    pipeline.set_state(Gst.State.NULL)
    return [(*frame, took_s) for frame, took_s in zip(captured, encode_s, strict=False)]


def receive(load: dict[str, Any]) -> list[tuple[int, float, float]]:
    """Take pictures until stdin closes; return number, time and decode time of each."""
    pipeline = Gst.parse_launch(_RECEIVE.format(**load))
    begun_s = 0.0
    shown: list[tuple[int, float, float]] = []

    def decode_begins(*_: object) -> Any:
        nonlocal begun_s
        begun_s = time.perf_counter()
        return Gst.PadProbeReturn.OK

    def show(screen: Any) -> Any:
        buffer = screen.emit("pull-sample").get_buffer()
        decoded_s = time.perf_counter()
        stride = load["width"] * 3
        row = buffer.extract_dup(_BLOCK // 2 * stride, stride)
        shown.append((_read_strip(row), decoded_s, decoded_s - begun_s))
        return Gst.FlowReturn.OK

    _probe(pipeline, "decode", "sink", decode_begins)
    pipeline.get_by_name("screen").connect("new-sample", show)
    pipeline.set_state(Gst.State.PLAYING)
    pipeline.get_state(5 * Gst.SECOND)
    print("ready", flush=True)
    sys.stdin.buffer.read()
    pipeline.set_state(Gst.State.NULL)
    return shown


def _probe(pipeline: Any, element: str, pad: str, function: Any) -> None:
    pipeline.get_by_name(element).get_static_pad(pad).add_probe(Gst.PadProbeType.BUFFER, function)


def _write_strip(picture: bytearray, number: int, stride: int) -> None:
    row = b"".join(bytes([number >> bit & 1]) * (_BLOCK * 3) for bit in range(_BITS))
    row = row.replace(b"\x01", b"\xff")
    for y in range(_BLOCK):
        picture[y * stride : y * stride + len(row)] = row


def _read_strip(row: bytes) -> int:
    middles = row[_BLOCK // 2 * 3 + 1 :: _BLOCK * 3][:_BITS]
    return sum((value > 127) << bit for bit, value in enumerate(middles))


if __name__ == "__main__":
    Gst.init(None)
    told = json.loads(sys.stdin.buffer.readline())
    print(json.dumps(send(told) if sys.argv[1] == "send" else receive(told)))
