"""What people type, as values."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import typer

from udpstream.core.reassembly import MAX_PICTURE_BYTES
from udpstream.protocol import MAX_SIDE


@dataclass(frozen=True, slots=True)
class Size:
    """A picture's size in pixels."""

    width: int
    height: int

    @property
    def wh(self) -> tuple[int, int]:
        """Width and height."""
        return self.width, self.height

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


def parse_size(text: str | Size) -> Size:
    """Read ``WxH``.

    Raises:
        typer.BadParameter: it is not two whole numbers of pixels.
    """
    if isinstance(text, Size):  # typer parses its own defaults too
        return text
    match = re.fullmatch(r"(\d{1,5})[xX*](\d{1,5})", text.strip())
    size = Size(int(match[1]), int(match[2])) if match else Size(0, 0)
    pixels = size.width * size.height
    if not (pixels and max(size.wh) <= MAX_SIDE and pixels * 3 <= MAX_PICTURE_BYTES):
        raise typer.BadParameter(
            f"'{text}' is not a size: write WIDTHxHEIGHT, such as 640x480; up to 44 million pixels"
        )
    return size


def writable_file(path: Path | None) -> Path | None:
    """Make sure that a file can be written, before there is something to lose.

    Raises:
        typer.BadParameter: it cannot.
    """
    if path is not None:
        try:
            path.open("a").close()
        except OSError as error:
            raise typer.BadParameter(
                f"cannot write {path}: {error.strerror}: name a file that can be written"
            ) from error
    return path
