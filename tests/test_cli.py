"""The command line as its user meets it: as processes, with signals, files and bad input."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import udpstream
from tests.classic_send import picture
from tests.cli_tools import Commands, free_port, pictures_in, wait_until
from udpstream.adapters.codec import encode
from udpstream.cli import main
from udpstream.protocol import Codec

_HERE = Path(__file__).parent
_NO_SIGNALS = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")


def balances(stream: dict[str, Any]) -> bool:
    frames = stream["frames"]
    known = frames["delivered"] + sum(frames["lost"].values()) + frames["in_flight"]
    return bool(frames["sent"] == known)


# -- a whole run ----------------------------------------------------------------


def test_what_is_sent_is_received_recorded_and_told(run: Commands) -> None:
    receiver = run.receive("--frames", "20", "--stats", "stats.json")
    sender = run.send("--frames", "30")
    assert receiver.end() == 0
    assert sender.end() == 0

    (session,) = run.sessions()
    assert pictures_in(session / "output.avi") == 20
    told = json.loads((session / "session.json").read_text())
    assert (told["finished"], told["error"], told["frames_written"]) == (True, None, 20)

    stats = json.loads((run.folder / "stats.json").read_text())
    (stream,) = stats["streams"]
    assert balances(stream)
    assert stream["frames"]["delivered"] >= 20
    assert set(stream["frames"]["lost"]) == {
        "unseen", "missing", "late", "evicted", "malformed", "oversized", "torn",
    }  # fmt: skip
    assert 0 < stream["bytes"]["payload"] < stream["bytes"]["wire"]
    latency = stream["latency_ms"]
    assert latency["p50"] <= latency["p95"] <= latency["p99"]

    assert str(session / "output.avi").endswith(receiver.stdout.split()[-1])
    assert "160x120 jpeg" in receiver.stdout
    assert re.search(r"^sent 30 frames to 127\.0\.0\.1:\d+ in ", sender.stdout)
    printed = receiver.stdout + receiver.stderr + sender.stdout + sender.stderr
    assert not re.search(r"[^\n\x20-\x7e]", printed), "control characters in a file"


@_NO_SIGNALS
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_one_signal_ends_either_end_in_order(run: Commands, name: str) -> None:
    number = signal.Signals[name]
    if signal.getsignal(number) is signal.SIG_IGN:  # under nohup, and that is respected
        pytest.skip(f"{name} is ignored here")
    receiver = run.receive()
    sender = run.send()
    run.wait_for_recording()
    assert receiver.end(number) == 0
    assert sender.end(number) == 0
    (session,) = run.sessions()
    told = json.loads((session / "session.json").read_text())
    assert told["finished"] is True
    assert pictures_in(session / "output.avi") == told["frames_written"] > 0
    assert "recorded" in receiver.stdout
    assert "sent" in sender.stdout
    assert "Traceback" not in receiver.stderr + sender.stderr


@_NO_SIGNALS
def test_more_signals_leave_no_traceback(run: Commands) -> None:
    sender = run.send()
    sender.wait_for_line("sending test")
    while sender.popen.poll() is None:
        sender.popen.send_signal(signal.SIGINT)
        time.sleep(0.001)
    assert "Traceback" not in sender.stderr


def test_a_sender_may_start_first_and_either_end_be_killed(run: Commands) -> None:
    killed_sender = run.send("--fps", "60")
    killed_receiver = run.receive()
    run.wait_for_recording()
    killed_receiver.popen.kill()

    receiver = run.receive("--stats", "stats.json")
    run.wait_for_recording(2)
    killed_sender.popen.kill()
    killed_sender.end()
    time.sleep(0.4)  # a camera that is silent for less may still be alive
    sender = run.send("--fps", "60")
    run.wait_for_recording(3)
    receiver.end(signal.SIGTERM)
    sender.end(signal.SIGTERM)

    streams = json.loads((run.folder / "stats.json").read_text())["streams"]
    assert [stream["camera"] for stream in streams] == ["127.0.0.1"] * 2
    assert len({stream["epoch"] for stream in streams}) == 2
    assert all(map(balances, streams))
    assert all(pictures_in(session / "output.avi") for session in run.sessions())


def test_cameras_do_not_mix(run: Commands) -> None:
    receiver = run.receive("--stats", "stats.json")
    senders = [
        run.send("--codec", "raw"),
        run.start("send", run.address, "--source", "test", "--size", "200x100"),
    ]
    run.wait_for_recording(2)
    for sender in senders:
        sender.end(signal.SIGTERM)
    receiver.end(signal.SIGTERM)
    streams = json.loads((run.folder / "stats.json").read_text())["streams"]
    kinds = {stream["camera"]: (stream["codec"], tuple(stream["size"])) for stream in streams}
    assert set(kinds) == {"127.0.0.1", "127.0.0.1-2"}
    assert set(kinds.values()) == {("raw", (160, 120)), ("jpeg", (200, 100))}
    assert all(map(balances, streams))
    assert receiver.stdout.count("recorded") == 2


def test_a_size_that_changes_goes_on_in_another_file(run: Commands) -> None:
    pictures = run.folder / "pictures"
    pictures.mkdir()
    for number in range(20):
        size = (120, 160, 3) if number < 10 else (90, 120, 3)
        cv2.imwrite(str(pictures / f"{number}.png"), np.full(size, 9 * number, np.uint8))
    receiver = run.receive("--seconds", "60")
    sender = run.start("send", run.address, "--source", "pictures", "--fps", "20")
    assert sender.end() == 0
    receiver.end(signal.SIGTERM)
    (session,) = run.sessions()
    told = json.loads((session / "session.json").read_text())
    assert [file["size"] for file in told["files"]] == [[160, 120], [120, 90]]
    counts = [pictures_in(session / name) for name in ("output.avi", "output-2.avi")]
    assert counts == [file["frames_written"] for file in told["files"]]
    assert sum(counts) == told["frames_written"]


# -- strangers and bad frames -------------------------------------------------------


def test_random_bytes_beside_a_camera_cost_it_nothing_that_came(run: Commands) -> None:
    rng = random.Random(7)
    noise = [rng.randbytes(rng.choice((0, 1, 8, 24, 46, 1400, 9000))) for _ in range(200)]
    noise += [
        bytes((n, 0xE1, kind, n)) + rng.randbytes(60) for kind in (1, 2, 64, 66) for n in (0, 9)
    ]
    receiver = run.receive("--stats", "stats.json")
    sender = run.send()
    run.wait_for_recording()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        for _ in range(50):
            for datagram in noise:
                stranger.sendto(datagram, ("127.0.0.1", run.port))
            time.sleep(0.005)
    assert sender.end(signal.SIGTERM) == 0
    assert receiver.end(signal.SIGTERM) == 0
    stats = json.loads((run.folder / "stats.json").read_text())
    (stream,) = stats["streams"]
    assert stream["camera"] == "127.0.0.1"
    assert balances(stream)
    lost = stream["frames"]["lost"]
    assert lost["malformed"] == lost["evicted"] == lost["oversized"] == lost["late"] == 0
    assert stats["dropped_datagrams"]["malformed"] > 0
    assert len(receiver.stderr.splitlines()) < 8, receiver.stderr


def test_a_corrupt_jpeg_is_counted_and_the_recording_goes_on(run: Commands) -> None:
    receiver = run.receive()
    good = encode(Codec.JPEG, picture(0), 80)
    bad = np.frombuffer(random.Random(7).randbytes(5000), np.uint8)
    with udpstream.Sender("127.0.0.1", run.port) as sender:
        wait_until(lambda: sender.receiver_is_there, "an answer")
        for payload in (good, good, bad, good, bad, good):
            sender.send_encoded(payload, Codec.JPEG, (640, 480), time.monotonic())
            time.sleep(0.02)
    wait_until(lambda: "frames not written" in receiver.stderr, "the end of the recording")
    assert receiver.end(signal.SIGTERM) == 0
    (session,) = run.sessions()
    told = json.loads((session / "session.json").read_text())
    assert told["frames_written"] == 4
    assert told["frames_not_written"]["bad_picture"] == 2
    assert "2 frames not written (bad picture 2)" in receiver.stdout


def test_a_frame_that_is_too_long_is_refused_in_words(run: Commands) -> None:
    receiver = run.receive("--no-record")
    with udpstream.Sender("127.0.0.1", run.port, datagram_bytes=60_000) as sender:
        too_long = np.zeros((65 << 20) + 1, np.uint8)
        sender.send_encoded(too_long, Codec.JPEG, (9000, 9000), time.monotonic())
        receiver.wait_for_line("are refused: this receiver takes up to 67,108,864")
    assert receiver.end(signal.SIGTERM) == 0
    assert "no frames came" in receiver.stdout


# -- the classic wire ---------------------------------------------------------------


def classic_script(name: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, str(_HERE / name), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("wire", ["auto", "classic"])
def test_a_classic_script_is_received(run: Commands, wire: str) -> None:
    receiver = run.receive("--wire", wire, "--record-raw", "ffv1", "--seconds", "60")
    with classic_script("classic_send.py", "127.0.0.1", run.port, 10, 20) as script:
        assert script.wait() == 0
    assert receiver.end(signal.SIGTERM) == 0
    assert "640x480 raw" in receiver.stdout
    (session,) = run.sessions()
    told = json.loads((session / "session.json").read_text())
    assert told["wire"] == "classic"
    assert 8 <= told["frames_written"] <= 10  # a plain script paces nothing


def test_a_classic_script_receives(run: Commands) -> None:
    port = free_port()
    video = run.folder / "pictures"
    video.mkdir()
    for number in range(4):
        cv2.imwrite(str(video / f"{number}.png"), picture(number))
    wanted = {hashlib.sha256(picture(number).tobytes()).hexdigest() for number in range(4)}
    # On a busy machine the script overruns its socket buffer now and then, and shows what is
    # there: so the pictures come more than once, and each is to arrive as it was.
    with classic_script("classic_receive.py", "127.0.0.1", port, 24) as script:
        assert script.stdout is not None
        assert script.stdout.readline() == "ready\n"
        address = f"127.0.0.1:{port}"
        options = ("--source", "pictures", "--loop", "--wire", "classic", "--fps", "20")
        sender = run.start("send", address, *options, "--frames", "24")
        assert sender.end() == 0
        assert set(script.stdout.read().split()) >= wanted
    assert "none answered" not in sender.stdout  # that wire has no answers


# -- bad input -------------------------------------------------------------------------

_SEND = ("send", "127.0.0.1:9", "--source", "test", "--frames", "1")
_RECEIVE = ("receive", "127.0.0.1:49505", "--display", "off", "--seconds", "0")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("sned",), 2, "No such command 'sned'"),
        (("send", "no-such-host.invalid", "--source", "test"), 1, "unknown host 'no-such-host"),
        (("send", "127.0.0.1:99999", "--source", "test"), 1, "a number from 1 to 65535"),
        (("send", "[::1", "--source", "test"), 1, "write [HOST]:PORT"),
        (("receive", "203.0.113.7", "--no-record", "--display", "off"), 1, "cannot listen on"),
        (("send", "--source", "no-such-file.avi"), 1, "no file or folder 'no-such-file.avi'"),
        (("send", "--source", "text.txt"), 1, "text.txt is not a video that can be read"),
        (("send", "--source", "empty"), 1, "no images in the folder empty"),
        ((*_SEND, "--size", "0x0"), 2, "'0x0' is not a size"),
        ((*_SEND, "--size", "99999x1"), 2, "up to 44 million pixels"),
        ((*_SEND, "--size", "abc"), 2, "such as 640x480"),
        ((*_SEND, "--quality", "0"), 2, "--quality"),
        ((*_SEND, "--fps", "0"), 2, "--fps"),
        ((*_SEND, "--fps", "-1"), 2, "--fps"),
        ((*_SEND, "--fps", "nan"), 2, "--fps"),
        ((*_SEND, "--fps", "inf"), 2, "--fps"),
        ((*_SEND, "--datagram", "10"), 2, "--datagram"),
        ((*_SEND, "--datagram", "70000"), 2, "--datagram"),
        ((*_SEND, "--seconds", "nan"), 2, "--seconds"),
        ((*_SEND, "--frames", "0"), 2, "--frames"),
        ((*_SEND, "--wire", "classic", "--codec", "jpeg"), 1, "send raw, or on the indexed wire"),
        ((*_SEND, "--wire", "classic", "--size", "3840x2160"), 1, "3840x2160 needs 540 classic"),
        ((*_SEND, "--wire", "classic", "--fec", "30"), 1, "carries no parity, and 30 % of it"),
        (("send", "255.255.255.255", "--source", "test"), 1, "Name one machine, or a multicast"),
        ((*_RECEIVE, "--stats", "missing/stats.json"), 2, "cannot write missing"),
        ((*_RECEIVE, "--no-record", "--record", "x"), 2, "give one of the two"),
        ((*_RECEIVE, "--record", "text.txt"), 1, "cannot record to text.txt"),
        ((*_RECEIVE, "--size", "3840x2160"), 1, "3840x2160 needs 540 classic chunks"),
        (("send", "9699", "--source", "test"), 1, "'9699' is not a host: write :9699"),
        (("send", "--source", "2147483648"), 1, "no camera has the index 2147483648"),
        ((*_SEND, "--min-scale", "0.1"), 2, "--min-scale"),
        (("demo", "--seconds", "0"), 2, "--seconds"),
        (("demo", "--source", "noise"), 2, "the demo streams a dancer"),
        (("demo", "--source", "dancer,nose=9"), 1, "the source 'dancer,nose=9'"),
    ],
)
def test_bad_input_is_answered_in_words(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    code: int,
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text("not a video")
    (tmp_path / "empty").mkdir()
    monkeypatch.setattr(sys, "argv", ["udpstream", *arguments])
    with pytest.raises(SystemExit) as exit_:
        main()
    error = capsys.readouterr().err
    assert exit_.value.code == code
    assert said in error
    assert "Traceback" not in error


def test_a_command_that_fails_leaves_no_empty_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old.json").write_text("{}")
    for name in ("new.json", "old.json"):
        arguments = ["receive", "203.0.113.7", "--no-record", "--display", "off", "--stats", name]
        monkeypatch.setattr(sys, "argv", ["udpstream", *arguments])
        with pytest.raises(SystemExit):
            main()
    assert [path.name for path in tmp_path.iterdir()] == ["old.json"]
    assert (tmp_path / "old.json").read_text() == "{}"


@pytest.mark.parametrize(
    "command", ["", "send", "receive", "demo", "model", "reference", "score", "doctor", "bench"]
)
def test_help_fits_80_columns(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys, "argv", ["udpstream", *command.split(), "-h"])
    with pytest.raises(SystemExit) as exit_:
        main()
    assert exit_.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith("Usage: udpstream")
    assert max(map(len, text.splitlines())) <= 80
    assert "bool" not in text
    assert "range>" not in text
    assert "..." not in text.replace("[ARGS]...", "")  # nothing is cut


def test_a_port_that_is_taken(run: Commands) -> None:
    run.receive("--no-record")
    second = run.start("receive", run.address, "--no-record")
    assert second.end() == 1
    assert f"port {run.port} is in use by another program" in second.stderr


def test_a_window_that_must_be_where_none_can(run: Commands) -> None:
    receiver = run.start("receive", run.address, "--no-record", "--display", "on")
    assert receiver.end() == 1
    assert "Use --display off" in receiver.stderr


def test_a_camera_that_is_not_there_is_awaited(run: Commands) -> None:
    sender = run.start("send", run.address, "--source", "99", "--seconds", "1.5")
    assert sender.end() == 0
    assert sender.stderr.count("camera 99") == 1
    assert "trying again" in sender.stderr
    assert "sent 0 frames" in sender.stdout


def test_a_sender_without_a_receiver_is_told_so(run: Commands) -> None:
    sender = run.send("--frames", "3")
    assert sender.end() == 0
    assert "none answered" in sender.stdout


@_NO_SIGNALS
def test_a_reader_that_leaves_does_not_end_the_link(run: Commands) -> None:
    command = [sys.executable, "-m", "udpstream", "receive", run.address, "--frames", "5"]
    options = ["--display", "off", "--stats", "stats.json"]
    with subprocess.Popen(
        [*command, *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=run.folder
    ) as receiver:
        assert receiver.stdout is not None
        assert b"listening" in receiver.stdout.readline()
        receiver.stdout.close()
        run.send("--frames", "20").end()
        assert receiver.wait(30) == 0
    assert json.loads((run.folder / "stats.json").read_text())["streams"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("option", ["stdout", "stats"])
def test_a_full_disk_under_the_results_is_an_error(run: Commands, option: str) -> None:
    arguments = ["receive", run.address, "--no-record", "--display", "off", "--seconds", "0"]
    if option == "stats":
        arguments += ["--stats", "/dev/full"]
    with Path("/dev/full" if option == "stdout" else "/dev/null").open("wb") as stdout:
        done = subprocess.run(
            [sys.executable, "-m", "udpstream", *arguments],
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("udpstream: error: cannot ")
    assert "Traceback" not in done.stderr


def test_a_machine_without_opengl_is_told_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "cv2.py").write_text("raise ImportError('libGL.so.1: cannot open it')\n")
    done = subprocess.run(
        [sys.executable, "-m", "udpstream", "--version"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "sudo apt install libgl1" in done.stderr
    assert "Traceback" not in done.stderr
