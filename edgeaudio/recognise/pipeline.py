"""Recognition of one source: Blocks in; Levels, Scores and Events out.

Owns: the order of the steps, and the conversion of sample positions into times.
Does not know: where Blocks come from, where results go, threads, clocks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from heapq import merge
from itertools import chain, tee
from math import ceil
from sys import maxsize
from typing import Protocol, cast, runtime_checkable
from uuid import UUID

import numpy as np

from edgeaudio.recognise.adaptation import Raised
from edgeaudio.recognise.channels import Mixer, power
from edgeaudio.recognise.clips import Clip, ClipConfig, ClipCutter
from edgeaudio.recognise.detector import Detector, DetectorConfig
from edgeaudio.recognise.fusion import Combined
from edgeaudio.recognise.level import LevelMeter, Reading
from edgeaudio.recognise.manifest import Manifest, Threshold
from edgeaudio.recognise.resample import Resampler
from edgeaudio.recognise.steps import StepConfig, StepCutter
from edgeaudio.types import Block, Channel, ChannelLevel, Event, Level, ModelInfo, Samples, Scores

Result = Level | Scores | Event

GATE_DBFS = -60.0
AUDIBLE_DB = 20.0  # a channel this much below the loudest does not count in their mean
ANCHOR_TOLERANCE_S = 0.001
MAX_ANCHORS = 64  # far more than one clip needs


class ClipScorer(Protocol):
    """Scores of one clip, or of the next step of a stateful model."""

    def scores(self, values: Samples) -> Samples: ...


class Scorer(Protocol):
    """A model as the pipeline uses it: also a `ClipScorer`, or a `FusedScorer`."""

    @property
    def manifest(self) -> Manifest: ...


@runtime_checkable
class StatefulScorer(Scorer, Protocol):
    """A model that can be stateful, if its manifest says so."""

    def stream(self) -> ClipScorer:
        """Return a stateful model in its initial state, for one source's sound without a hole."""


class FusedClipScorer(Protocol):
    """The scores of a fused model on one source's sound without a hole; moments are in its samples."""

    def hear(self, member: int, values: Samples | None, stands: tuple[Fraction, Fraction], *, counts: bool) -> None:
        """Score a member's next clip; `stands`: from when and up to when the score stands."""

    def combined(self, clip: tuple[Fraction, Fraction]) -> Combined:
        """Return the combination of the members' scores that count at the end of a clip, from its beginning to it."""

    def forget(self, clip: tuple[Fraction, Fraction]) -> None:
        """Forget what counts neither for a clip, which is not combined, nor for later ones."""


@runtime_checkable
class FusedScorer(Scorer, Protocol):
    """A model that combines the scores of others."""

    @property
    def members(self) -> Sequence[Scorer]: ...

    def fused_stream(self) -> FusedClipScorer:
        """Return the model in its initial state, for one source's sound without a hole."""


@dataclass(frozen=True)
class ModelBinding:
    """A model, and how one source uses it. An empty field means the manifest's value."""

    model: Scorer
    period_s: float = 0.0
    labels: frozenset[str] = frozenset()  # reported; empty: all
    thresholds: Mapping[str, Threshold] | None = None
    adapt: bool = False  # whether thresholds rise while a sound goes on for hours (adaptation.py)

    @property
    def effective_period_s(self) -> float:
        manifest = self.model.manifest
        return manifest.period_s if manifest.input.stateful else self.period_s or manifest.period_s


