"""Recognition of one source: splitting changes nothing, epochs are never joined, times are the sound's."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.examples import examples
from support.tflite import LABELS, MELS, SPECTRUM, WAVEFORM, manifest_of, model_directory

from edgeaudio.recognise.feature_config import FeatureConfig
from edgeaudio.recognise.manifest import ClipSection, DetectorSection, InputSection, Threshold
from edgeaudio.recognise.model import load_model
from edgeaudio.recognise.pipeline import ModelBinding, SourcePipeline
from edgeaudio.types import Block, Event, Level, Scores

START = datetime(2026, 1, 1, tzinfo=UTC)
NAMESPACE = UUID(int=0)
MFCC = FeatureConfig(
    "mfcc", 16000, n_fft=400, hop_length=160, n_mels=20, center=True, pad_mode="reflect", preemphasis=0.97, ref="max",
    top_db=60, n_mfcc=3,
)  # fmt: skip


class Listener:
    """A model without a network, whose scores depend on every bit of its input."""

    def __init__(self, name, test_model="waveform", **changes):
        detector = DetectorSection(on=0.5, off=0.4, votes=1, votes_of=2)
        self.manifest = manifest_of(test_model, name=name, detector=detector, **changes)

    def scores(self, values):
        bits = np.frombuffer(values.tobytes(), dtype=np.uint32).astype(np.uint64)
        mixed = (bits * (2 * np.arange(bits.size, dtype=np.uint64) + np.uint64(1))).sum()
        return (np.array([mixed % n / (n - 1) for n in (97, 101, 103)])).astype(np.float32)


def bindings():
    fast = replace(WAVEFORM, sample_rate=8000, n_samples=1000)
    return [
        ModelBinding(Listener("slow")),
        ModelBinding(Listener("mels", "features_time_major"), labels=frozenset({"second"})),
        ModelBinding(
            Listener(
                "coefficients",
                "features_time_major",
                clip=ClipSection(16000, 3200, 100),
                features=MFCC,
                input=InputSection("mfcc", ("batch", "time", "feature")),
            ),
            period_s=0.07,
            thresholds={"first": Threshold(0.9, 0.1)},
        ),
        ModelBinding(Listener("fast", clip=fast), period_s=0.3),
    ]


def sound(n, channels=0, seed=0):
    """Return noise of changing level, with a silence below the gate."""
    rng = np.random.default_rng(seed)
    samples = rng.uniform(-1, 1, (n, channels) if channels else n) * np.float32(0.5)
    samples[n // 3 : n // 2] *= 1e-5
    samples[n // 2 : n * 5 // 9] = 0
    return samples.astype(np.float32)


def blocks_of(samples, rate, cuts, epoch=0, first=0):
    offset = 0
    for piece in np.split(samples, sorted(cuts)):
        at = START + timedelta(seconds=offset / rate)
        yield Block("porch", epoch, first + offset, at, rate, piece)
        offset += len(piece)


def bits(result):
    values = (getattr(result, name) for name in type(result).__slots__)
    return tuple(value.tobytes() if isinstance(value, np.ndarray) else value for value in values)


def told(results):
    """Return levels, scores per model and events, in order, for comparison to the last bit."""
    return [(type(result).__name__, *bits(result)) for result in results]


def run(blocks, chosen=None):
    pipeline = SourcePipeline("porch", chosen or bindings(), namespace=NAMESPACE)
    return [result for block in blocks for result in pipeline.feed(block)] + list(pipeline.flush())


def test_there_is_something_to_compare():
    results = run(blocks_of(sound(16000), 8000, []))
    assert sum(isinstance(result, Level) for result in results) == 2
    assert sum(isinstance(result, Event) for result in results) > 20
    scores = [result for result in results if isinstance(result, Scores)]
    assert {result.values is None for result in scores} == {True, False}


@pytest.mark.integration  # it takes seconds
@settings(max_examples=examples(40))
@given(
    rate=st.sampled_from([8000, 11025, 16000, 44100]),
    channels=st.integers(0, 3),
    n=st.integers(0, 30_000),
    cuts=st.lists(st.integers(0, 30_000), max_size=8),
    inverted=st.booleans(),
)
def test_splitting_the_input_changes_nothing(rate, channels, n, cuts, inverted):
    samples = sound(n, channels)
    if inverted and channels == 2:
        samples[:, 1] = -samples[:, 0]
    whole = run(blocks_of(samples, rate, []))
    pieces = run(blocks_of(samples, rate, [cut for cut in cuts if cut <= n]))
    assert told(pieces) == told(whole)


@pytest.mark.parametrize("n", [3000, 9000, 30_000])
def test_channels_that_cancel_each_other_out_are_heard_from_the_first_sample(n):
    samples = sound(n)
    one = run(blocks_of(samples, 8000, []))
    both = run(blocks_of(np.stack([samples, -samples], axis=1), 8000, [100, 2000]))
    scores = [bits(result) for result in one if isinstance(result, Scores)]
    assert scores == [bits(result) for result in both if isinstance(result, Scores)]
    levels = [result for result in both if isinstance(result, Level)]
    assert {(level.heard, level.cancels) for level in levels} <= {(1, True)}
    assert [level.rms_dbfs for level in levels] == [level.rms_dbfs for level in one if isinstance(level, Level)]


def test_channels_that_cancel_each_other_out_are_heard_from_the_first_sample_after_silence():
    samples = np.concatenate([np.zeros(20_500, np.float32), sound(9000)])
    one = run(blocks_of(samples, 8000, []))
    both = run(blocks_of(np.stack([samples, -samples], axis=1), 8000, [100, 20_000]))
    scores = [bits(result) for result in one if isinstance(result, Scores)]
    assert scores == [bits(result) for result in both if isinstance(result, Scores)]


@pytest.mark.parametrize("channels", [0, 2, 8])
def test_one_sample_at_a_time(channels):
    samples = sound(4400, channels)
    assert told(run(blocks_of(samples, 8000, range(1, 4400)))) == told(run(blocks_of(samples, 8000, [])))


def test_one_large_piece_gives_the_clips_of_all_models_in_the_order_of_their_ends():
    chosen = [ModelBinding(Listener("one"), period_s=0.2), ModelBinding(Listener("other"), period_s=0.3)]
    results = run(blocks_of(sound(8000), 8000, []), chosen)
    scores = [result for result in results if isinstance(result, Scores)]
    ends_s = [score.offset_s + score.duration_s for score in scores]
    assert ends_s == sorted(ends_s)
    assert {score.model for score in scores[:3]} == {"one", "other"}


def test_a_real_model_reports_events(tmp_path):
    """With the TFLite runtime: the middle third is loud, so the second label sounds while it is in the middle."""
    directory = model_directory(tmp_path, "waveform_int8", detector=DetectorSection(on=0.6, off=0.4))
    samples = np.zeros(12_000, dtype=np.float32)
    samples[4000:8000] = 0.9
    results = run(blocks_of(samples, 12_000, [100, 5000]), [ModelBinding(load_model(directory), period_s=0.01)])
    events = [event for event in results if isinstance(event, Event)]
    assert sorted({event.label for event in events}) == sorted(LABELS)
    for label in LABELS:
        onset, offset = (event for event in events if event.label == label)
        assert (onset.kind, offset.kind) == ("onset", "offset")
        assert abs((onset.at - START).total_seconds() - 0.333) < 0.06
        assert abs(offset.duration_s - 0.333) < 0.06


@pytest.mark.integration  # it takes seconds
@settings(max_examples=examples(25))
@given(
    first=st.integers(0, 9000),
    second=st.integers(0, 9000),
    change=st.sampled_from(["epoch", "rate", "hole"]),
    cuts=st.lists(st.integers(0, 9000), max_size=3),
)
def test_epochs_are_never_joined(first, second, change, cuts):
    """Two epochs through one pipeline give the results of each alone; the first is not flushed, its events end."""
    rate = 11025 if change == "rate" else 8000
    one = list(blocks_of(sound(first), 8000, [cut for cut in cuts if cut <= first]))
    two = list(
        blocks_of(sound(second, seed=1), rate, [], epoch=int(change == "epoch"), first=first + (change == "hole"))
    )
    alone = SourcePipeline("porch", bindings(), namespace=NAMESPACE)
    expected = [result for block in one for result in alone.feed(block)] + list(alone.end()) + run(two)
    assert told(run(one + two)) == told(expected)


def test_open_events_end_with_the_epoch():
    pipeline = SourcePipeline("porch", bindings(), namespace=NAMESPACE)
    events = [
        event
        for block in blocks_of(sound(5000), 8000, [])
        for event in pipeline.feed(block)
        if isinstance(event, Event)
    ]
    open_ids = {event.id for event in events if event.kind == "onset"} - {
        event.id for event in events if event.kind == "offset"
    }
    assert open_ids
    assert {event.id for event in pipeline.active()} == open_ids
    assert {event.id for event in pipeline.end()} == open_ids
    assert not pipeline.active()
    assert not list(pipeline.end())


def test_a_block_lasts_as_long_as_its_samples():
    (block,) = blocks_of(sound(12_000, channels=2), 8000, [])
    assert block.duration_s == 1.5


def test_without_samples_there_are_no_results():
    assert run([]) == []


def clip_times(results):
    return [(result.offset_s, (result.at - START).total_seconds()) for result in results if isinstance(result, Scores)]


@pytest.mark.parametrize("rate", [8000, 44100, 44056])
def test_times_are_those_of_the_samples(rate):
    """At any rate a clip's time is that of its first sample, also in an epoch that began later."""
    quick = ModelBinding(Listener("slow"), period_s=0.1)
    blocks = list(blocks_of(sound(5 * rate), rate, range(0, 5 * rate, 1000), first=rate))
    times = clip_times(run(blocks, [quick]))
    assert len(times) >= 49
    for k, (offset_s, at_s) in enumerate(times[:49]):
        # a rate with an awkward ratio is approximated: clips come a little early or late, and so do their times
        assert at_s == pytest.approx(0.1 * k, abs=1e-5, rel=1e-4)
        assert offset_s == pytest.approx(1 + at_s, abs=1e-6)


