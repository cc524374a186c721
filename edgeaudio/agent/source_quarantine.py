"""Quarantine of sources suspected of having crashed an earlier process of this agent: they wait, and are tried alone.

Owns: who is suspected, for how long, and whose turn it is.
Does not know: threads, how a source is opened, what a crash looks like (crash_suspects.py), the notes' file
(crash_notes.py).

A server's data can crash FFmpeg, or feed it until the kernel kills the process. This cannot be prevented, so the agent
learns from it. Open sources are noted in the runtime directory; a source is proven once it has brought PROVEN_S of
sound. At a crash every source that is not proven is suspected. A lone suspect is quarantined for FIRST_S, doubling to
LAST_S with each further crash. Of several suspects all but one may be innocent: they are tried without delay, one at a
time, and the source on trial at the next crash is alone suspected of it. PROVEN_S of sound acquit.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from edgeaudio.agent.crash_notes import CrashNotes, CrashNotesFile, Phase, boot_id, kernel_kills
from edgeaudio.agent.crash_suspects import CrashVerdict, suspects_of
from edgeaudio.backoff import Backoff
from edgeaudio.capture.admission import Admission, Hold
from edgeaudio.capture.config import SourceConfig
from edgeaudio.capture.reader import PROVEN_S
from edgeaudio.clock import Clock
from edgeaudio.runtime_files import RuntimeDir

log = logging.getLogger(__name__)

FIRST_S = 60.0
LAST_S = 6 * 3600.0
TURN_S = 0.5  # from one request of a waiting source to its next
OTHERS_S = 30.0  # longest wait of a trial for sources that are not suspected to be opened
_KEY = "quarantine/"
_MAX_CRASHES = 20  # far more doublings than there are


class Store(Protocol):
    """Values on the disk, by key."""

    def settings(self) -> dict[str, str]: ...

    def set_setting(self, key: str, value: str | None) -> None: ...


@dataclass(frozen=True, slots=True)
class _Sentence:
    """Reason why a source waits."""

    address: str  # a digest: another address is another source
    crashes: int  # of which this source alone was suspected
    until: datetime


class SourceQuarantine:
    """Quarantine of an agent's sources. Safe for any thread.

    Before `begin` nothing is noted, and every source is admitted.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._lock = threading.Lock()
        self._file: CrashNotesFile | None = None
        self._notes = CrashNotes("", threading.get_ident(), None)
        self._sentences: dict[str, _Sentence] = {}
        self._first_asked_s: dict[str, float] = {}  # first request of this turn, by waiting source; monotonic
        self._last_asked_s: dict[str, float] = {}  # and its latest
        self._due: dict[str, datetime] = {}  # when a suspect may expect its turn

    def admission(self, config: SourceConfig) -> Admission:
        """Return what a source's reader asks before it opens the source."""
        return _Turnstile(self, config)

    def begin(self, runtime_dir: RuntimeDir | None, earlier_stacks: str, sources: Mapping[str, SourceConfig]) -> None:
        """Judge by what an earlier process left, and take notes from now on."""
        with self._lock:
            now = self._clock.utc()
            self._restore(sources, now)
            self._notes = CrashNotes(boot_id(), threading.get_ident(), kernel_kills())
            if runtime_dir is None:
                log.warning("there is no directory in which to note what is opened: a crash would not be learned from")
                return
            self._file = CrashNotesFile(runtime_dir)
            earlier = self._file.read_earlier()
            if earlier is not None and earlier.boot_id == self._notes.boot_id:
                crash = suspects_of(earlier, earlier_stacks, self._notes.kernel_kills)
                self._notes = replace(self._notes, killed=crash.killed)
                self._sentence(crash, sources, now)
            self._write()

    def end(self) -> None:
        """Remove the notes: the process ends in good order, and no source is to blame."""
        with self._lock:
            if self._file is not None:
                with suppress(OSError):
                    self._file.remove()
            self._file = None

    def abort(self, why: str, source: str | None) -> None:
        """Note that the process is about to end itself; `source`: the one whose reader stalled, if that is why."""
        with self._lock:
            self._notes = replace(self._notes, stuck=source, aborted=why)
            self._write()
            self._file = None

    # called by admissions

    def ask(self, config: SourceConfig) -> Hold | None:
        """Return how long a source is to wait; None: it may be opened, and that is noted."""
        name, now_s = config.name, self._clock.monotonic()
        with self._lock:
            sentence = self._sentences.get(name)
            if sentence is not None and sentence.address != _digest(config):
                self._acquit(name)
                sentence = None
            if sentence is not None and (hold := self._hold(name, sentence, now_s)) is not None:
                return hold
            trial = self._notes.trial if sentence is None else name
            opened = {**self._notes.opened, name: (Phase.OPENING, threading.get_ident())}
            self._notes = replace(self._notes, opened=opened, trial=trial)
            self._first_asked_s.pop(name, None)
            self._last_asked_s.pop(name, None)
            self._due.pop(name, None)
            self._write()
        if sentence is not None:
            why = "tried alone, for it is suspected of having crashed the agent"
            log.info("source %s: %s", name, why, extra={"source": name})
        return None

    def advance(self, name: str, phase: Phase) -> None:
        """Note that a source has reached a phase."""
        with self._lock:
            opened = {**self._notes.opened, name: (phase, threading.get_ident())}
            killed = {other: count for other, count in self._notes.killed.items() if other != name}
            self._notes = replace(self._notes, opened=opened, killed=killed)
            acquitted = phase is Phase.PROVEN and name in self._sentences
            if phase is Phase.PROVEN:
                self._end_trial(name)
            if acquitted:
                self._acquit(name)
            self._write()
        if acquitted:
            log.info("source %s: %.0f s of sound: no longer quarantined", name, PROVEN_S, extra={"source": name})

    def over(self, name: str) -> None:
        """Note that a source's connection has ended in good order, or could not be opened."""
        with self._lock:
            opened = {other: state for other, state in self._notes.opened.items() if other != name}
            self._notes = replace(self._notes, opened=opened)
            self._end_trial(name)
            self._write()

    # called with the lock held

    def _hold(self, name: str, sentence: _Sentence, now_s: float) -> Hold | None:
        """Return how long a suspect is to wait; None: it is its turn."""
        self._last_asked_s[name] = now_s
        wait_s = (sentence.until - self._clock.utc()).total_seconds()
        if wait_s > 0:
            return Hold(sentence.until, wait_s, _detail(sentence.crashes))
        first = name not in self._first_asked_s
        since_s = self._first_asked_s.setdefault(name, now_s)
        others = [
            other
            for other, (phase, _) in self._notes.opened.items()
            if phase is not Phase.PROVEN and other not in self._sentences
        ]
        free = self._notes.trial in {None, name} and (not others or now_s - since_s > OTHERS_S)
        # every suspect asks once before the first is admitted
        if not first and free and name == self._next(now_s):
            return None
        due = self._due.get(name)
        if due is None or due <= self._clock.utc():
            due = self._due[name] = self._clock.utc() + timedelta(seconds=PROVEN_S)
        return Hold(due, TURN_S, f"{_detail(sentence.crashes)}; suspects are tried one at a time, after all others")

    def _next(self, now_s: float) -> str:
        """Return whose turn it is, of the suspects that are due and still ask: the least suspected first."""
        asking = [
            name
            for name in self._first_asked_s
            if now_s - self._last_asked_s[name] < 4 * TURN_S and name in self._sentences
        ]
        return min(asking, key=lambda name: (self._sentences[name].crashes, self._first_asked_s[name]))

    def _end_trial(self, name: str) -> None:
        if self._notes.trial == name:
            self._notes = replace(self._notes, trial=None)

    def _acquit(self, name: str) -> None:
        self._sentences.pop(name, None)
        self._store.set_setting(_KEY + name, None)

    def _restore(self, sources: Mapping[str, SourceConfig], now: datetime) -> None:
        """Load the sentences of earlier processes."""
        for key, text in self._store.settings().items():
            if not key.startswith(_KEY):
                continue
            name = key.removeprefix(_KEY)
            sentence = _read_sentence(text)
            if sentence is None or name not in sources or sentence.address != _digest(sources[name]):
                self._acquit(name)
                continue
            # a clock that was stepped back must not lengthen the sentence
            latest = now + timedelta(seconds=_delay_s(sentence.crashes))
            self._sentences[name] = replace(sentence, until=min(sentence.until, latest))

    def _sentence(self, crash: CrashVerdict, sources: Mapping[str, SourceConfig], now: datetime) -> None:
        """Quarantine the suspects of a crash."""
        suspects = [name for name in crash.suspects if name in sources]
        for name in suspects:
            before = self._sentences.get(name)
            crashes = before.crashes if before else 0
            if len(suspects) == 1:
                crashes = min(crashes + 1, _MAX_CRASHES)
            until = now + timedelta(seconds=_delay_s(crashes))
            self._sentences[name] = sentence = _Sentence(_digest(sources[name]), crashes, until)
            values = {"address": sentence.address, "crashes": crashes, "until": until.isoformat()}
            self._store.set_setting(_KEY + name, json.dumps(values))
            held = (
                f"held back until {until:%Y-%m-%d %H:%M:%S} UTC" if crashes else "tried alone, with the other suspects"
            )
            log.error(
                "source %s: the agent died while it was open (%s); it is quarantined: %s",
                *(name, crash.how, held),
                extra={"source": name},
            )

    def _write(self) -> None:
        if self._file is not None and not self._file.write(self._notes):
            self._file = None


