"""``receive --score``: what it does beside receiving. What is large is loaded late."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from udpstream.adapters.recorder import Recorder
from udpstream.cli.posing import load_reference
from udpstream.cli.score_options import ScoreOptions
from udpstream.cli.terminal import say
from udpstream.core.ledger import StreamReport
from udpstream.core.pose.tally import Summary
from udpstream.core.reference import Reference
from udpstream.errors import PoseError
from udpstream.frame import Frame, Stream
from udpstream.protocol import Result
from udpstream.scored import Scored, ScoreSink

if TYPE_CHECKING:
    from udpstream.adapters.pose_process import PoseProcess

_STEP_S = 0.05  # how long a signal may wait for an answer
_SILENT_S = 0.5  # who waits longer wants to know for what


class LiveScoring:
    """What ``receive --score`` does beside receiving: a sink, and what came of it."""

    def __init__(
        self,
        reference: Reference,
        options: ScoreOptions,
        directory: Path,
        recorder: Recorder | None,
    ) -> None:
        """Begin to load the pose model.

        Args:
            reference: what the performers are compared with.
            options: how.
            directory: where files go in folders of their own, if nothing is recorded.
            recorder: in whose folders they go.

        Raises:
            BadReferenceError: too little of a body is seen in the reference.
        """
        from udpstream.adapters.annotated import AnnotatedVideo
        from udpstream.adapters.page_process import PageProcess
        from udpstream.adapters.score_files import ScoreFiles, ScoreFolders
        from udpstream.adapters.score_replies import ScoreReplies
        from udpstream.performance import Performances, Scoring

        self._model = options.model
        self._recorder = recorder
        self._stop = threading.Event()
        self._fetching = ""
        self._loading: PoseProcess | None = None
        folder_of = ScoreFolders(directory, recorder)
        self._pages = PageProcess()
        self._files = ScoreFiles(
            folder_of, options.about(), say, details=self._details, draw=self._pages.draw
        )
        self._annotated = AnnotatedVideo(folder_of, say) if options.overlay else None
        self._replies = ScoreReplies()
        sinks: list[ScoreSink] = [self._replies, _Endings(self), self._files]
        if self._annotated is not None:
            sinks.append(self._annotated)
        self.performances = Performances(reference, options.scoring, sinks, say)
        self._scoring = Scoring(self.performances, self._make_tracker, self._say)

    # A sink's

    def deliver(self, frame: Frame) -> None:
        """Have a frame scored, if there is time for it."""
        self._scoring.deliver(frame)
        self._replies.remind(frame)

    def ended(self, stream: Stream, report: StreamReport) -> None:
        """Have the stream's session ended."""
        self._scoring.ended(stream, report)

    def update(self, report: StreamReport) -> None:
        """Have ``session.json`` say how it goes."""
        self.note(report.stream)

    # For the command

    def wait(self, stop: threading.Event) -> None:
        """Wait until the first frame can be scored, or it is known that none can be.

        What has to be fetched first may take minutes, and is not waited for.
        """
        begun_s = time.monotonic()
        is_said = False
        while not (self._scoring.wait(_STEP_S) or self._fetching or stop.is_set()):
            if not is_said and time.monotonic() - begun_s > _SILENT_S:
                is_said = True
                say("loading the pose model")

    def connect(self, send: Callable[[Stream, Result], object]) -> None:
        """Have the performers told, by `Receiver.send_result`."""
        self._replies.connect(send)

    def latest(self, stream: Stream) -> Scored | None:
        """Return the latest scored frame of a stream."""
        return self.performances.latest(stream)

    def status(self, stream: Stream) -> list[str]:
        """Return what to say of a stream while it runs."""
        if self._scoring.failure is not None:
            return []
        if self._fetching:
            return [self._fetching]
        scored = self.latest(stream)
        return ["  waiting for the first pose" if scored is None else score_status(scored)]

    def summary(self, stream: Stream) -> list[str]:
        """Return what to say of a stream in the end."""
        summary = self.performances.summary(stream)
        if summary is None:
            return [f"  score     none: {self._scoring.failure or 'no frame was scored'}"]
        lines = [*summary_lines(summary), self._times(stream)]
        if self._annotated is not None:
            paths = [
                path
                for each in self._annotated.summaries()
                if each.stream == stream
                for path in each.files
            ]
            lines += [f"  annotated {path}" for path in paths]
        return lines + [f"  result    {path}" for path in self._files.written(stream)]

    def stats(self, stream: Stream) -> dict[str, object]:
        """Return scores, counts and times of a stream for ``--stats`` and ``session.json``."""
        from udpstream.adapters.score_files import summary_dict

        summary = self.performances.summary(stream)
        return {
            **({} if summary is None else summary_dict(summary)),
            **self._details(stream),
            "failure": self._scoring.failure,
        }

    def note(self, stream: Stream) -> None:
        """Have ``session.json`` hold the latest."""
        if self._recorder is not None:
            self._recorder.note(stream, "score", self.stats(stream))

    def close(self) -> None:
        """Finish the frames in hand, and write all results; what is being loaded is given up."""
        self._stop.set()
        loading = self._loading
        if loading is not None:
            loading.kill()
        self._scoring.close()
        self._pages.close()
        if self._annotated is not None:
            self._annotated.close()

    def _details(self, stream: Stream) -> dict[str, object]:
        counts, times_ms = self._scoring.counts(stream), self._scoring.times_ms(stream)
        return {"poses": {**counts, "times_ms": times_ms}}

    def _times(self, stream: Stream) -> str:
        counts, times_ms = self._scoring.counts(stream), self._scoring.times_ms(stream)
        medians = {name: times["p50"] or 0.0 for name, times in times_ms.items()}
        return (
            f"  poses     {counts['found']:,} found, {counts['nobody']:,} nobody, "
            f"{counts['skipped']:,} frames skipped; p50 {medians['pose']:.0f} ms, "
            f"shown after {medians['result']:.0f}"
        )

    def _say(self, text: str) -> None:
        """Say what poses are wanting, but not to who is about to end."""
        if not self._stop.is_set():
            say(text)

    def _make_tracker(self) -> PoseProcess:
        """On a thread of the scoring's own, so that the link does not wait for a download."""
        from udpstream.adapters import model
        from udpstream.adapters.pose_process import PoseProcess

        path = model.present_model(self._model)
        if path is None:
            say(
                f"fetching the pose model, once: {model.FETCH_BYTES / 1e6:.0f} MB; then scores come"
            )
            self._progress(0, model.FETCH_BYTES)
            try:
                path = model.find_model(self._model, progress=self._progress, stop=self._stop)
            finally:
                self._fetching = ""
        process = PoseProcess(path)
        self._loading = process  # for `close`, which may have come before
        if self._stop.is_set():
            process.kill()
        try:
            process.wait()
        except PoseError:
            process.close()
            raise
        finally:
            self._loading = None
        return process

    def _progress(self, done: int, of: int) -> None:
        self._fetching = f"  pose model: {done / 1e6:.0f} of {of / 1e6:.0f} MB fetched"