def test_a_step_of_the_clock_moves_times_from_there_on():
    quick = ModelBinding(Listener("slow"), period_s=0.1)
    blocks = [
        replace(block, at=block.at + timedelta(hours=1) if block.offset >= 8000 else block.at)
        for block in blocks_of(sound(16_000), 8000, range(0, 16_000, 400))
    ]
    times = clip_times(run(blocks, [quick]))
    assert times[5][1] == pytest.approx(0.5)
    assert times[10][1] == pytest.approx(3601.0)
    assert times[10][0] == pytest.approx(1.0)  # steps of the clock do not affect offsets


def test_times_that_jitter_are_followed_and_forgotten():
    """With every Block's time a little off, old anchors are dropped, and memory does not grow."""
    quick = ModelBinding(Listener("slow"), period_s=0.1)
    blocks = [
        replace(block, at=block.at + timedelta(milliseconds=5 * (i % 2)))
        for i, block in enumerate(blocks_of(sound(16_000), 8000, range(0, 16_000, 40)))
    ]
    for offset_s, at_s in clip_times(run(blocks, [quick])):
        assert at_s == pytest.approx(offset_s, abs=0.006)


def test_two_sources_never_share_an_event():
    one = run(blocks_of(sound(8000), 8000, []))
    other = SourcePipeline("barn", bindings(), namespace=NAMESPACE)
    ids = {event.id for event in one if isinstance(event, Event)}
    again = [result for block in blocks_of(sound(8000), 8000, []) for result in other.feed(block)]
    assert ids
    assert not ids & {event.id for event in again if isinstance(event, Event)}


