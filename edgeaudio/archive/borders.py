"""Sound on both sides of the border of two recordings that follow each other without a gap.

Owns: how much of a neighbour a recording is listened to with, and which clips are whose. A clip belongs to the
recording in which it begins, and its grid is that of the recording: the clips at the end of one are therefore the same,
whether they are scored for it or ahead of the one after it.
Does not know: events.

A recording's own clips go on into the head of the one after it. Before the first of them come those at the end of the
one before it, so that its detector is in the state in which the other one's ended.
"""

from __future__ import annotations

import errno
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from fractions import Fraction
from math import ceil, lcm
from pathlib import Path

from edgeaudio.archive.blocks import long_blocks
from edgeaudio.archive.endings import ending
from edgeaudio.archive.lengths import Length, Neighbour
from edgeaudio.capture.config import SourceConfig
from edgeaudio.capture.connection import open_source
from edgeaudio.capture.errors import SourceError
from edgeaudio.recognise.detector import MAX_CLIPS
from edgeaudio.recognise.manifest import Manifest
from edgeaudio.recognise.pipeline import SourcePipeline
from edgeaudio.types import Block, Channel, Samples, Scores

SOURCE_NAME = "archive"
OWNED_S = 10.0  # an event that goes on over the border is whole if it began at most this long before it
_RESAMPLED_S = 0.5  # of input that the resampler needs beyond a clip's end
_MOST_ALIGNED_S = 30.0


def blocks_of(
    path: Path, channel: Channel, begins_at: datetime, *, opened: Callable[[float | None], None] | None = None
) -> Iterator[Block]:
    """Yield the sound of a recording. Raises SourceError.

    `opened`: called with its length in seconds, or None if the header has none.
    """
    # absolute: a folder may be called alsa:hw
    config = SourceConfig(name=SOURCE_NAME, url=str(path.absolute()), channel=channel)
    with open_source(config, threading.Event(), media_start=begins_at) as connection:
        if opened is not None:
            opened(connection.info.duration_s)
        yield from connection


def scores_before(
    neighbour: Neighbour,
    own: Path,
    begins_at: datetime,
    manifests: Sequence[Manifest],
    pipeline: SourcePipeline,
    channel: Channel,
) -> Iterator[Scores]:
    """Yield the scores of the last clips that begin in the recording before; their offsets are negative.

    `begins_at`: of the recording's own first sample. `manifests`: of the model and of its members. None are yielded if
    the neighbour cannot be read.
    """
    length = neighbour.length
    first = first_before(manifests, length)
    starts_at = begins_at - timedelta(seconds=length.seconds)
    blocks = _joined(neighbour, own, first, starts_at, manifests[0], channel)
    for scores in _scores(blocks, pipeline):
        offset_s = scores.offset_s - (length.n_samples - first) / length.sample_rate
        if offset_s >= 0:
            return
        yield replace(scores, offset_s=offset_s, at=begins_at + timedelta(seconds=offset_s))


def head_of(neighbour: Neighbour, last: Block, manifest: Manifest, channel: Channel) -> Iterator[Block]:
    """Yield the beginning of the recording after as the continuation of a Block, as long as a clip may need.

    Nothing is yielded if it cannot be read or has another form.
    """
    wanted = ceil(after_s(manifest) * last.sample_rate)
    with suppress(SourceError, OSError):
        for block in blocks_of(Path(neighbour.source), channel, last.at):
            if (block.sample_rate, block.samples.shape[1:]) != (
                last.sample_rate,
                last.samples.shape[1:],
            ) or wanted <= 0:
                return
            last = _continued(last, block.samples[:wanted])
            wanted -= len(last.samples)
            yield last


def _joined(
    neighbour: Neighbour, own: Path, first: int, starts_at: datetime, manifest: Manifest, channel: Channel
) -> Iterator[Block]:
    """Yield the neighbour's samples from `first` on, and the head of the recording itself behind them."""
    rate, last = neighbour.length.sample_rate, None
    with suppress(SourceError, OSError), _ending(neighbour, first) as (path, begin):
        at = begin
        for block in blocks_of(path, channel, starts_at + timedelta(seconds=begin / rate)):
            if block.sample_rate != rate:
                return  # it is not what its header says
            samples = block.samples[max(0, first - at) :]
            at += len(block.samples)
            if len(samples):
                last = replace(block, offset=0, samples=samples) if last is None else _continued(last, samples)
                yield last
    if last is not None and last.offset + len(last.samples) == neighbour.length.n_samples - first:
        yield from head_of(replace(neighbour, source=str(own)), last, manifest, channel)


@contextmanager
def _ending(neighbour: Neighbour, first: int) -> Iterator[tuple[Path, int]]:
    """Yield a file with the end of a recording, and its first sample, at or before the one that is wanted.

    Raises OSError, also for one that is damaged.
    """
    with tempfile.TemporaryFile() as file:
        with Path(neighbour.source).open("rb") as recording:
            found = ending(recording, first, neighbour.length)
        if found is None:
            raise OSError(errno.EINVAL, "it is not what its header says")
        file.write(found[0])
        file.flush()
        yield Path(f"/proc/self/fd/{file.fileno()}"), found[1]


def _continued(last: Block, samples: Samples) -> Block:
    """Return samples as the Block that follows another one."""
    at = last.at + timedelta(seconds=last.duration_s)
    return replace(last, offset=last.offset + len(last.samples), at=at, samples=samples)


def _scores(blocks: Iterator[Block], pipeline: SourcePipeline) -> Iterator[Scores]:
    for block in long_blocks(blocks):
        yield from (result for result in pipeline.feed(block) if isinstance(result, Scores))
    yield from (result for result in pipeline.flush() if isinstance(result, Scores))


def first_before(manifests: Sequence[Manifest], length: Length) -> int:
    """Return the sample from which the recording before is listened to.

    manifests: of the model, and of the members of a fused one.
    """
    first = max(0, length.n_samples - ceil((OWNED_S + _settling_s(manifests[0])) * length.sample_rate))
    return first - first % _grid(manifests, length.sample_rate)


def after_s(manifest: Manifest) -> float:
    """Return how much of the recording after is listened to."""
    return manifest.clip.n_samples / manifest.clip.sample_rate + _RESAMPLED_S


def owned_s(manifest: Manifest, length_s: float) -> float:
    """Return how long before the end of a recording an event must begin to be the next one's, whole.

    Longer ones are a row in each: the next one is not listened to from further back.
    """
    return max(0.0, min(OWNED_S, length_s - _settling_s(manifest)))


def _settling_s(manifest: Manifest) -> float:
    """Return the sound after which a detector is in the same state, whatever it had heard before."""
    clip_s = manifest.clip.n_samples / manifest.clip.sample_rate
    section, period_s = manifest.detector, manifest.period_s
    kept = min(MAX_CLIPS, ceil(clip_s / period_s)) + section.votes_of + section.mean_of
    return clip_s + kept * period_s


def _grid(manifests: Sequence[Manifest], sample_rate: int) -> int:
    """Return the samples after which clips and frames fall on the same places again; 1 if that is too long."""
    steps: list[Fraction] = []
    for manifest in manifests:
        hop = 1 if manifest.features is None else manifest.features.hop_length
        per_model = Fraction(sample_rate, manifest.clip.sample_rate)
        steps += (Fraction(str(manifest.period_s)) * sample_rate, hop * per_model)
    grid = lcm(*(step.numerator for step in steps))
    return grid if grid <= _MOST_ALIGNED_S * sample_rate else 1
