"""Sources that seem to have killed an earlier process of this agent are held back, and tried alone.

Owns: the notes of which sources are being opened, who is suspected of a death, how long for, and whose turn it is.
Does not know: threads, how a source is opened, what a crash looks like (crash_suspects.py).

FFmpeg can be crashed by what a server sends, or fed until the kernel kills the process. As that cannot be prevented, it
is learned from: which sources are open is noted in the runtime directory; one is proven once it has brought 10 s of
sound. Whoever was not proven at a death is suspected. A lone suspect is quarantined for 1 min, doubling to 6 h with
each death that follows. Of several, all but one may be innocent: they are tried at once, one at a time, and whoever is
on trial at the next death is alone suspected of it. 10 s of sound acquit.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from edgeaudio.agent.crash_suspects import (
    CrashNotes,
    CrashVerdict,
    Phase,
    boot_id,
    kernel_kills,
    read_notes,
    suspects_of,
    write_notes,
)
from edgeaudio.backoff import Backoff
from edgeaudio.capture.admission import Admission, Hold
from edgeaudio.capture.config import SourceConfig
from edgeaudio.capture.reader import PROVEN_S
from edgeaudio.clock import Clock
from edgeaudio.runtime_files import RuntimeDir

log = logging.getLogger(__name__)

FIRST_S = 60.0
LAST_S = 6 * 3600.0
TURN_S = 0.5  # how often somebody whose turn has not come asks again
OTHERS_S = 30.0  # that a trial waits for sources that nobody suspects to be opened
_KEY = "quarantine/"
_MAX_CRASHES = 20  # far more doublings than there are


class Store(Protocol):
    """What is kept on the disk, by key."""

    def settings(self) -> dict[str, str]: ...

    def set_setting(self, key: str, value: str | None) -> None: ...


@dataclass(frozen=True, slots=True)
class _Sentence:
    """Why a source is held back."""

    address: str  # a digest: another address is another source
    crashes: int  # of which this source alone was suspected
    until: datetime


class SourceQuarantine:
    """Of all sources of an agent. Before `begin` nothing is noted, and everybody is admitted. Safe for any thread."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._lock = threading.Lock()
        self._runtime_dir: RuntimeDir | None = None
        self._notes = CrashNotes("", threading.get_ident(), None)
        self._written: CrashNotes | None = None
        self._sentences: dict[str, _Sentence] = {}
        self._asked_s: dict[str, float] = {}  # by whoever is held back: when first, of this turn
        self._asks_s: dict[str, float] = {}  # and when last
        self._due: dict[str, datetime] = {}  # when a suspect may expect its turn

    def admission(self, config: SourceConfig) -> Admission:
        """What a source's reader asks before it opens it."""
        return _Turnstile(self, config)

    def begin(self, runtime_dir: RuntimeDir | None, earlier_stacks: str, sources: Mapping[str, SourceConfig]) -> None:
        """Read what an earlier process has left, judge, and take notes from now on."""
        with self._lock:
            self._runtime_dir = runtime_dir
            now = self._clock.utc()
            self._restore(sources, now)
            self._notes = CrashNotes(boot_id(), threading.get_ident(), kernel_kills())
            if runtime_dir is None:
                log.warning("there is no directory in which to note what is opened: a crash would not be learned from")
                return
            earlier = read_notes(runtime_dir.file("opened"))
            if earlier is not None and earlier.boot_id == self._notes.boot_id:
                death = suspects_of(earlier, earlier_stacks, self._notes.kernel_kills)
                self._notes = replace(self._notes, killed=death.killed)
                self._sentence(death, sources, now)
            self._write()

    def end(self) -> None:
        """The process ends in good order, whatever the reason: no source is to blame."""
        with self._lock:
            if self._runtime_dir is not None:
                with suppress(OSError):
                    self._runtime_dir.file("opened").unlink(missing_ok=True)
            self._runtime_dir = None

    def gave_up(self, why: str, source: str | None) -> None:
        """The process is about to end itself; `source`: whose reader does not come back, if it is for that."""
        with self._lock:
            self._notes = replace(self._notes, stuck=source, gave_up=why)
            self._write()
            self._runtime_dir = None

    # what admissions ask and tell

    def ask(self, config: SourceConfig) -> Hold | None:
        """None: the source may be opened, and that is noted. Else how long it is to wait."""
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
            self._asked_s.pop(name, None)
            self._asks_s.pop(name, None)
            self._due.pop(name, None)
            self._write()
        if sentence is not None:
            log.info("source %s: tried alone, for it is suspected of having crashed the agent", name)
        return None

    def advance(self, name: str, phase: Phase) -> None:
        """That source has come so far."""
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
            log.info("source %s: %.0f s of sound: no longer quarantined", name, PROVEN_S)

    def over(self, name: str) -> None:
        """That source's connection has ended in good order, or has not come about."""
        with self._lock:
            opened = {other: state for other, state in self._notes.opened.items() if other != name}
            self._notes = replace(self._notes, opened=opened)
            self._end_trial(name)
            self._write()

    # --- what follows is called under the lock ---

    def _hold(self, name: str, sentence: _Sentence, now_s: float) -> Hold | None:
        """How long a suspect is to wait; None: it is its turn."""
        self._asks_s[name] = now_s
        wait_s = (sentence.until - self._clock.utc()).total_seconds()
        if wait_s > 0:
            return Hold(sentence.until, wait_s, _detail(sentence.crashes))
        first = name not in self._asked_s
        since_s = self._asked_s.setdefault(name, now_s)
        others = [
            other
            for other, (phase, _) in self._notes.opened.items()
            if phase is not Phase.PROVEN and other not in self._sentences
        ]
        free = self._notes.trial in {None, name} and (not others or now_s - since_s > OTHERS_S)
        # all have their say before the first is admitted
        if not first and free and name == self._next(now_s):
            return None
        due = self._due.get(name)
        if due is None or due <= self._clock.utc():
            due = self._due[name] = self._clock.utc() + timedelta(seconds=PROVEN_S)
        return Hold(due, TURN_S, f"{_detail(sentence.crashes)}; suspects are tried one at a time, after all others")

    def _next(self, now_s: float) -> str:
        """Whose turn it is, of the suspects that are due and ask: the least suspected first."""
        asking = [name for name in self._asked_s if now_s - self._asks_s[name] < 4 * TURN_S and name in self._sentences]
        return min(asking, key=lambda name: (self._sentences[name].crashes, self._asked_s[name]))

    def _end_trial(self, name: str) -> None:
        if self._notes.trial == name:
            self._notes = replace(self._notes, trial=None)

    def _acquit(self, name: str) -> None:
        self._sentences.pop(name, None)
        self._store.set_setting(_KEY + name, None)

    def _restore(self, sources: Mapping[str, SourceConfig], now: datetime) -> None:
        """Take over sentences that earlier processes passed."""
        for key, text in self._store.settings().items():
            if not key.startswith(_KEY):
                continue
            name = key.removeprefix(_KEY)
            sentence = _read_sentence(text)
            if sentence is None or name not in sources or sentence.address != _digest(sources[name]):
                self._acquit(name)
                continue
            # a clock that was stepped back must not make it longer
            latest = now + timedelta(seconds=_delay_s(sentence.crashes))
            self._sentences[name] = replace(sentence, until=min(sentence.until, latest))

    def _sentence(self, death: CrashVerdict, sources: Mapping[str, SourceConfig], now: datetime) -> None:
        """Hold back whoever is suspected of that death."""
        suspects = [name for name in death.suspects if name in sources]
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
            log.error("source %s: the agent died while it was open (%s); it is quarantined: %s", name, death.how, held)

    def _write(self) -> None:
        """Write the notes where they have changed; where they are on a disk, not each try of a source that is away."""
        if self._runtime_dir is None:
            return
        notes = self._notes
        if not self._runtime_dir.in_memory and self._written is not None:
            left = {
                name: state for name, state in self._written.opened.items() if _goes_without_saying(notes, name, state)
            }
            trial = self._written.trial if notes.trial is None and self._written.trial in left else notes.trial
            notes = replace(notes, opened={**notes.opened, **left}, trial=trial)
        if notes == self._written:
            return
        try:
            write_notes(self._runtime_dir.file("opened"), notes)
        except OSError as error:
            log.warning("what is opened cannot be noted any more: %s", os.strerror(error.errno or 0))
            self._runtime_dir = None
        self._written = notes


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


def _goes_without_saying(notes: CrashNotes, name: str, written: tuple[Phase, int]) -> bool:
    """Whether what is written of a source may stay, though it is less far, or not open at all, by now."""
    now = notes.opened.get(name)
    return now is None or (now[0] is Phase.OPENING and written[0] is Phase.SOUNDING)


def _delay_s(crashes: int) -> float:
    return Backoff(FIRST_S, LAST_S, failures=crashes - 1).next_s() if crashes else 0.0


def _detail(crashes: int) -> str:
    if crashes == 0:
        return "the agent died while this and other sources were being opened"
    return (
        f"the agent died {crashes} times while this source was being opened"
        if crashes > 1
        else ("the agent died while this source was being opened")
    )


def _digest(config: SourceConfig) -> str:
    return hashlib.sha256(str(config.address).encode()).hexdigest()[:12]


def _read_sentence(text: str) -> _Sentence | None:
    try:
        values = json.loads(text)
        until = datetime.fromisoformat(values["until"])
        return _Sentence(str(values["address"]), min(max(int(values["crashes"]), 0), _MAX_CRASHES), until.astimezone())
    except (ValueError, KeyError, TypeError, OverflowError):
        return None