class SourcePipeline:
    """All models of one source. Blocks are fed in order; `end` is called when an epoch ends."""

    def __init__(
        self,
        source: str,
        bindings: Sequence[ModelBinding],
        *,
        namespace: UUID,
        gate_dbfs: float = GATE_DBFS,
        channel: Channel = "auto",
        scores_only: bool = False,
    ) -> None:
        """`scores_only`: no Levels, no Events; loudness is measured where the choice of a channel needs it."""
        self._source = source
        self._scores_only = scores_only
        self._gate_dbfs = gate_dbfs
        self._bindings = bindings
        self._channel = channel
        self._mixer = Mixer(channel)
        self._namespace = namespace
        self._detectors = [detector_of(binding, namespace) for binding in bindings]
        models = {binding.model.manifest.name: binding.model.manifest.reported for binding in bindings}
        self._infos = [_info(*each, models) for each in zip(bindings, self._detectors, strict=True)]
        self._epoch: _Epoch | None = None

    def renewed(self) -> SourcePipeline:
        """Return a pipeline in its initial state, with the thresholds in force here."""
        fresh = SourcePipeline(
            self._source,
            self._bindings,
            namespace=self._namespace,
            gate_dbfs=self._gate_dbfs,
            channel=self._channel,
            scores_only=self._scores_only,
        )
        fresh._detectors = [detector.renewed() for detector in self._detectors]
        return fresh

    def feed(self, block: Block) -> Iterator[Result]:
        """Yield the results that a block completes, as they become known."""
        if self._epoch and (
            block.epoch != self._epoch.number
            or block.offset != self._epoch.received
            or block.sample_rate != self._epoch.sample_rate
            or block.n_channels != self._epoch.n_channels
        ):
            yield from self.end()
        if self._epoch is None:
            metered = not self._scores_only or (self._channel == "auto" and block.n_channels > 1)
            self._epoch = _Epoch(
                block, self._source, self._bindings, self._infos, self._gate_dbfs, self._mixer, metered=metered
            )
        for result in self._epoch.feed(block):
            yield from self._detected(result)

    def flush(self) -> Iterator[Result]:
        """Yield the results of a recording's last samples, then end the epoch."""
        if self._epoch:
            for result in self._epoch.flush():
                yield from self._detected(result)
        yield from self.end()

    def end(self) -> Iterator[Event]:
        """End the epoch, and yield the offsets of its events; later blocks are not joined to it."""
        self._epoch = None
        for detector in self._detectors:
            yield from detector.end()

    def active(self) -> list[Event]:
        """Return the onsets of the events that have not ended."""
        return [event for detector in self._detectors for event in detector.active]

    @property
    def has_members(self) -> bool:
        """True if one of the models is fused."""
        return any(isinstance(binding.model, FusedScorer) for binding in self._bindings)

    def thresholds(self) -> dict[str, dict[str, Threshold]]:
        """Return the thresholds that settings and commands chose, by model and label."""
        return {
            binding.model.manifest.name: detector.thresholds()
            for binding, detector in zip(self._bindings, self._detectors, strict=True)
        }

    def set_threshold(self, label: str, on: float) -> None:
        """Change the on threshold of a label, in every model that reports it."""
        for detector in self._detectors:
            if label in detector.thresholds():
                detector.set_threshold(label, on)

    def raised(self) -> dict[str, Raised]:
        """Return the thresholds that have risen, by label; of several models the highest. Safe for any thread."""
        found = [each for detector in self._detectors for each in detector.raised().items()]
        return dict(sorted(found, key=lambda each: each[1].threshold.on))

    def withdraw_raised(self, label: str) -> None:
        """Have the chosen threshold of a label in force again, in every model that reports it."""
        for detector in self._detectors:
            detector.withdraw_raised(label)

    def replace_thresholds(self, bindings: Sequence[ModelBinding]) -> None:
        """Apply thresholds, and whether they rise, of bindings that are otherwise the same, in the same order."""
        for detector, binding in zip(self._detectors, bindings, strict=True):
            detector.replace_thresholds(_thresholds(binding), _adapted(binding))

    def _detected(self, result: Level | tuple[int, Scores]) -> Iterator[Result]:
        if isinstance(result, Level):
            if not self._scores_only:
                yield result
            return
        index, scores = result
        yield scores
        if not self._scores_only:
            yield from self._detectors[index].feed(scores)


@dataclass(frozen=True, slots=True)
class _Part:
    """Clips of one kind, and what they are for."""

    index: int  # of the model
    config: ClipConfig | StepConfig
    member: int | None = None  # of a fused model, which hears them; None: the model itself
    is_fused: bool = False  # the model combines at their ends what its members heard


