"""`edgeaudio film`: a source as a film, in a file or on a server.

Owns: where the film goes, whether its source is a recording, and what is printed. Does not know: how a source is opened
or tried again, how pictures are drawn, how a film is encoded or sent.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from edgeaudio.capture.config import SourceConfig
from edgeaudio.capture.connection import open_source
from edgeaudio.capture.errors import SourceError
from edgeaudio.clock import Clock
from edgeaudio.commands.exit_status import EXIT_INTERRUPTED
from edgeaudio.commands.film_settings import DEFAULT_LOG_LEVEL, chosen_models, given_settings
from edgeaudio.commands.interrupt import stopped_by_interrupt
from edgeaudio.commands.output_file import output_file
from edgeaudio.commands.progress import Progress
from edgeaudio.commands.source_argument import failure_line, find_source
from edgeaudio.commands.waiting import SENDER_WAIT_S, WaitMonitor
from edgeaudio.console import clock_time
from edgeaudio.errors import EdgeaudioError
from edgeaudio.film.detections import Detections
from edgeaudio.film.film import Film, Footage
from edgeaudio.film.live import READER_THREAD, film_live
from edgeaudio.film.output import FilmAudio, FilmFormat, FilmOutput, open_output
from edgeaudio.film.pacing import Pacer
from edgeaudio.film.push_output import PushOutput
from edgeaudio.film.recording import MEDIA_START, film_recording
from edgeaudio.film.targets import push_target
from edgeaudio.film.time_line import TimeLine
from edgeaudio.logs import setup_logging
from edgeaudio.media.film_writer import CONTAINERS
from edgeaudio.pictures.canvas import require_pillow
from edgeaudio.pictures.film_options import FilmLook
from edgeaudio.pictures.ticks import Begin
from edgeaudio.recognise.pipeline import GATE_DBFS, SourcePipeline
from edgeaudio.redact import mask
from edgeaudio.settings.reading import read_secret
from edgeaudio.terminal import flush_output, print_out
from edgeaudio.types import Block, Reason
from edgeaudio.urls import HIDDEN, holds_login

if TYPE_CHECKING:
    from edgeaudio.settings import Settings

_TOLD_S = 0.5
# of a server that brings either recordings or live sound: what it takes to tell may be away for a while
_PASSING = (
    *(Reason.REFUSED, Reason.UNREACHABLE, Reason.NAME_NOT_FOUND, Reason.TIMEOUT, Reason.SERVER_BUSY),
    *(Reason.PLAYLIST_STALE, Reason.CLOCK),
)


@dataclass(frozen=True, slots=True)
class Request:
    """What is shown, how, and where it goes."""

    out: str | None  # a file, a directory, an address, @ and a file; None: the source's name, here
    overwrite: bool
    start_s: float
    length_s: float | None
    channel: int | None  # from 1; None: as in the settings, else all
    models: tuple[str, ...] | None  # empty: those of the settings; None: none
    look: FilmLook
    audio: FilmAudio | None
    bit_rate: int | None


def film(target: str, path: Path | None, options: Sequence[str], request: Request) -> int:
    """Make the film of a source, and print what was made. Raises EdgeaudioError.

    A recording's film ends with it; what came before a failure is in the film. A live source's film goes on until it is
    stopped, by Ctrl-C or SIGTERM. Ends the process if a thread hangs in a driver.
    """
    require_pillow()
    settings = given_settings(path, options)
    log_level = DEFAULT_LOG_LEVEL if settings is None else settings.log_level
    config, name = find_source(target, settings)
    title = name or (config.address.path.name if config.address.path is not None else mask(str(config.address)))
    out = _target(config, name, request)
    if request.channel is not None:
        config = replace(config, channel=request.channel)
    request = replace(request, look=replace(request.look, title=title))
    maker = _Maker(config, settings, name, out.address, request)
    if out.file is None:
        setup_logging(log_level)
    try:
        with _stopped() as maker.stop:
            stop = maker.stop
            maker.pace = None if out.file is not None else Pacer(stop)
            made, failure = _record(config, stop, request, maker)
            if made is None and failure is None and not maker.recorded and not stop.is_set():
                if request.start_s:
                    raise EdgeaudioError(f"{config.address} is live: --start is for recordings")
                setup_logging(log_level)
                made = film_live(config, maker.film, stop, length_s=request.length_s, clock=Clock())
    except SourceError as error:
        raise EdgeaudioError(failure_line(error)) from None
    status = _report(config, out, request, maker, made, failure, interrupted=stop.is_set())
    if any(thread.name == READER_THREAD for thread in threading.enumerate()):
        # it hangs in a driver or the network; one that returns during Python's own shutdown crashes the process
        flush_output()
        os._exit(status)
    return status


def _report(
    config: SourceConfig,
    out: _Target,
    request: Request,
    maker: _Maker,
    made: Film | None,
    failure: SourceError | None,
    *,
    interrupted: bool,
) -> int:
    """Print what was made; return the exit status. Raises EdgeaudioError where the source failed."""
    if made is not None:
        if isinstance(maker.output, PushOutput) and not maker.output.counts.connections:
            raise EdgeaudioError(
                f"{out.shown}: nothing of the {made.footage.length_s:.1f} s was sent: no server took the film"
            )
        _print_made(out, request.look, made.footage)
    elif failure is None and maker.recorded and not interrupted:
        start, end = clock_time(request.start_s), clock_time(maker.heard_s)
        raise EdgeaudioError(f"{config.address}: no sound from {start} on to make a film of; it ends at {end}")
    if failure is not None:
        raise EdgeaudioError(failure_line(failure))
    if interrupted and (maker.recorded or made is None):
        return EXIT_INTERRUPTED
    if isinstance(maker.output, PushOutput) and not maker.output.counts.connections:
        raise EdgeaudioError(f"{out.shown}: nothing was sent: no server took the film")
    return 0


class _Maker:
    """Makes the film once the first sound shows its format."""

    def __init__(
        self, config: SourceConfig, settings: Settings | None, name: str | None, out: str, request: Request
    ) -> None:
        self.recorded = False
        self.output: FilmOutput | None = None  # once there is one
        self.stop = threading.Event()
        self.pace: Pacer | None = None  # of a film that is sent
        self.heard_s = 0.0  # of a recording
        self.whole_s: float | None = None  # of a recording
        self._out, self._request = out, request
        self._pipeline: SourcePipeline | None = None
        if request.models is not None:
            gate_dbfs = settings.sources[name].gate_dbfs if settings is not None and name else GATE_DBFS
            self._pipeline = SourcePipeline(
                config.name,
                chosen_models(settings, request.models, name),
                namespace=UUID(int=0),
                gate_dbfs=gate_dbfs,
                channel=config.channel,
            )
        self._channel = config.channel

    def film(self, time_line: TimeLine, first: Block) -> Film:
        """Return the film, which begins with that Block. Raises EdgeaudioError."""
        begin: Begin = self._request.start_s if self.recorded else time_line.zero.astimezone()
        return Film(
            self._request.look,
            time_line,
            first,
            self._open,
            begin=begin,
            detections=None if self._pipeline is None else Detections(self._pipeline),
            expected_s=self.whole_s,
            channel=self._channel if isinstance(self._channel, int) else None,
            pace=self.pace,
        )

    def _open(self, film_format: FilmFormat) -> FilmOutput:
        request = self._request
        self.output = open_output(
            self._out,
            film_format,
            audio=request.audio,
            bit_rate=request.bit_rate,
            overwrite=request.overwrite,
            wait=self.stop if self.recorded else None,
        )
        return self.output


def _record(
    config: SourceConfig, stop: threading.Event, request: Request, maker: _Maker
) -> tuple[Film | None, SourceError | None]:
    """Return the film of a recording, and the failure that ended it early; None and None for a live source.

    Raises SourceError if a recording cannot be opened.
    """
    address = config.address
    if address.path is None and not address.is_http:
        return None, None
    try:
        with (
            WaitMonitor(config, stop) as monitor,
            open_source(config, monitor.end, media_start=MEDIA_START, sender_wait_s=SENDER_WAIT_S) as connection,
            Progress(table_grows=False) as progress,
        ):
            if not connection.recorded:
                return None, None
            maker.recorded, maker.whole_s = True, connection.info.duration_s
            end_s = maker.whole_s if request.length_s is None else request.start_s + request.length_s

            def show(done_s: float) -> None:
                maker.heard_s = max(maker.heard_s, done_s)
                progress.show(done_s, end_s)

            return film_recording(
                monitor.listen(connection),
                maker.film,
                start_s=request.start_s,
                length_s=request.length_s,
                on_progress=show,
                stop=stop,
            )
    except SourceError as error:
        if address.path is None and error.reason in _PASSING:
            return None, None  # it may be a live source, which is waited for
        raise


@contextmanager
def _stopped() -> Iterator[threading.Event]:
    """Yield an event that Ctrl-C and SIGTERM set: a film is finished, then."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        with stopped_by_interrupt() as stop:
            signal.signal(signal.SIGTERM, lambda *_: stop.set())
            yield stop
    except KeyboardInterrupt:
        pass  # the film is finished, and printed
    finally:
        signal.signal(signal.SIGTERM, before)


