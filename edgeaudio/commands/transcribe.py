"""`edgeaudio transcribe`: what is said in a recording or a stream, as text or captions.

Owns: the order: utterances, the recogniser with its retries, the output.
Does not know: how sources are read (transcribe_sources.py), how texts look (captions.py), protocols (speech/).
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final, TextIO

from edgeaudio.backoff import Backoff
from edgeaudio.capture.errors import SourceError
from edgeaudio.commands.captions import SUFFIXES, Format, Said, Writer
from edgeaudio.commands.interrupt import stopped_by_interrupt
from edgeaudio.commands.output_file import check_replaceable
from edgeaudio.commands.source_argument import failure_line, find_source
from edgeaudio.commands.transcribe_sources import is_live, live_utterances, recorded_utterances
from edgeaudio.errors import EdgeaudioError
from edgeaudio.logs import setup_logging
from edgeaudio.redact import mask
from edgeaudio.settings import Settings, SettingsError, load_settings
from edgeaudio.speech.invented import without_invented
from edgeaudio.speech.recogniser import RecogniserError, Recognition, SpeechRecogniser
from edgeaudio.terminal import one_line, print_error, print_out
from edgeaudio.types import Utterance
from edgeaudio.urls import holds_login
from edgeaudio.wiring import speech_recogniser

MEDIA_START: Final = datetime(1970, 1, 1, tzinfo=UTC)  # of a recording: times count from its beginning
FIRST_DELAY_S: Final = 1.0  # before the recogniser is asked again
LAST_DELAY_S: Final = 30.0
TRIES: Final = 6  # of an utterance of a recording, in half a minute; of a live stream as many as it takes
_TURN_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Request:
    """Options of the command. Those before `form` are settings of `[transcripts]`, which they precede."""

    recogniser: str | None = None
    language: str | None = None
    model: str | None = None
    timeout_s: float | None = None
    form: Format | None = None  # None: what the name of `out` says
    out: Path | None = None  # None: standard output
    overwrite: bool = False


def transcribe(target: str, path: Path | None, options: Sequence[str], request: Request) -> int:
    """Print or write what is said at a source. Raises EdgeaudioError, after the texts before the failure."""
    settings = _settings(path, options, request)
    config, _ = find_source(target, settings)
    output = _Output(request, config.address.path)
    recogniser = speech_recogniser(settings)
    failure = None
    try:
        with stopped_by_interrupt() as stop, _closed_by(stop, recogniser), ExitStack() as stack:
            live = is_live(config, stop)
            stack.callback(output.close)
            if live:
                output.open(recorded=False, start=datetime.now(UTC))
                setup_logging("info")  # of outages
                utterances = stack.enter_context(live_utterances(config, stop))
            else:
                # a recording that cannot be read empties no file
                opened = partial(output.open, recorded=True, start=MEDIA_START)
                reading = recorded_utterances(config, stop, MEDIA_START, opened, grows=request.out is None)
                utterances = stack.enter_context(closing(reading))
            asking = _Asking(recogniser, stop, most_tries=None if live else TRIES)
            try:
                for utterance in utterances:
                    output.write(asking.said(utterance))
            except SourceError as error:
                failure = error  # the texts before it come first
    except SourceError as error:  # it was not opened at all
        failure = error
    if failure:
        raise EdgeaudioError(failure_line(failure))
    output.finish()
    return 0


def _settings(path: Path | None, options: Sequence[str], request: Request) -> Settings:
    """Return the settings with the options of the command. Raises EdgeaudioError where no recogniser is named."""
    if request.recogniser is not None and holds_login(request.recogniser):
        raise EdgeaudioError(
            "a login in --recogniser would show in the process list; write the address into the settings "
            "(transcripts.recogniser), or the key into transcripts.api_key_file"
        )
    given = {
        "recogniser": request.recogniser,
        "language": request.language,
        "model": request.model,
        "timeout_s": request.timeout_s,
    }
    given = {name: value for name, value in given.items() if value is not None}
    try:
        settings = load_settings(path, [*options, *(f"transcripts.{name}={value}" for name, value in given.items())])
    except SettingsError as error:
        raise EdgeaudioError(_as_given(str(error), given)) from None
    if settings.transcripts.recogniser is None:
        raise EdgeaudioError(
            "no recogniser: name one with --recogniser, as in wyoming://whisper.local:10300 or "
            "http://whisper.local:8000/v1, or in the settings (transcripts.recogniser); "
            "docs/speech.md says how to run one"
        )
    return settings


def _as_given(faults: str, names: Iterable[str]) -> str:
    """Return faults of settings with the options that were given for them, where they name the settings."""
    for name in names:
        faults = faults.replace(f"--set: transcripts.{name}:", f"--{name.removesuffix('_s')}:")
    return faults


@contextmanager
def _closed_by(stop: threading.Event, recogniser: SpeechRecogniser) -> Iterator[None]:
    """Close the recogniser at the end, and as soon as `stop` is set: that ends a call in progress."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(_TURN_S):
            if stop.is_set():
                recogniser.close()

    watching = threading.Thread(target=watch, name="recogniser-stop", daemon=True)
    watching.start()
    try:
        yield
    finally:
        over.set()
        watching.join()
        recogniser.close()