def test_scores_carry_their_model_s_name():
    results = run(blocks_of(sound(4000), 8000, []), [ModelBinding(Listener("one")), ModelBinding(Listener("two"))])
    assert {result.model for result in results if isinstance(result, Scores)} == {"one", "two"}


def test_thresholds_change_while_listening():
    chosen = bindings()
    pipeline = SourcePipeline("porch", chosen, namespace=NAMESPACE)
    pipeline.set_threshold("second", 0.8)
    pipeline.set_threshold("unheard of", 0.1)
    assert {name: sorted(found) for name, found in pipeline.thresholds().items()} == {
        "slow": sorted(LABELS),
        "mels": ["second"],
        "coefficients": sorted(LABELS),
        "fast": sorted(LABELS),
    }
    for found in pipeline.thresholds().values():
        assert found["second"].on == 0.8
        assert found["second"].off == pytest.approx(0.64)
    pipeline.replace_thresholds([replace(binding, thresholds={"second": Threshold(0.7, 0.2)}) for binding in chosen])
    assert [found["second"] for found in pipeline.thresholds().values()] == [Threshold(0.7, 0.2)] * 4


def test_feature_models_get_the_features(tmp_path):
    """The input tensor of a real model holds the computed features, time-major or not."""
    results = {}
    for name in ("features_time_major", "features_mel_major"):
        directory = model_directory(tmp_path, name, name=name.replace("_", "-"))
        found = run(blocks_of(sound(3000), 8000, [100]), [ModelBinding(load_model(directory))])
        results[name] = [result.values for result in found if isinstance(result, Scores) and result.values is not None]
    for one, other in zip(*results.values(), strict=True):
        np.testing.assert_allclose(one, other, atol=0.008)
    assert MELS.n_frames(SPECTRUM.n_samples) == 24


