"""`edgeaudio score`: scores of each clip of a recording or a stream, or the events that an agent would report.

Owns: what is shown of scores and events. The pipeline is the agent's own, with the time of the medium.
Does not know: how sources are opened, how events are found.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import isnan
from pathlib import Path

from edgeaudio.capture.errors import SourceError
from edgeaudio.commands.interrupt import stopped_by_interrupt
from edgeaudio.commands.recognition import MEDIA_START, bindings_of, results
from edgeaudio.commands.source_argument import failure_line, find_source
from edgeaudio.commands.time_order import TimeOrder
from edgeaudio.console import cell_width, clock_time, fold, pad
from edgeaudio.errors import EdgeaudioError
from edgeaudio.predictions import labels_by_model
from edgeaudio.recognise.pipeline import GATE_DBFS, ModelBinding, Result
from edgeaudio.settings import load_settings
from edgeaudio.terminal import one_line, print_error, print_out, width_of
from edgeaudio.types import Event, Scores


@dataclass(frozen=True, slots=True)
class Style:
    """Format of the output."""

    top: int = 3
    events: bool = False
    as_json: bool = False


def score(target: str, path: Path | None, options: Sequence[str], style: Style, *, models: Sequence[str]) -> int:
    """Print the scores or events of a source. Raises EdgeaudioError, after the results before the failure."""
    settings = load_settings(path, options)
    config, name = find_source(target, settings)
    bindings = bindings_of(settings, models, name)
    gate_dbfs = settings.sources[name].gate_dbfs if name else GATE_DBFS
    printer = _Printer(bindings, style)
    failure = None
    try:
        with stopped_by_interrupt() as stop:
            for result, recorded in results(config, stop, bindings, gate_dbfs):
                printer.take(result, recorded=recorded)
    except SourceError as error:
        failure = error  # the results before it are printed first
    printer.finish(gate_dbfs, failed=failure is not None)
    if failure:
        raise EdgeaudioError(failure_line(failure))
    return 0


class _Printer:
    """Prints results in order of time, and a note on the whole at the end."""

    def __init__(self, bindings: Sequence[ModelBinding], style: Style) -> None:
        self._labels = labels_by_model(binding.model for binding in bindings)
        self._stateful = {each.model.manifest.name for each in bindings if each.model.manifest.input.stateful}
        self._reported = {binding.model.manifest.name: binding.labels for binding in bindings}
        self._style = style
        self._recorded = True
        self._width = max(cell_width(one_line(label)) for labels in self._labels.values() for label in labels)
        self._name_width = max(map(cell_width, self._labels))
        self._in_order = TimeOrder(bindings, events=style.events)
        self._clips = self._quiet = self._onsets = 0

    def take(self, result: Result, *, recorded: bool) -> None:
        """Print what is in order of time so far; times of a recording count from its beginning."""
        self._recorded = recorded
        if isinstance(result, Scores):
            self._clips += 1
            self._quiet += result.values is None
            if not self._style.events:
                self._in_order.hold(result)
            for ready in self._in_order.heard(result):
                self._print(ready)
        elif isinstance(result, Event):
            self._onsets += result.kind == "onset"
            if self._style.events and recorded:
                self._in_order.hold(result)
            elif self._style.events:  # live: at once, even if out of order
                self._print_event(result)

    def finish(self, gate_dbfs: float, *, failed: bool) -> None:
        """Print the rest, and a note if nothing was scored or detected."""
        for result in self._in_order.rest():
            self._print(result)
        if self._clips == 0:
            if not failed:
                _note("too short for a single clip: nothing was scored")
        elif self._quiet == self._clips:
            _note(f"every clip is under {gate_dbfs:g} dBFS: nothing but silence")
        elif self._style.events and self._onsets == 0:
            _note("no events")

    def _print(self, result: Scores | Event) -> None:
        if isinstance(result, Scores):
            self._print_scores(result)
        else:
            self._print_event(result)

    def _print_scores(self, scores: Scores) -> None:
        best = self._best(scores)
        if self._style.as_json:
            _print_json(
                self._time(scores.at)
                | {
                    "duration_s": scores.duration_s,
                    "model": scores.model,
                    "rms_dbfs": None if scores.rms_dbfs is None else round(scores.rms_dbfs, 1),
                    "silence": scores.values is None,
                    "scores": {label: round(value, 4) for label, value in best},
                }
                | self._members(scores, [label for label, _ in best])
            )
            return
        level = "silence" if scores.rms_dbfs is None else f"{scores.rms_dbfs:.1f} dBFS"
        cells = [f"{self._label(label)} {value:.3f}" for label, value in best] or ["(under the gate)"]
        # a stateful model's clips all but overlap, and the first begin together: their ends tell them apart
        at = scores.at + timedelta(seconds=scores.duration_s) if scores.model in self._stateful else scores.at
        self._row([self._clock(at), *self._model(scores.model), f"{level:>11}"], cells)

    def _print_event(self, event: Event) -> None:
        if self._style.as_json:
            _print_json(
                self._time(event.at)
                | {
                    "id": event.id,
                    "kind": event.kind,
                    "label": event.label,
                    "score": round(event.score, 4),
                    "at_error_s": None if event.at_error_s is None else round(event.at_error_s, 3),
                    "duration_s": round(event.duration_s, 3),
                    "model": event.model,
                }
                | ({"members": {name: round(score, 4) for name, score in event.members}} if event.members else {})
            )
            return
        lasted = f"after {event.duration_s:.1f} s" if event.kind == "offset" else ""
        cells = [f"{event.kind:<6}", self._label(event.label), f"{event.score:.3f}", lasted]
        self._row([self._clock(event.at), *self._model(event.model)], cells)

    def _best(self, scores: Scores) -> list[tuple[str, float]]:
        if scores.values is None:
            return []
        wanted = self._reported[scores.model]
        pairs = zip(self._labels[scores.model], map(float, scores.values), strict=True)
        chosen = [pair for pair in pairs if not wanted or pair[0] in wanted]
        return sorted(chosen, key=lambda pair: -pair[1])[: self._style.top]

    def _members(self, scores: Scores, labels: Sequence[str]) -> dict[str, object]:
        """Return the scores of a fused model's members for those labels that they have; of another model nothing."""
        if not scores.members:
            return {}
        at = {label: self._labels[scores.model].index(label) for label in labels}
        return {
            "members": {
                name: {label: round(float(values[i]), 4) for label, i in at.items() if not isnan(values[i])}
                for name, values in scores.members
            }
        }

    def _model(self, name: str) -> list[str]:
        return [pad(name, self._name_width)] if len(self._labels) > 1 else []

    def _label(self, label: str) -> str:
        return pad(one_line(label), self._width)

    def _time(self, at: datetime) -> dict[str, object]:
        if self._recorded:
            return {"offset_s": round((at - MEDIA_START).total_seconds(), 3)}
        return {"at": at.isoformat(timespec="milliseconds").replace("+00:00", "Z")}

    def _clock(self, at: datetime) -> str:
        if self._recorded:
            return f"{clock_time((at - MEDIA_START).total_seconds()):>10}"
        return f"{at:%H:%M:%S}.{at.microsecond // 10_000:02d}"

    def _row(self, head: Sequence[str], cells: Sequence[str]) -> None:
        indent = sum(cell_width(cell) + 2 for cell in head)
        width = width_of(sys.stdout)
        first, *more = fold(cells, None if width is None else width - indent, "  ")
        print_out("  ".join([*head, first]).rstrip(), flush=True)
        for rest in more:
            print_out(" " * indent + rest.rstrip(), flush=True)


def _print_json(values: Mapping[str, object]) -> None:
    print_out(json.dumps(values, ensure_ascii=False), flush=True)


def _note(text: str) -> None:
    print_error(f"edgeaudio: {text}")