def _parts_of(index: int, binding: ModelBinding) -> list[_Part]:
    """Return the parts of a model: those of its members, then its own."""
    model, config = binding.model, _cutter_config(binding)
    if not isinstance(model, FusedScorer):
        return [_Part(index, config)]
    members = [
        _Part(index, _cutter_config(ModelBinding(member)), number) for number, member in enumerate(model.members)
    ]
    return [*members, _Part(index, config, is_fused=True)]


class _Epoch:
    """State of one epoch: from its Blocks to Levels and Scores."""

    def __init__(
        self,
        block: Block,
        source: str,
        bindings: Sequence[ModelBinding],
        infos: Sequence[ModelInfo],
        gate_dbfs: float,
        mixer: Mixer,
        *,
        metered: bool,
    ) -> None:
        self.number = block.epoch
        self.sample_rate = block.sample_rate
        self.n_channels = block.n_channels
        self.received = block.offset
        self._first = block.offset
        self._source = source
        self._bindings = bindings
        self._infos = infos
        self._clock = _SampleClock(block.sample_rate)
        self._mixer = mixer
        self._metered = metered
        self._meter = LevelMeter(block.sample_rate, self.n_channels)
        # several channels cannot be judged before the first reading with sound: until then whole intervals are mixed
        self._undecided = metered and self.n_channels > 1 and mixer.heard == "mix"
        self._parts = [part for index, binding in enumerate(bindings) for part in _parts_of(index, binding)]
        rates = dict.fromkeys(part.config.sample_rate for part in self._parts)
        self._resamplers = {rate: Resampler(block.sample_rate, rate) for rate in rates}
        # the steps of several wake words are the same, and the clips of a fused model those of its longest member:
        # they are computed once
        configs = list(dict.fromkeys(part.config for part in self._parts))
        self._cutters = [
            StepCutter(config, gate_dbfs) if isinstance(config, StepConfig) else ClipCutter(config, gate_dbfs)
            for config in configs
        ]
        self._cutter_rates = [config.sample_rate for config in configs]
        self._cutter_of = [configs.index(part.config) for part in self._parts]
        # the memory of a stateful model, and the last scores of a fused one's members, are of this epoch alone
        self._scorers: dict[int, ClipScorer] = {}
        self._fused: dict[int, FusedClipScorer] = {}
        for index, binding in enumerate(bindings):
            if isinstance(binding.model, FusedScorer):
                self._fused[index] = binding.model.fused_stream()
            else:
                self._scorers[index] = stream_of(binding.model)
        self._waiting: dict[int, deque[tuple[int, Clip]]] = {index: deque() for index in self._fused}
        self._fused_rates = {
            index: {part.config.sample_rate for part in self._parts if part.index == index} for index in self._fused
        }
        self._recognised = 0  # samples of the epoch

    def feed(self, block: Block) -> Iterator[Level | tuple[int, Scores]]:
        self._clock.note(block.offset - self._first, block.at)
        self.received += len(block.samples)
        samples = block.samples
        if not self._metered:
            yield from self._recognise(samples)
            return
        # split where readings end, for the choice of channel holds from there on
        while len(samples):
            piece, samples = np.split(samples, [self._meter.missing])
            readings = list(self._meter.feed(piece))
            if not self._undecided:
                yield from self._recognise(piece)
            for reading in readings:
                self._mixer.judge(reading.samples, reading.powers)
                yield self._level(reading)  # before scores of what is mixed as it says
                if self._undecided:
                    self._undecided = not self._mixer.judged
                    yield from self._recognise(reading.samples)

    def flush(self) -> Iterator[tuple[int, Scores]]:
        if self._undecided:
            held = self._meter.held()
            self._mixer.judge(held, [power(held[:, channel]) for channel in range(self.n_channels)])
            yield from self._recognise(held)
        yield from self._score({rate: resampler.flush() for rate, resampler in self._resamplers.items()}, over=True)

    def _recognise(self, samples: Samples) -> Iterator[tuple[int, Scores]]:
        signal = self._mixer.mix(samples)
        self._recognised += len(signal)
        yield from self._score({rate: resampler.feed(signal) for rate, resampler in self._resamplers.items()})

    def _score(self, signals: Mapping[int, Samples], *, over: bool = False) -> Iterator[tuple[int, Scores]]:
        """Yield model index and scores of each clip that `signals`, by sample rate, complete."""
        cut = [
            iter(tee(_cut(cutter, signals[rate], over=over), self._cutter_of.count(number)))
            for number, (cutter, rate) in enumerate(zip(self._cutters, self._cutter_rates, strict=True))
        ]
        # in the order in which single samples would complete the clips, across models; members before their combination
        found = [
            self._combinable(part, next(cut[number]), over=over)
            if part.is_fused
            else self._complete(part, next(cut[number]))
            for part, number in zip(self._parts, self._cutter_of, strict=True)
        ]
        for _, part, clip in merge(*found, key=lambda each: each[0]):
            if part.member is None:
                yield part.index, self._scores(part, clip)
            else:
                config, stop = part.config, clip.stop
                per_output = self._resamplers[config.sample_rate].input_per_output
                # from its last sample on: of two rates the ends of the same sound differ by less than a sample
                stands = ((stop - 1) * per_output, (stop + config.n_samples) * per_output)
                self._fused[part.index].hear(part.member, clip.values, stands, counts=not clip.is_quiet)

    def _complete(self, part: _Part, clips: Iterable[Clip]) -> Iterator[tuple[int, _Part, Clip]]:
        """Yield clips, each with the samples of the epoch after which it is complete."""
        resampler = self._resamplers[part.config.sample_rate]
        for clip in clips:
            yield resampler.input_for(clip.stop), part, clip

    def _combinable(self, part: _Part, clips: Iterable[Clip], *, over: bool) -> Iterator[tuple[int, _Part, Clip]]:
        """Yield clips of a fused model, each with the samples after which its members' clips to its end are complete.

        Resamplers to different rates are behind by different times: clips wait for the slowest.
        """
        waiting, own = self._waiting[part.index], self._resamplers[part.config.sample_rate].input_per_output
        resamplers = [self._resamplers[rate] for rate in self._fused_rates[part.index]]
        for clip in chain([None], clips):
            if clip is not None:
                at = clip.stop * own
                waiting.append((max(each.input_for(ceil(at / each.input_per_output)) for each in resamplers), clip))
            while waiting and (over or waiting[0][0] <= self._recognised):
                ready, complete = waiting.popleft()
                yield ready if ready <= self._recognised else maxsize, part, complete

    def _scores(self, part: _Part, clip: Clip) -> Scores:
        manifest = self._bindings[part.index].model.manifest
        sample_rate = manifest.clip.sample_rate
        input_per_output = self._resamplers[sample_rate].input_per_output
        position = clip.start * input_per_output
        values: Samples | None = None
        members: tuple[tuple[str, Samples], ...] = ()
        if part.is_fused:
            stream, span = self._fused[part.index], (position, clip.stop * input_per_output)
            if clip.is_quiet:
                stream.forget(span)
            else:
                combined = stream.combined(span)
                values, members = combined.values, combined.members
        elif clip.values is not None:
            values = self._scorers[part.index].scores(clip.values)
        return Scores(
            source=self._source,
            model=manifest.name,
            at=self._clock.at(float(position)),
            offset_s=(self._first + float(position)) / self.sample_rate,
            duration_s=(clip.stop - clip.start) / sample_rate,
            rms_dbfs=clip.rms_dbfs,
            values=None if clip.is_quiet else values,
            powers=clip.powers,
            epoch=self.number,
            info=self._infos[part.index],
            members=members,
        )

    def _level(self, reading: Reading) -> Level:
        number = self._mixer.heard
        # if the mean is recognised, every channel shows the state of the microphones
        heard = (
            reading.channels if number == "mix" else reading.channels[int(number) - 1 :][:1] or reading.channels[-1:]
        )
        levels = [each.rms_dbfs for each in heard if each.rms_dbfs is not None]
        return Level(
            source=self._source,
            at=self._clock.at(reading.start),
            duration_s=self._meter.n_samples / self.sample_rate,
            rms_dbfs=max(levels, default=None),
            peak_dbfs=max((each.peak_dbfs for each in heard if each.peak_dbfs is not None), default=None),
            clipped_ratio=max(each.clipped_ratio for each in heard),
            hum_ratio=max((each.hum_ratio for each in heard if _counts(each, levels)), default=0.0),
            channels=reading.channels if self.n_channels > 1 else (),
            heard=self._mixer.heard,
            cancels=self._mixer.cancels,
        )