def test_a_renewed_pipeline_keeps_nothing_but_its_thresholds():
    pipeline = SourcePipeline("porch", bindings(), namespace=NAMESPACE)
    samples = sound(16000)
    for block in blocks_of(samples, 8000, []):
        list(pipeline.feed(block))
    pipeline.set_threshold("first", 0.77)
    fresh = pipeline.renewed()
    assert fresh.active() == []
    assert fresh.thresholds() == pipeline.thresholds()
    other = SourcePipeline("porch", bindings(), namespace=NAMESPACE)
    other.set_threshold("first", 0.77)
    heard = [
        [bits(result) for block in blocks_of(samples, 8000, [500]) for result in each.feed(block)]
        for each in (fresh, other)
    ]
    assert heard[0] == heard[1]


@pytest.mark.parametrize("channel", ["auto", "mix", 2])
@pytest.mark.parametrize("channels", [1, 2])
def test_scores_alone_are_those_among_all_results(channels, channel):
    samples = np.random.default_rng(5).uniform(-1, 1, (30_000, channels)).astype(np.float32)
    if channels > 1:
        samples[:, 1] = -0.8 * samples[:, 0]  # they cancel, all but
    block = Block("garden", 0, 0, START, 8000, samples if channels > 1 else samples[:, 0])

    def results(*, scores_only):
        pipeline = SourcePipeline(
            "garden", bindings(), namespace=NAMESPACE, channel=channel, scores_only=scores_only
        ).renewed()
        return [*pipeline.feed(block), *pipeline.flush()]

    everything = [result for result in results(scores_only=False) if isinstance(result, Scores)]
    alone = results(scores_only=True)
    assert everything
    for one, other in zip(alone, everything, strict=True):
        assert isinstance(one, Scores)
        assert (one.model, one.offset_s, one.at) == (other.model, other.offset_s, other.at)
        assert one.values is not None
        assert other.values is not None
        assert np.array_equal(one.values, other.values)
