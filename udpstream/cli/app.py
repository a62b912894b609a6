"""The commands and their options."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from udpstream import __version__
from udpstream.adapters.codec import DEFAULT_QUALITY
from udpstream.adapters.udp import DEFAULT_RECEIVE_BUFFER_BYTES
from udpstream.cli import posing, rescoring
from udpstream.cli.bench import bench
from udpstream.cli.options import (
    MAX_PARITY_PERCENT,
    OffloadChoice,
    Parity,
    Size,
    parse_parity,
    parse_size,
    writable_file,
)
from udpstream.cli.score_options import (
    CountdownOption,
    LoopOption,
    Metric,
    MetricOption,
    Mirror,
    MirrorOption,
    OverlayOption,
    Sync,
    SyncOption,
    WindowOption,
    score_options,
)
from udpstream.core.fec import DEFAULT_MAX_PERCENT
from udpstream.core.picture import LEAST_SCALE, Limits
from udpstream.core.reassembly import LATENCY_BUDGET_S
from udpstream.protocol import DEFAULT_DATAGRAM_BYTES, MAX_DATAGRAM_BYTES, MIN_DATAGRAM_BYTES
from udpstream.scoring import WINDOW_S

app = typer.Typer(
    name="udpstream",
    help="A camera link for the local network: frames over UDP, whole or counted.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: whole lines at 80 columns, in any locale
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(bench)


class _Codec(StrEnum):
    jpeg = "jpeg"
    raw = "raw"


class _SenderWire(StrEnum):
    indexed = "indexed"
    classic = "classic"


class _ReceiverWire(StrEnum):
    auto = "auto"
    indexed = "indexed"
    classic = "classic"


class _Adapt(StrEnum):
    auto = "auto"
    off = "off"


class _Display(StrEnum):
    auto = "auto"
    on = "on"
    off = "off"


class _PreviewMirror(StrEnum):
    auto = "auto"
    on = "on"
    off = "off"


class _RawCodec(StrEnum):
    mjpeg = "mjpeg"
    ffv1 = "ffv1"


_LIMITS = Limits()
_RECORDINGS = Path("recordings")

_Seconds = Annotated[
    float | None, typer.Option(min=0.0, metavar="S", help="Stop after so many seconds.")
]


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"udpstream {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    pass


@app.command(name="send")
def _send(
    address: Annotated[
        str, typer.Argument(metavar="HOST[:PORT]", help="The receiver, or a multicast group.")
    ] = "127.0.0.1:9505",
    source: Annotated[
        str,
        typer.Option(
            metavar="SOURCE",
            help="A camera's index, a video file, a folder of images, 'test' (a test card), "
            "'noise' or 'dancer[:SEED]': a drawn person, who does wrong what is asked for, as in "
            "'dancer:3,lag=0.4,left-forearm=30'.",
        ),
    ] = "0",
    size: Annotated[
        Size | None,
        typer.Option(parser=parse_size, metavar="WxH", help="Picture size; the source's own."),
    ] = None,
    fps: Annotated[
        float | None,
        typer.Option(
            min=0.01, max=10_000, metavar="FPS", help="Frames a second; the source's own."
        ),
    ] = None,
    loop: Annotated[bool, typer.Option("--loop", help="Start a file again at its end.")] = False,
    codec: Annotated[
        _Codec | None,
        typer.Option(help="How to send pictures: jpeg, or raw (all there is on --wire classic)."),
    ] = None,
    quality: Annotated[
        int, typer.Option(min=1, max=100, metavar="Q", help="JPEG quality.")
    ] = DEFAULT_QUALITY,
    preview: Annotated[
        bool,
        typer.Option("--preview", help="Show the picture here, with the score where one comes."),
    ] = False,
    preview_mirror: Annotated[
        _PreviewMirror, typer.Option(help="Show it as a mirror does: auto does so with cameras.")
    ] = _PreviewMirror.auto,
    frames: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Stop after so many frames.")
    ] = None,
    seconds: _Seconds = None,
    adapt: Annotated[
        _Adapt,
        typer.Option(help="Follow the link: pace, parity, quality, size and rate; off: all fixed."),
    ] = _Adapt.auto,
    min_quality: Annotated[
        int, typer.Option(min=1, max=100, metavar="Q", help="Least JPEG quality on a narrow link.")
    ] = _LIMITS.min_quality,
    min_scale: Annotated[
        float,
        typer.Option(
            min=LEAST_SCALE, max=1.0, metavar="SHARE", help="Least share of the picture's sides."
        ),
    ] = _LIMITS.min_scale,
    min_fps: Annotated[
        float, typer.Option(min=0.01, metavar="FPS", help="Least frames a second.")
    ] = _LIMITS.min_fps,
    max_rate: Annotated[
        float | None,
        typer.Option(min=0.01, metavar="MBIT", help="Never send faster, in Mbit/s."),
    ] = None,
    fec: Annotated[
        Parity,
        typer.Option(
            parser=parse_parity,
            metavar="auto|off|PERCENT",
            help="Parity against loss: auto follows what the receiver reports.",
        ),
    ] = Parity("auto"),  # noqa: B008 - a frozen value
    max_fec: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=MAX_PARITY_PERCENT,
            metavar="PERCENT",
            help="Most that auto may use; two chunks a block at least, where it uses any.",
        ),
    ] = DEFAULT_MAX_PERCENT,
    wire: Annotated[
        _SenderWire, typer.Option(help="classic for receivers that are plain scripts.")
    ] = _SenderWire.indexed,
    datagram: Annotated[
        int | None,
        typer.Option(
            min=MIN_DATAGRAM_BYTES,
            max=MAX_DATAGRAM_BYTES,
            metavar="BYTES",
            help="Largest datagram: 1400, or 46081 on the classic wire.",
        ),
    ] = None,
    offload: Annotated[
        OffloadChoice, typer.Option(help="Segmentation offload (Linux): force it on or off.")
    ] = OffloadChoice.auto,
) -> None:
    """Send a camera, a file, a test card or a dancer to a receiver."""
    from udpstream.cli.sending import SendOptions, send

    raw_by_wire = wire is _SenderWire.classic and codec is None
    send(
        SendOptions(
            address=address,
            source=source,
            loop=loop,
            codec="raw" if raw_by_wire or codec is _Codec.raw else "jpeg",
            quality=quality,
            size_wh=None if size is None else size.wh,
            fps=fps,
            frames=frames,
            seconds=seconds,
            wire=wire.value,
            datagram_bytes=datagram,
            offload=offload.value,
            fec=fec.value,
            max_fec_percent=max_fec,
            adapt=adapt is _Adapt.auto,
            limits=Limits(
                min_quality=min_quality,
                min_scale=min_scale,
                min_fps=min_fps,
                max_rate_bytes_per_s=None if max_rate is None else max_rate * 1e6 / 8,
            ),
            preview=preview,
            mirror=preview_mirror.value,
        )
    )


@app.command(name="receive")
def _receive(
    address: Annotated[
        str,
        typer.Argument(
            metavar="HOST[:PORT]",
            help="Address of this machine to listen on, or a multicast group to join.",
        ),
    ] = "0.0.0.0:9505",
    display: Annotated[
        _Display, typer.Option(help="Windows: auto where there is a screen.")
    ] = _Display.auto,
    record: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            show_default=str(_RECORDINGS),
            help="Record each stream to a folder in here.",
        ),
    ] = None,
    no_record: Annotated[bool, typer.Option("--no-record", help="Do not record.")] = False,
    record_raw: Annotated[
        _RawCodec, typer.Option(help="Record raw pictures as mjpeg, or as ffv1: lossless.")
    ] = _RawCodec.mjpeg,
    frames: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Stop after so many frames.")
    ] = None,
    seconds: _Seconds = None,
    stats: Annotated[
        Path | None,
        typer.Option(
            callback=writable_file, metavar="FILE.json", help="Write counts and latencies here."
        ),
    ] = None,
    wire: Annotated[
        _ReceiverWire, typer.Option(help="Which wires to understand.")
    ] = _ReceiverWire.auto,
    size: Annotated[
        Size,
        typer.Option(
            parser=parse_size, metavar="WxH", help="Size of classic pictures, which do not tell it."
        ),
    ] = Size(640, 480),  # noqa: B008 - a frozen value
    latency_budget: Annotated[
        float,
        typer.Option(
            min=1.0, max=10_000.0, metavar="MS", help="How long a frame may wait for repair."
        ),
    ] = LATENCY_BUDGET_S * 1e3,
    receive_buffer: Annotated[
        int,
        typer.Option(
            min=4096, max=1 << 30, metavar="BYTES", help="Socket buffer to ask the kernel for."
        ),
    ] = DEFAULT_RECEIVE_BUFFER_BYTES,
    offload: Annotated[
        OffloadChoice, typer.Option(help="Receive offload (Linux): force it on or off.")
    ] = OffloadChoice.auto,
    score: Annotated[
        Path | None,
        typer.Option(
            metavar="REFERENCE",
            exists=True,
            dir_okay=False,
            help="Score the person in view against this dance: a video, or the CSV that "
            "'udpstream reference' made of it. The options below say how.",
        ),
    ] = None,
    sync: SyncOption = Sync.auto,
    countdown: CountdownOption = None,
    mirror: MirrorOption = Mirror.auto,
    metric: MetricOption = Metric.motion,
    window: WindowOption = WINDOW_S,
    loop_reference: LoopOption = False,
    overlay: OverlayOption = False,
    model: posing.ModelOption = None,
) -> None:
    """Receive cameras: show them, record them, score who dances."""
    from udpstream.cli.receiving import ReceiveOptions, receive

    if no_record and record is not None and score is None:  # where there is one, it goes there
        raise typer.BadParameter(f"--no-record, and --record {record}: give one of the two")
    directory = record or _RECORDINGS
    receive(
        ReceiveOptions(
            address=address,
            wire=wire.value,
            size_wh=size.wh,
            record=None if no_record else directory,
            record_raw_as=record_raw.value,
            display=display.value,
            receive_buffer_bytes=receive_buffer,
            offload=offload.value,
            frames=frames,
            seconds=seconds,
            stats=stats,
            latency_budget_s=latency_budget / 1e3,
            score=score_options(
                score,
                sync=sync,
                mirror=mirror,
                metric=metric,
                window_s=window,
                countdown_s=countdown,
                loop=loop_reference,
                model=model,
                overlay=overlay,
            ),
            score_to=directory,
        )
    )


@app.command(name="demo")
def _demo(
    source: Annotated[
        str,
        typer.Option(
            metavar="DANCER",
            help="Who dances, as in 'send': 'dancer,left-forearm=40' does something wrong.",
        ),
    ] = "dancer",
    seconds: Annotated[float, typer.Option(min=1.0, metavar="S", help="How long to stream.")] = 8.0,
    record: Annotated[
        Path, typer.Option(metavar="DIR", help="Record to a folder in here.")
    ] = _RECORDINGS,
    display: Annotated[
        _Display, typer.Option(help="A window: auto where there is a screen.")
    ] = _Display.auto,
) -> None:
    """Stream a drawn dancer on this machine, and score it."""
    from udpstream.adapters.sources.dancer import parse_dancer
    from udpstream.cli.demo import demo

    dancer = parse_dancer(source)
    if dancer is None:
        raise typer.BadParameter(f"--source {source}: the demo streams a dancer, as in dancer:2")
    demo(dancer=dancer, seconds=seconds, record=record, display=display.value)


app.command(name="model")(posing.show_model)
app.command(name="reference")(posing.make_reference_file)
app.command(name="score")(rescoring.score)


@app.command(name="doctor")
def _doctor(
    address: Annotated[
        str | None,
        typer.Argument(metavar="HOST[:PORT]", help="A receiver, to look at the way to it, too."),
    ] = None,
    datagram: Annotated[
        int,
        typer.Option(
            min=MIN_DATAGRAM_BYTES,
            max=MAX_DATAGRAM_BYTES,
            metavar="BYTES",
            help="Size of the datagrams that are to pass.",
        ),
    ] = DEFAULT_DATAGRAM_BYTES,
) -> None:
    """Find out what ails this machine, or the way to a receiver."""
    from udpstream.cli.doctor import doctor

    doctor(address, datagram_bytes=datagram)
