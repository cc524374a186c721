"""`edgeaudio calibrate`: thresholds for a site, from sound in which nothing is to be reported.

Owns: the order of the work, and how the proposals are shown.
Does not know: how thresholds are found (recognise/calibration.py), how sources are opened.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isclose
from pathlib import Path
from uuid import UUID

from edgeaudio.api import load_model
from edgeaudio.capture.config import SourceConfig
from edgeaudio.capture.errors import SourceError
from edgeaudio.commands.interrupt import stopped_by_interrupt
from edgeaudio.commands.output_file import check_replaceable
from edgeaudio.commands.recognition import bindings_of, results
from edgeaudio.commands.source_argument import failure_line, find_source
from edgeaudio.commands.troubles import Troubles
from edgeaudio.console import clock_time, columns
from edgeaudio.errors import EdgeaudioError
from edgeaudio.new_files import new_file, writing
from edgeaudio.recognise.bundled_models import added_models, bundled_models, find_model
from edgeaudio.recognise.calibration import LEAST_S, Passage, Place, Proposal, SiteSound, Verdict
from edgeaudio.recognise.detector import Detector
from edgeaudio.recognise.pipeline import GATE_DBFS, ModelBinding, detector_of
from edgeaudio.settings import Settings, load_settings
from edgeaudio.terminal import print_error, print_out, width_of
from edgeaudio.toml_writer import Key, dumps
from edgeaudio.types import Scores
from edgeaudio.wiring import load_one_model, model_binding

MAX_ROWS = 50  # of a table; of models with more labels, those that matter
MAX_PASSAGES = 20
_DAY_S = 86_400
_NOTES = {
    Verdict.KEEP: "",
    Verdict.CHANGE: "",
    Verdict.WARNING: "warns of danger: --all raises it",
    Verdict.ALIKE: "scores here are as high as real ones: no threshold helps; 1.0 turns it off",
    Verdict.REAL: "sounds all the time: if it is not real, use --all",
}


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be found, and where it goes."""

    models: Sequence[str]
    source: str | None  # of the settings
    per_day: float  # false alarms of a label
    live_s: float  # how long a live source is heard
    every: bool  # no sound is a real one
    lower: bool  # thresholds may become lower
    out: Path | None  # a file; None: standard output
    overwrite: bool


def calibrate(targets: Sequence[str], path: Path | None, options: Sequence[str], request: Request) -> int:
    """Hear the recordings, and print the thresholds that are proposed; 2 if one broke off. Raises EdgeaudioError."""
    settings = load_settings(path, options)
    found = [find_source(target, settings) for target in targets]
    source = _source(settings, request.source, [name for _, name in found if name])
    _check_once([config.address.path for config, _ in found])
    if request.out is not None:
        _check_out(request.out, [config.address.path for config, _ in found], overwrite=request.overwrite)
    bindings = _bindings(settings, request.models, source)
    gate_dbfs = settings.sources[source].gate_dbfs if source else GATE_DBFS
    listener = _Listener(bindings, gate_dbfs, request.live_s)
    for config, _ in found:
        listener.hear(config if source is None else replace(config, channel=settings.sources[source].channel))
    if listener.heard_s < LEAST_S:
        raise EdgeaudioError(
            f"{_duration(listener.heard_s)} of sound say nothing of a day: record {LEAST_S / 60:g} minutes at least, "
            "better an hour or a night"
        )
    if all(sound.all_gated for sound in listener.sounds):
        raise EdgeaudioError(
            f"all {_duration(listener.heard_s)} are under the gate of {gate_dbfs:g} dBFS (gate_dbfs), where no model "
            "runs: see with `edgeaudio probe` whether the microphone hears anything"
        )
    _Report(listener, targets, request, source, _paths(settings, request.models, bindings)).print()
    return listener.troubles.status()


def _source(settings: Settings, wanted: str | None, heard: Sequence[str]) -> str | None:
    """Return the source whose thresholds are found; None: those of the models, for every source."""
    if wanted is not None and wanted not in settings.sources:
        names = ", ".join(settings.sources) or "none"
        raise EdgeaudioError(f"--source: no source of the settings has that name; there is {names}")
    if wanted is None and len(set(heard)) > 1:
        raise EdgeaudioError("several sources have thresholds of their own: calibrate them one by one")
    return wanted or next(iter(heard), None)


def _bindings(settings: Settings, names: Sequence[str], source: str | None) -> list[ModelBinding]:
    """Return the named models with the thresholds that the settings have for them; without names all of the settings.

    A threshold that a site has raised already would else be proposed lower. Raises EdgeaudioError.
    """
    if not names:
        return bindings_of(settings, (), source)
    models = [load_one_model(settings, name) if name in settings.models else load_model(name) for name in names]
    found = [model.manifest.name for model in models]
    if twice := next((name for name in found if found.count(name) > 1), None):
        raise EdgeaudioError(f"--model: two models are {twice}; name each once")
    return [model_binding(settings, model, source) for model in models]