def _counts(level: ChannelLevel, levels: Sequence[float]) -> bool:
    """True if a channel is loud enough, beside the others, to be audible in their mean."""
    return level.rms_dbfs is not None and level.rms_dbfs >= max(levels) - AUDIBLE_DB


class _SampleClock:
    """UTC of each sample of an epoch, from the times of its Blocks."""

    def __init__(self, sample_rate: int) -> None:
        self._sample_rate = sample_rate
        self._anchors: deque[tuple[int, datetime]] = deque(maxlen=MAX_ANCHORS)

    def note(self, offset: int, at: datetime) -> None:
        # an anchor is added only if a Block's time leaves the straight line
        if not self._anchors or abs((at - self.at(offset)).total_seconds()) > ANCHOR_TOLERANCE_S:
            self._anchors.append((offset, at))

    def at(self, offset: float) -> datetime:
        before = (anchor for anchor in reversed(self._anchors) if anchor[0] <= offset)
        first, at = next(before, self._anchors[0])
        return at + timedelta(seconds=(offset - first) / self._sample_rate)


def stream_of(model: Scorer) -> ClipScorer:
    """Return what scores one source's sound without a hole: a stateful model anew, any other as it is."""
    if model.manifest.input.stateful and isinstance(model, StatefulScorer):
        return model.stream()
    return cast("ClipScorer", model)  # a model that is not fused


