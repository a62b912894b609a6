"""Two machines on one wire, made of network namespaces: real sockets, real kernel, real loss.

    sudo python -m benchmarks.lab up
    sudo python -m benchmarks.lab run server -- udpstream receive 10.77.0.2 &
    sudo python -m benchmarks.lab run camera -- udpstream send 10.77.0.2 --source test
    sudo python -m benchmarks.lab loss 5
    sudo python -m benchmarks.lab limit 6
    sudo python -m benchmarks.lab down

A veth pair with an MTU of 1,500 joins the two. nftables drops what has crossed, in both
directions; `tc` limits the rate at which the camera's end sends. Each datagram crosses and is
dropped on its own, because the devices take no packet of more than one segment: the kernel
cuts what UDP_SEGMENT or TCP hands over whole before it goes on the wire, and a veth device
merges none again unless told to.

The camera's namespace has no loopback of its own. 127.0.0.1 is the server's there, across the
wire, so that programs which know no other address take part too.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import IO, Annotated, NamedTuple, Self, TypeAlias

import typer

CAMERA_ADDRESS, SERVER_ADDRESS = "10.77.0.1", "10.77.0.2"
MTU_BYTES = 1500
IP_UDP_HEADER_BYTES = 28  # a datagram's, on IPv4

_PREFIX = "udpstream-lab"
_NETNS = Path("/run/netns")
_DEVICE = "wire"
_MACS = ("02:00:00:77:00:01", "02:00:00:77:00:02")
_CLONE_NEWNET = 0x40000000
_LARGEST_PACKET_BYTES = MTU_BYTES + 14  # with its Ethernet header
_STOP_S = 5.0
_COMMANDS = {"ip": "iproute2", "tc": "iproute2", "nft": "nftables"}
# What ip, nft and tc say where a kernel or a container has no such thing, or forbids it.
_UNAVAILABLE = re.compile(
    r"not permitted|permission denied|not supported|unknown device type|kind is unknown|"
    r"no such file|read-only",
    re.IGNORECASE,
)
_COUNTER = re.compile(r"counter (seen|lost) \{\s*packets (\d+) bytes (\d+)")
_numbers = itertools.count()


class LabError(Exception):
    """The lab cannot do that; one line that says why."""


class LabUnavailable(LabError):  # noqa: N818 - a state of this machine more than a fault
    """There can be no lab here; one line that says what is missing."""


class Side(StrEnum):
    """The two ends."""

    CAMERA = "camera"
    SERVER = "server"


class Counts(NamedTuple):
    """What crossed towards one end since the lab came up, as nftables has it.

    Attributes:
        seen: packets that came over the wire, lost ones included.
        lost: how many of them were dropped.
        seen_bytes: of those that came, with their IP and UDP headers.
    """

    seen: int
    lost: int
    seen_bytes: int

    @property
    def udp_payload_bytes(self) -> int:
        """Bytes of `seen_bytes` that are UDP payload, where all packets are UDP on IPv4."""
        return self.seen_bytes - self.seen * IP_UDP_HEADER_BYTES


_SideName: TypeAlias = Side | str


class Lab:
    """Two namespaces, `camera` and `server`, for as long as the block lasts.

    Names bear the owner's process id, so that labs do not collide. What a killed owner left
    behind, processes too, is removed when the next lab comes up.

    Example:
        with Lab() as lab:
            lab.loss(0.05)
            lab.limit(mbit=6)
            lab.popen("server", ["udpstream", "receive", SERVER_ADDRESS])
    """

    def __init__(self, name: str | None = None) -> None:
        """Name a lab; nothing is made yet.

        Args:
            name: of one that is up, from `labs`; a new name of this process if None.
        """
        self.name = name or _free_name(os.getpid())
        self._processes: list[subprocess.Popen[bytes]] = []

    def up(self) -> Self:
        """Make the namespaces and the wire, without loss or limit.

        Raises:
            LabUnavailable: this machine cannot.
            LabError: there is one of that name.
        """
        if problem := missing():
            raise LabUnavailable(problem)
        sweep()
        if self.name in labs():
            raise LabError(f"the lab {self.name} is up already: take it down first")
        try:
            for side in Side:
                _run("ip", "netns", "add", self.namespace(side))
            self._join()
            for side in Side:
                _run("ip", "netns", "exec", self.namespace(side), "nft", "-f", "-", told=_TABLE)
            self.loss(0.0)
        except BaseException as error:
            self.down()
            if isinstance(error, LabUnavailable):
                raise LabUnavailable(
                    f"no namespaces, veth or nftables to be had here ({error}): in a container, "
                    "give it CAP_SYS_ADMIN and CAP_NET_ADMIN"
                ) from error
            raise
        return self

    def down(self) -> None:
        """End what runs inside, and remove all; more calls do nothing."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes.clear()
        for side in Side:
            _remove(self.namespace(side))

    def __enter__(self) -> Self:
        return self.up()

    def __exit__(self, *_: object) -> None:
        self.down()

    def namespace(self, side: _SideName) -> str:
        """The name of an end's namespace, for `ip netns`."""
        return f"{self.name}-{Side(side)}"

    # -- the wire ---------------------------------------------------------------

    def loss(self, share: float, back: float | None = None) -> None:
        """Drop packets, each on its own, at random.

        Args:
            share: of those on their way to the server, 0 to 1.
            back: of those on their way to the camera; None is the same share.
        """
        for side, its_share in ((Side.SERVER, share), (Side.CAMERA, back)):
            per_10_000 = round((share if its_share is None else its_share) * 10_000)
            if not 0 <= per_10_000 <= 10_000:
                raise LabError(f"a loss of {share} is none: give 0 to 1")
            rules = ["flush chain ip lab input", "add rule ip lab input counter name seen"]
            if per_10_000 == 10_000:
                rules.append("add rule ip lab input counter name lost drop")
            elif per_10_000:
                rules.append(
                    "add rule ip lab input "
                    f"numgen random mod 10000 < {per_10_000} counter name lost drop"
                )
            self._in(side, "nft", "-f", "-", told="\n".join(rules))  # all at once, or nothing

    def limit(self, mbit: float | None, queue_ms: float = 50.0) -> None:
        """Limit what the camera's end sends, headers included.

        Args:
            mbit: megabits a second; None lifts the limit, and loses what still waits.
            queue_ms: how long a packet may wait before the queue is full and drops.
        """
        self._without_queue()
        if mbit is None:
            return
        # A bucket of two packets: the kernel cuts what is larger before it queues it, so that
        # the queue, too, holds and drops single datagrams.
        burst_bytes = max(2 * _LARGEST_PACKET_BYTES, round(mbit * 1e6 / 8 / 1000))
        queue_bytes = round(mbit * 1e6 / 8 * queue_ms / 1e3) + burst_bytes
        self._in(
            Side.CAMERA,
            *("tc", "qdisc", "add", "dev", _DEVICE, "root", "tbf"),
            *("rate", f"{mbit}mbit", "burst", str(burst_bytes), "limit", str(queue_bytes)),
        )

    def delay(self, ms: float, jitter_ms: float = 0.0, reorder: float = 0.0) -> None:
        """Delay what the camera's end sends, in place of a limit, by the kernel's netem.

        Args:
            ms: each packet's delay; 0 takes it away.
            jitter_ms: how much that varies, which may reorder, too.
            reorder: share of packets that go at once, past the others, 0 to 1.

        Raises:
            LabUnavailable: this kernel has no netem (CONFIG_NET_SCH_NETEM).
        """
        self._without_queue()
        if not ms:
            return
        jitter = [f"{jitter_ms}ms"] if jitter_ms else []
        ahead = ["reorder", f"{reorder * 100}%"] if reorder else []
        try:
            self._in(
                Side.CAMERA,
                *("tc", "qdisc", "add", "dev", _DEVICE, "root", "netem", "limit", "10000"),
                *("delay", f"{ms}ms", *jitter, *ahead),
            )
        except LabUnavailable as problem:
            raise LabUnavailable(
                f"this kernel has no netem, so there can be no delay ({problem}): "
                "modprobe sch_netem, or take a kernel with CONFIG_NET_SCH_NETEM"
            ) from problem

    def counts(self, side: _SideName = Side.SERVER) -> Counts:
        """What came over the wire towards an end."""
        listed = self._in(side, "nft", "list", "counters", "table", "ip", "lab")
        found = {name: (int(n), int(size)) for name, n, size in _COUNTER.findall(listed)}
        return Counts(found["seen"][0], found["lost"][0], found["seen"][1])

    # -- programs -----------------------------------------------------------------

    def command(self, side: _SideName, command: Sequence[str]) -> list[str]:
        """The command line that runs another at one end, as a process of the same id."""
        return ["ip", "netns", "exec", self.namespace(side), *command]

    def popen(
        self,
        side: _SideName,
        command: Sequence[str],
        *,
        stdout: IO[bytes] | int | None = None,
        stderr: IO[bytes] | int | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start a program at one end, on a core of its own as on two machines.

        It ends with the lab, if not before.
        """
        process = subprocess.Popen(
            self.command(side, command), stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr
        )
        self._processes.append(process)
        cores = sorted(os.sched_getaffinity(0))
        with contextlib.suppress(ProcessLookupError):  # it has ended already
            core = cores[list(Side).index(Side(side)) % len(cores)]
            os.sched_setaffinity(process.pid, {core})
        return process

    @contextlib.contextmanager
    def inside(self, side: _SideName) -> Iterator[None]:
        """Be at one end: sockets and processes made in this block, by this thread, are there."""
        here = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            enter(self.namespace(side))
            try:
                yield
            finally:
                _set_namespace(here)
        finally:
            os.close(here)

    # -----------------------------------------------------------------------------

    def _join(self) -> None:
        """Lay the wire, and make each end know the other: no ARP that could be lost."""
        camera, server = map(self.namespace, Side)
        ends = (
            (Side.CAMERA, CAMERA_ADDRESS, (SERVER_ADDRESS, "127.0.0.1"), _MACS[1]),
            (Side.SERVER, SERVER_ADDRESS, (CAMERA_ADDRESS,), _MACS[0]),
        )
        for_both = ("mtu", str(MTU_BYTES), "gso_max_segs", "1")
        _run(
            *("ip", "link", "add", _DEVICE, "address", _MACS[0], *for_both, "netns", camera),
            *("type", "veth", "peer", "name", _DEVICE, "address", _MACS[1], *for_both),
            *("netns", server),
        )
        for side, address, others, other_mac in ends:
            lines = [f"address add {address}/24 dev {_DEVICE}", f"link set {_DEVICE} up"]
            lines += [
                f"neighbour replace {other} lladdr {other_mac} dev {_DEVICE} nud permanent"
                for other in others
            ]
            namespace = self.namespace(side)
            _run("ip", "-netns", namespace, "-batch", "-", told="\n".join(lines))
            with self.inside(side):
                Path(f"/proc/sys/net/ipv4/conf/{_DEVICE}/route_localnet").write_text("1")
        _run("ip", "-netns", server, "link", "set", "lo", "up")
        _run("ip", "-netns", camera, "route", "add", "127.0.0.1/32", "dev", _DEVICE)

    def _in(self, side: _SideName, *command: str, told: str = "") -> str:
        if not (_NETNS / self.namespace(side)).exists():
            raise LabError(f"there is no lab {self.name}: bring one up")
        return _run(*self.command(side, command), told=told)

    def _without_queue(self) -> None:
        if "noqueue" not in self._in(Side.CAMERA, "tc", "qdisc", "show", "dev", _DEVICE):
            self._in(Side.CAMERA, "tc", "qdisc", "del", "dev", _DEVICE, "root")


_TABLE = """
add table ip lab
add counter ip lab seen
add counter ip lab lost
add chain ip lab input { type filter hook prerouting priority -300 ; }
"""


def missing() -> str | None:
    """What a lab lacks here, in one line, as far as can be seen without making one."""
    if sys.platform != "linux":
        return "the lab is made of Linux's network namespaces: this is another system"
    if os.geteuid() != 0:
        return "the lab makes network namespaces: run it as root"
    lacking = sorted({_COMMANDS[name] for name in _COMMANDS if shutil.which(name) is None})
    if lacking:
        return f"the lab needs ip, tc and nft: apt install {' '.join(lacking)}"
    return None


def labs() -> list[str]:
    """The names of the labs that are up, or were left behind."""
    try:
        names = sorted(path.name for path in _NETNS.iterdir())
    except OSError:
        return []
    found = [name.rpartition("-")[0] for name in names if name.startswith(f"{_PREFIX}-")]
    return list(dict.fromkeys(found))


def _free_name(owner: int) -> str:
    taken = labs()
    names = (f"{_PREFIX}-{owner}-{number}" for number in _numbers)
    return next(name for name in names if name not in taken)


def sweep() -> None:
    """Remove the labs whose owner is dead, and what still runs in them."""
    for name in labs():
        if not _is_alive(_owner(name)):
            for side in Side:
                _remove(f"{name}-{side}")


def enter(namespace: str) -> None:
    """Take the calling thread into a namespace, for good; threads it starts are there too."""
    try:
        file = os.open(_NETNS / namespace, os.O_RDONLY)
    except OSError as error:
        raise LabError(f"there is no namespace {namespace}: bring a lab up") from error
    try:
        _set_namespace(file)
    finally:
        os.close(file)


def _set_namespace(file: int) -> None:
    # os.setns came with Python 3.12.
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(file, _CLONE_NEWNET):
        raise LabUnavailable(f"cannot enter a namespace: {os.strerror(ctypes.get_errno())}")


def _remove(namespace: str) -> None:
    """Kill what runs in a namespace and remove it; others may be doing the same."""
    if not (_NETNS / namespace).exists():
        return
    with contextlib.suppress(LabError):
        for pid in map(int, _run("ip", "netns", "pids", namespace).split()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        # A namespace lives as long as its processes; its wire goes at once.
        with contextlib.suppress(LabError):
            _run("ip", "-netns", namespace, "link", "delete", _DEVICE)
        _run("ip", "netns", "delete", namespace)


def _owner(name: str) -> int:
    number = name.removeprefix(f"{_PREFIX}-").partition("-")[0]
    return int(number) if number.isdecimal() else 0


def _is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def _run(*command: str, told: str = "") -> str:
    done = subprocess.run(command, input=told, capture_output=True, text=True, check=False)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        problem = f"{' '.join(command)}: {said[0].strip() if said else 'failed'}"
        raise (LabUnavailable if _UNAVAILABLE.search(problem) else LabError)(problem)
    return done.stdout


# -- the command ------------------------------------------------------------------

app = typer.Typer(
    help="A lab of two network namespaces with real packet loss.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
_Name = Annotated[str | None, typer.Option("--lab", help="Which, where several labs are up.")]


def _the_lab(name: str | None) -> Lab:
    if problem := missing():
        raise LabUnavailable(problem)
    found = labs()
    mine = [each for each in found if _owner(each) == os.getppid()]
    chosen = [each for each in found if each == name] if name else (mine or found)
    if len(chosen) != 1:
        which = f"name one with --lab: {', '.join(found)}" if found else "bring one up"
        raise LabError(f"{len(found)} labs are here: {which}")
    return Lab(chosen[0])


@app.command(name="up")
def _up(
    owner: Annotated[
        int | None,
        typer.Option(metavar="PID", help="It may be swept away when this has ended; your shell."),
    ] = None,
) -> None:
    """Make a lab, remove those of dead owners, and print its name."""
    lab = Lab(_free_name(owner or os.getppid())).up()
    typer.echo(lab.name)


@app.command(name="down")
def _down(lab: _Name = None) -> None:
    """Remove a lab, and end what runs in it."""
    _the_lab(lab).down()


@app.command(name="loss")
def _loss(
    percent: Annotated[float, typer.Argument(min=0, max=100)],
    back: Annotated[
        float | None, typer.Option(min=0, max=100, help="Towards the camera; the same.")
    ] = None,
    lab: _Name = None,
) -> None:
    """Drop so many percent of all packets, both ways."""
    _the_lab(lab).loss(percent / 100, None if back is None else back / 100)


@app.command(name="limit")
def _limit(
    mbit: Annotated[float, typer.Argument(min=0, help="Megabits a second; 0 lifts the limit.")],
    queue_ms: Annotated[float, typer.Option(min=1, help="What may wait.")] = 50.0,
    lab: _Name = None,
) -> None:
    """Limit what the camera's end sends."""
    _the_lab(lab).limit(mbit or None, queue_ms)


@app.command(name="delay")
def _delay(
    ms: Annotated[float, typer.Argument(min=0, help="0 takes the delay away.")],
    jitter_ms: Annotated[float, typer.Option(min=0)] = 0.0,
    reorder: Annotated[float, typer.Option(min=0, max=100, help="Percent.")] = 0.0,
    lab: _Name = None,
) -> None:
    """Delay what the camera's end sends, in place of a limit; needs a kernel with netem."""
    _the_lab(lab).delay(ms, jitter_ms, reorder / 100)


@app.command(name="count")
def _count(lab: _Name = None) -> None:
    """Print what crossed, and what of it was lost."""
    chosen = _the_lab(lab)
    for side in Side:
        counts = chosen.counts(side)
        share = counts.lost / counts.seen if counts.seen else 0.0
        typer.echo(f"to {side}: {counts.seen:,} packets, {counts.lost:,} lost ({share:.2%})")


@app.command(name="run", context_settings={"ignore_unknown_options": True})
def _exec(side: Side, command: list[str], lab: _Name = None) -> None:
    """Run a program at one end."""
    line = _the_lab(lab).command(side, command)
    os.execvp(line[0], line)


def main() -> None:
    """Run the command; a lab that cannot be is one line, and exit code 1."""
    try:
        app(prog_name="python -m benchmarks.lab")
    except LabError as error:
        sys.exit(f"lab: error: {error}")


if __name__ == "__main__":
    main()