def _paths(settings: Settings, names: Sequence[str], bindings: Sequence[ModelBinding]) -> dict[str, str]:
    """Return the directories of the named models that the settings do not find by the model's name."""
    own = {binding.model.manifest.name: name for binding, name in zip(bindings, names, strict=False)}
    known = bundled_models() | added_models()
    return {
        model: str(directory)
        for model, name in own.items()
        if model not in settings.models
        and (directory := find_model(name).resolve()) != (known[model].resolve() if model in known else None)
    }


def _check_once(recordings: Sequence[Path | None]) -> None:
    """Raise EdgeaudioError for a recording that is named twice: an hour would count as two."""
    seen: set[str] = set()
    for recording in recordings:
        if recording is not None:
            real = os.path.realpath(recording)
            if real in seen:
                raise EdgeaudioError(f"{recording}: is named twice, and would count twice; name each recording once")
            seen.add(real)


def _check_out(out: Path, recordings: Sequence[Path | None], *, overwrite: bool) -> None:
    """Raise EdgeaudioError for a file that cannot be written, before an hour is heard."""
    with writing(out):
        if out.is_dir():
            raise EdgeaudioError(f"{out} is a directory; name a file with -o")
        for recording in recordings:
            is_there = recording is not None and recording.exists()
            check_replaceable(out, recording if is_there else None, overwrite=overwrite)


class _Listener:
    """What the models hear in the recordings."""

    def __init__(self, bindings: Sequence[ModelBinding], gate_dbfs: float, live_s: float) -> None:
        # what a running agent has raised is no threshold of the settings
        self.bindings = [replace(binding, adapt=False) for binding in bindings]
        self._gate_dbfs = gate_dbfs
        self._live_s = live_s
        self.troubles = Troubles()
        self.sounds = [
            SiteSound(list(detector_of(binding, UUID(int=0)).thresholds()), binding.effective_period_s)
            for binding in self.bindings
        ]

    @property
    def heard_s(self) -> float:
        return max(sound.heard_s for sound in self.sounds)

    def hear(self, config: SourceConfig) -> None:
        """Hear one recording, or a live source for a while.

        What is heard until it breaks off counts: after a night the connection to a camera may be gone. Raises
        EdgeaudioError if that is nothing.
        """
        before_s = self.heard_s
        detectors = [detector_of(binding, UUID(int=0)) for binding in self.bindings]
        models = [binding.model.manifest.name for binding in self.bindings]
        for sound in self.sounds:
            sound.begin_recording()
        epoch = 0
        try:
            with stopped_by_interrupt() as stop:
                for result, _ in results(
                    config,
                    stop,
                    self.bindings,
                    self._gate_dbfs,
                    live_s=self._live_s,
                    scores_only=True,
                    table_grows=False,
                ):
                    if not isinstance(result, Scores):
                        continue
                    if result.epoch != epoch:
                        self._end(detectors)
                        epoch = result.epoch
                    index = models.index(result.model)
                    detector = detectors[index]
                    events = detector.feed(result)
                    self.sounds[index].feed(result, detector.reached(), events)
        except SourceError as error:
            heard_s = self.heard_s - before_s
            if heard_s <= 0:
                raise EdgeaudioError(failure_line(error)) from None
            self.troubles.say(f"{failure_line(error)}; the {_duration(heard_s)} before that count")
        self._end(detectors)

    def _end(self, detectors: Sequence[Detector]) -> None:
        for sound, detector in zip(self.sounds, detectors, strict=True):
            sound.take_events(detector.end())