class _Asking:
    """Asks the recogniser about one utterance after the other, again where it does not answer."""

    def __init__(self, recogniser: SpeechRecogniser, stop: threading.Event, most_tries: int | None) -> None:
        """`most_tries`: of an utterance; None: until it is answered."""
        self._recogniser = recogniser
        self._stop = stop
        self._most_tries = most_tries
        self._backoff = Backoff(FIRST_DELAY_S, LAST_DELAY_S)
        self._fault = ""  # the last that was shown

    def said(self, utterance: Utterance) -> Said:
        """Return what is said in an utterance; nothing if the recogniser refuses it, or `stop` is set meanwhile.

        Raises EdgeaudioError if it does not answer in time.
        """
        while not self._stop.is_set():
            try:
                recognition = self._recogniser.recognise(utterance.samples)
            except RecogniserError as error:
                if self._stop.is_set():
                    break
                self._show(str(error))
                if error.is_final:
                    self._fault = ""
                    self._backoff.reset()  # it answers
                    break
                if self._backoff.failures + 1 == self._most_tries:
                    raise EdgeaudioError(f"{error} (asked {self._most_tries} times)") from None
                self._stop.wait(self._backoff.next_s())
                continue
            if self._fault:
                print_error("edgeaudio: the recogniser answers again")
                self._fault = ""
            self._backoff.reset()
            return Said(utterance, without_invented(recognition)[0], self._recogniser.name)
        return Said(utterance, Recognition(""), self._recogniser.name)

    def _show(self, fault: str) -> None:
        if fault != self._fault:
            self._fault = fault
            print_error(f"edgeaudio: {one_line(mask(fault))}")


class _Output:
    """Standard output or a file, to which texts are appended as they come."""

    def __init__(self, request: Request, source: Path | None) -> None:
        """`source`: the recording, if it is a file. Raises EdgeaudioError for a file that is to stay as it is."""
        self._path = request.out
        self._form: Format = request.form or (
            "text" if request.out is None else SUFFIXES.get(request.out.suffix.lower(), "text")
        )
        self._file: TextIO | None = None
        self._n_texts = 0
        if request.out is not None:
            with self._errors():
                if request.out.is_dir():
                    raise EdgeaudioError(f"{request.out} is a directory; name a file in it with -o")
                check_replaceable(request.out, source, overwrite=request.overwrite)

    def open(self, *, recorded: bool, start: datetime) -> None:
        """Begin, now that the source is known. Raises EdgeaudioError if the file cannot be written."""
        self._writer = Writer(self._form, recorded=recorded, start=start)
        if self._path is not None:
            with self._errors():
                self._file = self._path.open("w", encoding="utf-8", errors="replace", newline="\n")
        self._append(self._writer.head)

    def write(self, said: Said) -> None:
        """Append what was said, at once. Raises EdgeaudioError, OutputError."""
        lines = self._writer.write(said)
        self._n_texts += bool(lines)
        self._append(lines)

    def finish(self) -> None:
        """Print a note if nothing was said."""
        if not self._n_texts:
            print_error("edgeaudio: no speech was found")

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            with self._errors():
                self._file.close()

    def _append(self, text: str) -> None:
        if not text:
            return
        if self._path is None:
            print_out(text, end="", flush=True)
        elif self._file is not None:
            with self._errors():
                self._file.write(text)
                self._file.flush()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise EdgeaudioError(f"{self._path}: cannot be written: {error.strerror}") from None
