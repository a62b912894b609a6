"""Receives 640x480 BGR frames over the classic wire; knows nothing of udpstream.

    python classic_receive.py 127.0.0.1 9505 FRAMES

Prints "ready", then the SHA-256 of each frame; ends after FRAMES, or 5 s of silence.
"""

import hashlib
import socket
import sys
from collections.abc import Iterator

CHUNK_BYTES = 46_080


def frames(sock: socket.socket) -> Iterator[bytes]:
    """Yield what is there each time index 19 comes, whole or torn, until the socket times out."""
    chunks = [bytes(CHUNK_BYTES)] * 20
    while True:
        try:
            datagram = sock.recv(1 + CHUNK_BYTES)
        except TimeoutError:
            return
        index = datagram[0]
        chunks[index] = datagram[1:]
        if index == 19:
            yield b"".join(chunks)


if __name__ == "__main__":
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind((sys.argv[1], int(sys.argv[2])))
        udp.settimeout(5.0)
        print("ready", flush=True)
        for _, frame in zip(range(int(sys.argv[3])), frames(udp), strict=False):
            print(hashlib.sha256(frame).hexdigest(), flush=True)