def _cutter_config(binding: ModelBinding) -> ClipConfig | StepConfig:
    manifest, clip = binding.model.manifest, binding.model.manifest.clip
    if isinstance(binding.model, FusedScorer):
        bare = ClipConfig(clip.sample_rate, clip.n_samples, binding.effective_period_s, None, bare=True)
        members = (_cutter_config(ModelBinding(member)) for member in binding.model.members)
        return next((each for each in members if isinstance(each, ClipConfig) and each.same_clips(bare)), bare)
    if not manifest.input.stateful:
        return ClipConfig(clip.sample_rate, clip.n_samples, binding.effective_period_s, manifest.features)
    step, hop, span = manifest.input.step, manifest.step_samples, manifest.step_span
    return StepConfig(clip.sample_rate, clip.n_samples, step, hop, span, manifest.features)


def _cut(cutter: ClipCutter | StepCutter, signal: Samples, *, over: bool) -> Iterator[Clip]:
    yield from cutter.feed(signal)
    if over:
        yield from cutter.flush()


def detector_of(binding: ModelBinding, namespace: UUID) -> Detector:
    """Return what finds the events in one model's scores of one source."""
    manifest = binding.model.manifest
    config = DetectorConfig(
        manifest.reported, manifest.detector, _thresholds(binding), binding.effective_period_s, binding.labels,
        frozenset(manifest.groups), _adapted(binding),
    )  # fmt: skip
    return Detector(config, namespace)


def _adapted(binding: ModelBinding) -> frozenset[str]:
    manifest = binding.model.manifest
    return frozenset(manifest.reported) - manifest.warnings if binding.adapt else frozenset()


def _info(binding: ModelBinding, detector: Detector, models: Mapping[str, tuple[str, ...]]) -> ModelInfo:
    manifest = binding.model.manifest
    clip_s = manifest.clip.n_samples / manifest.clip.sample_rate
    return ModelInfo(
        manifest.reported,
        manifest.sha256,
        detector.onset_delay_s(clip_s),
        detector.offset_delay_s(clip_s),
        _cutter_config(binding).longest_step_s,
        models,
    )


def _thresholds(binding: ModelBinding) -> dict[str, Threshold]:
    manifest = binding.model.manifest
    return {label: manifest.threshold(label) for label in manifest.reported} | dict(binding.thresholds or {})