@dataclass(frozen=True, slots=True)
class _Target:
    """Where the film goes."""

    address: str = field(repr=False)  # a path or a URL, with its secrets
    shown: str
    file: Path | None  # None: a server


def _target(config: SourceConfig, name: str | None, request: Request) -> _Target:
    """Return where the film goes. Raises EdgeaudioError where it cannot, before anything is read."""
    out = request.out or ""
    if request.length_s == 0:
        raise EdgeaudioError("--length 0: a film of nothing; leave it out to film all")
    if request.out == "":  # a variable of a script that is not set, most likely
        raise EdgeaudioError("--out is empty; name a file, a directory or a server, or leave it out")
    if "://" in out or out.startswith("@"):
        address = read_secret(Path(out[1:])) if out.startswith("@") else out
        server = push_target(address, request.audio)
        if server is None:
            raise EdgeaudioError(f"{out}: this file holds no address of a server, as in rtsp://192.168.1.2/porch")
        if address == out and (holds_login(out) or HIDDEN in server.shown):
            raise EdgeaudioError(
                f"{server}: its login or key would show in the process list; write the address into a file that only "
                "you can read, and give the file's name after an @, as in --out @address.txt"
            )
        return _Target(address, server.shown, None)
    chosen = None if request.out is None else Path(request.out)
    file = output_file(chosen, config, name, otherwise="film", suffixes=CONTAINERS, overwrite=request.overwrite)
    return _Target(str(file), str(file), file)


def _print_made(out: _Target, look: FilmLook, made: Footage) -> None:
    parts = [f"{look.width}x{look.height} pixels", f"{made.length_s:.1f} s"]
    if made.length_s - made.sound_s >= _TOLD_S:
        parts.append(f"without sound for {made.length_s - made.sound_s:.1f} s")
    if made.skipped:
        parts.append(f"{made.skipped} pictures left out, for which this machine was too slow")
    if out.file is not None:
        parts.append(f"{ceil(out.file.stat().st_size / 1000)} kB")
    print_out(f"{out.shown}: {', '.join(parts)}")