class _Turnstile(Admission):
    """One source's side of the quarantine."""

    def __init__(self, quarantine: SourceQuarantine, config: SourceConfig) -> None:
        self._quarantine = quarantine
        self._config = config

    def ask(self) -> Hold | None:
        return self._quarantine.ask(self._config)

    def sounding(self) -> None:
        self._quarantine.advance(self._config.name, Phase.SOUNDING)

    def proven(self) -> None:
        self._quarantine.advance(self._config.name, Phase.PROVEN)

    def over(self) -> None:
        self._quarantine.over(self._config.name)


def _delay_s(crashes: int) -> float:
    return Backoff(FIRST_S, LAST_S, failures=crashes - 1).next_s() if crashes else 0.0


def _detail(crashes: int) -> str:
    if crashes == 0:
        return "the agent died while this and other sources were being opened"
    times = f" {crashes} times" if crashes > 1 else ""
    return f"the agent died{times} while this source was being opened"


def _digest(config: SourceConfig) -> str:
    return hashlib.sha256(str(config.address).encode()).hexdigest()[:12]


def _read_sentence(text: str) -> _Sentence | None:
    try:
        values = json.loads(text)
        until = datetime.fromisoformat(values["until"])
        return _Sentence(str(values["address"]), min(max(int(values["crashes"]), 0), _MAX_CRASHES), until.astimezone())
    except (ValueError, KeyError, TypeError, OverflowError):
        return None