class _Endings:
    """Notes what a session came to, and says so where its reference ended before it."""

    def __init__(self, live: LiveScoring) -> None:
        self._live = live

    def scored(self, scored: Scored) -> None:
        """Do nothing yet."""

    def ended(self, stream: Stream, summary: Summary) -> None:
        """Have it in ``session.json``."""
        self._live.note(stream)
        latest = self._live.latest(stream)
        if latest is not None and latest.result.ended:
            say("\n".join([f"{stream.camera}: the reference has ended", *summary_lines(summary)]))


def load_score_reference(options: ScoreOptions, stop: threading.Event) -> Reference | None:
    """Return the reference to score a stream against; None where poses cannot be found here.

    That is said, and the stream is to go on without scores.

    Raises:
        UdpStreamError: the reference cannot be used.
    """
    try:
        return load_reference(options.reference, stop, model=options.model)
    except PoseError as error:
        if stop.is_set():
            raise
        say(f"no scores: {error}")
        return None


def score_status(scored: Scored) -> str:
    """Return what is said of a frame in one line, the most telling first."""
    from udpstream.adapters.score_words import words_of_scored

    words = words_of_scored(scored)
    if words.reason:
        return f"  {words.reason}"
    fields = f"{words.score:>3}", words.verdict, words.hint, words.detail
    return f"  score {'  '.join(filter(None, fields))}"


def summary_lines(summary: Summary) -> list[str]:
    """Return what a session came to, in a few lines of about 80 columns."""
    from udpstream.adapters.score_words import lag_words
    from udpstream.core.pose.scale import grade_of, verdict_of

    mean = summary.mean_score
    if mean is None:
        return [f"  score     none in {summary.frames:,} frames: {_reasons(summary)}"]
    correct = f"{summary.correct_share or 0:.1%} of {summary.scored:,} frames correct"
    lines = [f"  score     {int(mean)} of 100, {grade_of(mean)}: {verdict_of(mean)}; {correct}"]
    if summary.unscored:
        lines.append(f"            without a score: {_reasons(summary)}")
    worst = [f"{limb} {deg:.0f}" for limb, deg in list(summary.limbs_deg.items())[:3]]
    if worst:
        lines.append(f"  limbs     degrees off, on the mean: {', '.join(worst)}")
    lag_s = summary.lag_s
    if lag_s is not None:
        mirrored = ", mirrored" if summary.mirrored else ""
        lines.append(f"  lag       {lag_words(lag_s)}{mirrored}")
    return lines


def _reasons(summary: Summary) -> str:
    return ", ".join(f"{reason} {count:,}" for reason, count in summary.unscored.items())
