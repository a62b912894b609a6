"""Sends 640x480 BGR frames over the classic wire; knows nothing of udpstream.

    python classic_send.py 127.0.0.1 9505 FRAMES FPS    (FPS 0: as fast as it goes)

Each byte is derived from the frame's number and its place, so a mixed frame shows.
"""

import socket
import sys
import time

import numpy as np
from numpy.typing import NDArray

CHUNK_BYTES = 46_080


def picture(number: int) -> NDArray[np.uint8]:
    """Frame `number`, `(480, 640, 3)` uint8 BGR: 5 * number + row + channel, modulo 256."""
    column = np.arange(480)[:, None, None] + np.arange(3) + 5 * number
    return np.broadcast_to(column, (480, 640, 3)).astype(np.uint8)


def send_frame(sock: socket.socket, address: tuple[str, int], frame_bgr: NDArray[np.uint8]) -> None:
    """Send one frame as 20 datagrams: one byte of index, then a slice."""
    flat = frame_bgr.tobytes()
    for index in range(20):
        chunk = flat[index * CHUNK_BYTES : (index + 1) * CHUNK_BYTES]
        sock.sendto(bytes([index]) + chunk, address)


if __name__ == "__main__":
    target = (sys.argv[1], int(sys.argv[2]))
    fps = float(sys.argv[4])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        start = time.monotonic()
        for sent in range(int(sys.argv[3])):
            if fps:
                time.sleep(max(0.0, start + sent / fps - time.monotonic()))
            send_frame(udp, target, picture(sent))
