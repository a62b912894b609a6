"""``udpstream bench``: measurements of a link and of this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from udpstream.cli.bench_loss import bench_loss
from udpstream.cli.options import OffloadChoice, Size, parse_size, writable_file
from udpstream.protocol import DEFAULT_DATAGRAM_BYTES, MAX_DATAGRAM_BYTES, PROBE_BYTES

bench = typer.Typer(
    name="bench",
    help="Measure a link, or this machine.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_Json = Annotated[
    Path | None,
    typer.Option(callback=writable_file, metavar="FILE", help="Write the figures here, too."),
]


@bench.command(name="link")
def _link(
    address: Annotated[str, typer.Argument(metavar="HOST[:PORT]", help="A running receiver.")],
    seconds: Annotated[
        float, typer.Option(min=0.1, max=60.0, metavar="S", help="How long to try each rate.")
    ] = 1.0,
    min_rate: Annotated[
        float, typer.Option(min=0.1, max=100_000, metavar="MBIT", help="Mbit/s to begin with.")
    ] = 2.0,
    max_rate: Annotated[
        float, typer.Option(min=0.1, max=100_000, metavar="MBIT", help="Mbit/s to end with.")
    ] = 512.0,
    datagram: Annotated[
        int,
        typer.Option(
            min=PROBE_BYTES, max=MAX_DATAGRAM_BYTES, metavar="BYTES", help="Size of the datagrams."
        ),
    ] = DEFAULT_DATAGRAM_BYTES,
    size: Annotated[
        Size, typer.Option(parser=parse_size, metavar="WxH", help="Pictures to recommend for.")
    ] = Size(640, 480),  # noqa: B008 - a frozen value
    offload: Annotated[
        OffloadChoice, typer.Option(help="Segmentation offload (Linux): force it on or off.")
    ] = OffloadChoice.auto,
    json: _Json = None,
) -> None:
    """Try a link at rising rates, and say what to send over it."""
    from udpstream.cli.bench_link import LinkOptions, bench_link

    bench_link(
        LinkOptions(
            address=address,
            seconds=seconds,
            min_bps=min_rate * 1e6,
            max_bps=max_rate * 1e6,
            datagram_bytes=datagram,
            size_wh=size.wh,
            offload=offload.value,
            json=json,
        )
    )


@bench.command(name="speed")
def _speed(
    seconds: Annotated[
        float, typer.Option(min=0.2, max=60.0, metavar="S", help="How long to run each part.")
    ] = 2.0,
    json: _Json = None,
) -> None:
    """Measure throughput, latency and CPU time on this machine."""
    from udpstream.cli.bench_speed import bench_speed

    bench_speed(seconds=seconds, json_file=json)


bench.command(name="loss")(bench_loss)
