"""What people type, as values."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Literal

import typer

from udpstream.core.reassembly import MAX_PICTURE_BYTES
from udpstream.protocol import MAX_SIDE

MAX_PARITY_PERCENT = 1000  # ten parity chunks to a data chunk: a block holds no more of use


class OffloadChoice(StrEnum):
    """Whether the kernel cuts and joins datagrams: see `adapters.udp.Offload`."""

    auto = "auto"
    on = "on"
    off = "off"


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


@dataclass(frozen=True, slots=True)
class Parity:
    """How much parity: ``auto``, ``off`` or a percentage."""

    value: Literal["auto", "off"] | float

    def __str__(self) -> str:
        return f"{self.value}"


def parse_parity(text: str | Parity) -> Parity:
    """Read ``auto``, ``off`` or a percentage, with its sign or without.

    Raises:
        typer.BadParameter: it is none of these.
    """
    if isinstance(text, Parity):
        return text
    if text in ("auto", "off"):
        return Parity("auto" if text == "auto" else "off")
    try:
        percent = float(text.removesuffix("%"))
    except ValueError:
        percent = math.nan
    if not 0 <= percent <= MAX_PARITY_PERCENT:
        raise typer.BadParameter(
            f"'{text}' is no share of parity: write auto, off, or percent from 0 to "
            f"{MAX_PARITY_PERCENT}"
        )
    return Parity(percent)


def writable_file(path: Path | None) -> Path | None:
    """Make sure that a file can be written, before there is something to lose.

    Raises:
        typer.BadParameter: it cannot.
    """
    if path is not None:
        was_there = path.exists()
        try:
            path.open("a").close()
            if not was_there:  # what comes next may fail, and leave it empty
                path.unlink()
        except OSError as error:
            raise typer.BadParameter(
                f"cannot write {path}: {error.strerror}: name a file that can be written"
            ) from error
    return path