class _Report:
    """The proposals as a table, and as settings."""

    def __init__(
        self,
        listener: _Listener,
        names: Sequence[str],
        request: Request,
        source: str | None,
        paths: Mapping[str, str],
    ) -> None:
        """`paths`: directories of models that the settings have to name."""
        self._listener = listener
        self._paths = paths
        self._names = names
        self._request = request
        self._source = source
        self._proposals = [
            [
                sound.propose(
                    label,
                    threshold,
                    request.per_day,
                    every=request.every,
                    lower=request.lower,
                    warns=label in binding.model.manifest.warnings,
                )
                for label, threshold in detector_of(binding, UUID(int=0)).thresholds().items()
            ]
            for binding, sound in zip(listener.bindings, listener.sounds, strict=True)
        ]

    def print(self) -> None:
        """Print the tables, what may be real, and the settings, or write these to the file. Raises EdgeaudioError."""
        for line in self._lines():
            print_out(line)
        table = self._table()
        if not table:
            do = all(each.verdict is Verdict.KEEP for proposals in self._proposals for each in proposals)
            print_out(
                "\n" + ("the thresholds do: nothing is proposed" if do else "nothing is proposed; see the notes above")
            )
            return
        text = dumps(table, self._comment)
        if self._request.out is None:
            print_out(f"\n# put these in place of those tables in the settings file\n{text}", end="")
            return
        try:
            with new_file(self._request.out, overwrite=self._request.overwrite) as file:
                file.write(text.encode())
        except EdgeaudioError:
            print_out(f"\n{text}", end="")  # an hour was heard for it
            raise
        print_error(f"edgeaudio: {self._request.out} written: put its tables in place of those in the settings file")

    def _lines(self) -> Iterator[str]:
        heard_s, per_day = self._listener.heard_s, self._request.per_day
        allowed = per_day * heard_s / _DAY_S
        beyond = "" if allowed >= 1 else f"; beyond {_duration(heard_s)} that is an estimate"
        yield f"{_duration(heard_s)} of sound; at most {per_day:g} false alarms of a label a day{beyond}"
        for binding, proposals in zip(self._listener.bindings, self._proposals, strict=True):
            yield ""
            rows = [self._row(each) for each in proposals if len(proposals) <= MAX_ROWS or _matters(each)]
            head = [binding.model.manifest.name, "threshold", "highest", "alarms", "proposed", "where it is highest"]
            yield from columns([head, *rows], ["<", ">", ">", ">", ">", "<"], width=width_of(sys.stdout))
            if len(rows) < len(proposals):
                yield f"{len(proposals) - len(rows)} other labels stay under half of their thresholds"
        passages = [] if self._request.every else self._real()
        if passages:
            yield ""
            yield "left out, for they may be real: listen to them, and use --all if they are not"
            yield from columns([self._passage(each) for each in passages[:MAX_PASSAGES]], ["<", ">", ">", "<"])
            if len(passages) > MAX_PASSAGES:
                yield f"and {len(passages) - MAX_PASSAGES} more"

    def _row(self, proposal: Proposal) -> list[str]:
        where = [] if proposal.place is None else [self._where(proposal.place)]
        note = _NOTES[proposal.verdict]
        return [
            proposal.label,
            f"{proposal.chosen.on:.2f}",
            f"{proposal.highest:.2f}",
            str(proposal.alarms),
            f"{proposal.on:.2f}" if proposal.verdict is Verdict.CHANGE else "",
            "; ".join([*where, *filter(None, [note])]),
        ]

    def _passage(self, passage: Passage) -> list[str]:
        return [passage.label, f"{passage.score:.2f}", _duration(passage.duration_s), self._where(passage.begins)]

    def _where(self, place: Place) -> str:
        at = clock_time(place.offset_s)
        return at if len(self._names) == 1 else f"{Path(self._names[place.recording]).name} {at}"

    def _real(self) -> list[Passage]:
        found = [passage for sound in self._listener.sounds for passage in sound.may_be_real()]
        return sorted(found, key=lambda each: (each.label, each.begins.recording, each.begins.offset_s))

    def _table(self) -> dict[str, object]:
        """Return the settings with the proposed thresholds."""
        heard = list(zip(self._listener.bindings, self._proposals, strict=True))
        if self._source is not None:
            chosen: dict[str, dict[str, float]] = {}
            changed = {each.label for _, model in heard for each in model if each.verdict is Verdict.CHANGE}
            for binding, each in ((binding, each) for binding, model in heard for each in model):
                if each.label in changed:
                    # the setting is of all models that have this label
                    found = [_threshold(binding, each), *filter(None, [chosen.get(each.label)])]
                    chosen[each.label] = max(found, key=lambda pair: pair["on"])
            return {"sources": {self._source: {"thresholds": chosen}}} if chosen else {}
        models = {
            binding.model.manifest.name: {
                each.label: _threshold(binding, each) for each in proposals if each.verdict is Verdict.CHANGE
            }
            for binding, proposals in heard
        }
        tables = {
            name: ({"path": self._paths[name]} if name in self._paths else {}) | {"thresholds": thresholds}
            for name, thresholds in models.items()
            if thresholds
        }
        return {"models": tables} if tables else {}

    def _comment(self, key: Key) -> str:
        # `models.NAME.thresholds.LABEL.on`, or of a source, and so of all models that have the label
        if key[-1] != "on":
            return ""  # a model's path, or `off`
        chosen = min(
            each.chosen.on
            for binding, proposals in zip(self._listener.bindings, self._proposals, strict=True)
            for each in proposals
            if each.label == key[-2] and (key[0] == "sources" or binding.model.manifest.name == key[1])
        )
        return f"was {chosen:g}"


def _threshold(binding: ModelBinding, proposal: Proposal) -> dict[str, float]:
    """Return a proposed threshold; with `off` where the settings have another one than the model's proportion."""
    on = proposal.on
    off, own = proposal.chosen.moved(on).off, binding.model.manifest.threshold(proposal.label).moved(on).off
    return {"on": on} if isclose(off, own, abs_tol=0.005) else {"on": on, "off": round(off, 2)}


def _matters(proposal: Proposal) -> bool:
    return proposal.verdict is not Verdict.KEEP or proposal.alarms > 0 or proposal.highest >= proposal.chosen.on / 2


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min"
