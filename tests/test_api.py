"""The Python interface: `edgeaudio.listen`, `alisten` and `detect`."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from array import array
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.examples import examples
from support.golden_speech import PCM, SPEECH
from support.media import sine, write_media
from support.tflite import model_directory

import edgeaudio
from edgeaudio import Block, EdgeaudioError, Event, Prediction, demo
from edgeaudio.capture.config import SourceConfig
from edgeaudio.capture.connection import open_source
from edgeaudio.recognise.manifest import DetectorSection
from edgeaudio.recognise.model import Model
from edgeaudio.settings import Settings
from edgeaudio.types import Channel, Samples
from edgeaudio.wiring import load_models, source_config, source_pipeline

RATE = 8000
MORNING = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three labels: the level of three bands; 1 kHz is in the second."""
    return model_directory(tmp_path_factory.mktemp("model"), "features_time_major")


def tone(seconds: float) -> Samples:
    samples: Samples = sine(1000.0, RATE, seconds)[0]
    return samples


def block(**changes: Any) -> Block:
    values: dict[str, Any] = {
        "source": "mine",
        "epoch": 0,
        "offset": 0,
        "at": MORNING,
        "sample_rate": RATE,
        "samples": tone(0.1),
    }
    return Block(**(values | changes))


def pcm(samples: Samples) -> bytes:
    return (samples * 32767).astype("<i2").tobytes()


def in_pieces(data: bytes, sizes: list[int]) -> Iterator[bytes]:
    start = 0
    for size in [*sizes, len(data)]:
        yield data[start : start + size]
        start += size


def test_a_file_is_scored_with_every_label(model: Path, tmp_path: Path):
    path = tmp_path / "tone.wav"
    write_media(path, "pcm_s16le", np.concatenate([tone(1.0), 0 * tone(1.0)])[None], RATE)
    results = list(edgeaudio.listen(path, [model], period_ms=100, include_scores=True))
    assert all(isinstance(result, Prediction) for result in results)
    assert [round(b.offset_s - a.offset_s, 3) for a, b in pairwise(results)] == pytest.approx([0.1] * 19, abs=0.005)
    sounding, silent = results[2], results[-2]
    assert sounding.label == "second"
    assert sounding.scores is not None
    assert sounding.score == sounding.scores["second"] == max(sounding.scores.values())
    assert (silent.label, silent.score, silent.level_dbfs, silent.scores) == ("silence", 1.0, None, None)


def test_a_truncated_file_yields_all_of_its_sound_before_it_raises(model: Path, tmp_path: Path):
    path, part = tmp_path / "tone.wav", tmp_path / "part.wav"
    write_media(path, "pcm_s16le", tone(2.0)[None], RATE)
    write_media(part, "pcm_s16le", tone(0.45)[None], RATE)
    path.write_bytes(path.read_bytes()[: part.stat().st_size])
    heard: list[Prediction] = []
    with pytest.raises(EdgeaudioError, match="cut off"):
        heard.extend(edgeaudio.listen(path, [model], period_ms=200))
    expected = list(edgeaudio.listen(part, [model], period_ms=200))
    assert [result.offset_s for result in heard] == [result.offset_s for result in expected]


def test_a_generator_of_pcm_bytes_is_scored_as_it_comes(model: Path):
    def endless() -> Iterator[bytes]:
        while True:
            yield pcm(tone(0.1))

    results = edgeaudio.listen(endless(), [model], sample_rate=RATE, period_ms=100)
    first = next(results)
    assert first.label == "second"
    assert first.scores is None
    assert abs(first.at - datetime.now(UTC)) < timedelta(seconds=10)


@settings(max_examples=examples(25), deadline=None)
@given(sizes=st.lists(st.integers(0, 3001), max_size=12))
def test_the_sizes_of_pieces_do_not_matter(model: Path, sizes: list[int]):
    data = pcm(tone(0.5))
    wanted = edgeaudio.listen([data], [model], sample_rate=RATE, period_ms=100, include_scores=True)
    got = edgeaudio.listen(in_pieces(data, sizes), [model], sample_rate=RATE, period_ms=100, include_scores=True)
    assert [(r.offset_s, r.scores) for r in got] == [(r.offset_s, r.scores) for r in wanted]


def test_stereo_is_mixed(model: Path):
    both = np.stack([tone(0.3), tone(0.3)], axis=1)
    one = list(edgeaudio.listen([pcm(tone(0.3))], [model], sample_rate=RATE, include_scores=True))
    two = list(edgeaudio.listen([pcm(both)], [model], sample_rate=RATE, channels=2, include_scores=True))
    assert one[0].scores == two[0].scores


def test_names_and_loaded_models_can_be_mixed(model: Path):
    loaded = edgeaudio.load_model(model)
    results = list(edgeaudio.listen([pcm(tone(0.3))], [model, loaded], sample_rate=RATE, period_ms=100))
    assert len(results) == 2 * len({result.offset_s for result in results})


def test_blocks_of_two_epochs_are_not_joined_and_offsets_go_on(model: Path):
    at = datetime(2026, 1, 1, tzinfo=UTC)
    blocks = [Block("mine", epoch, 0, at, RATE, tone(0.3)) for epoch in (0, 1)]
    offsets = [result.offset_s for result in edgeaudio.listen(blocks, [model], period_ms=100)]
    assert offsets == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4, 0.5], abs=0.005)


def test_less_than_a_clip_is_scored(model: Path):
    assert len(list(edgeaudio.listen([pcm(tone(0.02))], [model], sample_rate=RATE))) == 1


def test_without_samples_there_is_no_prediction(model: Path):
    assert list(edgeaudio.listen([], [model])) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"period_ms": 5}, "period_ms is 5; 10 to 60000 are possible"),
        ({"period_ms": "500"}, "period_ms is '500'; 10 to 60000 are possible"),
        ({"gate_dbfs": None}, "gate_dbfs is None; a number is possible"),
        ({"gate_dbfs": float("nan")}, "gate_dbfs is nan; a number is possible"),
        ({"models": None}, "models is None; names, paths, loaded models and lists of them are possible"),
        ({"models": [5]}, "a model is 5; a name or a path is possible"),
        ({"models": []}, "models is empty; name at least one"),
        ({"sample_rate": 10}, "sample_rate is 10; whole numbers 1000 to 1000000 are possible"),
        ({"sample_rate": 16000.5}, "sample_rate is 16000.5; whole numbers 1000 to 1000000 are possible"),
        ({"sample_rate": "16k"}, "sample_rate is '16k'; whole numbers 1000 to 1000000 are possible"),
        ({"channels": 0}, "channels is 0; whole numbers 1 to 64 are possible"),
        ({"channel": 0}, 'channel is 0; "auto", "mix" and 1 to 64 are possible'),
        ({"channel": np.array([1, 2])}, "channel is array([1, 2]); "),
        ({"channel": 2}, "channel 2 is asked for, and the source has 1"),
        ({"start": datetime(2026, 1, 1)}, "start has no time zone"),  # noqa: DTZ001 (that is what is wrong)
        ({"start": "2026"}, "start is '2026'; a datetime is possible"),
        ({"start": datetime.max.replace(tzinfo=UTC)}, "start is in the year 9999, which leaves no room"),
        ({"source": np.array(0.5)}, "an array has the shape (); (n,) and (n, channels) are possible"),
        ({"source": b"123"}, "bytes are given in an iterable, as [data]; a path is given as text"),
        ({"source": [1.0]}, "the source brought float; Blocks, bytes and arrays are possible"),
        ({"source": 5}, "the source is int; a path, a URL, arrays, and iterables of bytes, arrays and Blocks"),
        ({"source": np.zeros((2, 8000), np.float32)}, "an array has the shape (2, 8000); (n,) and (n, channels)"),
        ({"source": np.zeros(8000, np.float32), "channels": 2}, "an array has the shape (8000,), and channels is 2"),
        ({"source": np.zeros(8000, np.int32)}, "an array is of int32; int16, and float32 and float64 from -1 to 1"),
        ({"source": array("i", [0] * 99)}, "an array is of int32; int16, and float32 and float64 from -1 to 1"),
        ({"source": np.full(8000, 32767.0)}, "an array of floats reaches 32767; from -1 to 1 is possible"),
        (
            {"source": block(samples=np.zeros(9, np.int16))},
            "brought a Block of int16 (9,); float32 (n,) and (n, channels)",
        ),
        ({"source": block(samples=np.zeros((9, 0), np.float32))}, "brought a Block of float32 (9, 0); float32 (n,)"),
        ({"source": block(samples=[0.0])}, "brought a Block of list; float32 (n,) and (n, channels)"),
        ({"source": block(samples=np.full(9, 1e30, np.float32))}, "an array of floats reaches 1e+30"),
        ({"source": block(sample_rate="8k")}, "the source brought a Block of 8k Hz, which is not possible"),
        ({"source": block(offset=None)}, "the source brought a Block whose epoch or offset is no whole number"),
        ({"source": block(at="now")}, "the source brought a Block whose time is str, and no datetime"),
        ({"source": block(sample_rate=10)}, "the source brought a Block of 10 Hz, which is not possible"),
        ({"source": block(at=datetime(2026, 1, 1))}, "brought a Block whose time has no zone"),  # noqa: DTZ001 (so is that)
        ({"source": "/nowhere/x.wav"}, "/nowhere/x.wav"),
        ({"models": ["nosuch"]}, "model 'nosuch' is neither a directory nor one of the models here"),
    ],
)
def test_an_error_is_one_line(model: Path, arguments: dict[str, Any], message: str):
    given_arguments = {"source": [pcm(tone(0.1))], "models": [model], **arguments}
    with pytest.raises(EdgeaudioError) as caught:
        list(edgeaudio.listen(**given_arguments))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_two_models_of_one_name_with_other_labels_are_refused(model: Path, tmp_path: Path):
    other = model_directory(tmp_path, "waveform", labels=("a", "b", "c"))
    with pytest.raises(EdgeaudioError, match="two models of one name have different labels"):
        edgeaudio.listen([], [model, other])


def test_a_stateful_model_takes_no_other_period(tmp_path: Path):
    word = model_directory(tmp_path, "wake_word", name="wake")
    with pytest.raises(EdgeaudioError) as caught:
        edgeaudio.listen([], word, period_ms=100)
    assert str(caught.value) == (
        "period_ms is 100; the model wake remembers what it heard, and takes its own steps of 30 ms: leave it out"
    )


def test_a_loaded_stateful_model_is_anew_in_each_call(tmp_path: Path):
    word = edgeaudio.load_model(model_directory(tmp_path, "wake_word"))
    noise = np.random.default_rng(0).normal(0, 0.1, 8000).astype(np.float32)
    once, again = ([each.score for each in edgeaudio.listen([noise], word)] for _ in range(2))
    assert len(once) == 16
    assert once == again


@pytest.mark.parametrize("given_as", [Path, str, edgeaudio.load_model])
def test_one_model_needs_no_list(model: Path, given_as: Callable[[Path], Any]):
    results = list(edgeaudio.listen([pcm(tone(0.1))], given_as(model), sample_rate=RATE))
    assert [result.model for result in results] == ["test"]


def test_threads_may_share_a_loaded_model(model: Path):
    shared = edgeaudio.load_model(model)
    data = pcm(tone(2.0))
    begin = threading.Barrier(3)

    def hear(_: int) -> list[Prediction]:
        begin.wait()
        return list(edgeaudio.listen([data], shared, sample_rate=RATE, period_ms=10, start=MORNING))

    with ThreadPoolExecutor(3) as pool:
        first, *others = pool.map(hear, range(3))
    assert len(first) > 100
    assert others == [first, first]


@pytest.mark.parametrize(
    "source",
    [
        tone(0.5),
        tone(0.5).astype(np.float64),
        tone(0.5).astype(">f4"),
        block(samples=tone(0.5), sample_rate=float(RATE)),
        [tone(0.5)[:1000], tone(0.5)[1000:]],
        tone(0.5)[:, None],
        array("f", tone(0.5)),
        tone(0.5).data,
        np.stack([tone(0.5), tone(0.5)], axis=1),
    ],
    ids=["float32", "float64", "big-endian", "Block", "pieces", "one column", "array.array", "memoryview", "stereo"],
)
def test_arrays_are_scored(model: Path, source: Any):
    if isinstance(source, memoryview):
        source = [source]
    wanted = list(edgeaudio.listen([block(samples=tone(0.5))], model, period_ms=100, include_scores=True))
    got = list(edgeaudio.listen(source, model, sample_rate=RATE, period_ms=100, include_scores=True))
    assert [(r.offset_s, r.scores) for r in got] == [(r.offset_s, r.scores) for r in wanted]


def test_arrays_of_integers_score_as_their_bytes(model: Path):
    whole = np.frombuffer(pcm(tone(0.5)), dtype="<i2")
    wanted = list(edgeaudio.listen([pcm(tone(0.5))], model, sample_rate=RATE, include_scores=True))
    for source in (whole, array("h", whole.tolist()), whole.astype(">i2")):
        got = list(edgeaudio.listen(source, model, sample_rate=RATE, include_scores=True))
        assert [r.scores for r in got] == [r.scores for r in wanted]


def test_interleaved_arrays_come_in_pieces_of_any_length(model: Path):
    both = np.stack([tone(0.5), 0 * tone(0.5)], axis=1)
    pieces = [array("f", part) for part in np.split(both.reshape(-1), [1, 2, 5, 1000])]
    got = list(edgeaudio.listen(pieces, model, sample_rate=RATE, channels=2, include_scores=True))
    wanted = list(edgeaudio.listen(both, model, sample_rate=RATE, include_scores=True))
    assert [r.scores for r in got] == [r.scores for r in wanted]


def test_arrays_of_another_number_of_channels_lose_no_sound(model: Path):
    pieces = [tone(0.35), np.stack([tone(0.35)] * 2, axis=1)]
    results = list(edgeaudio.listen(pieces, model, sample_rate=RATE, period_ms=100, start=MORNING))
    assert [round(result.offset_s, 3) for result in results] == pytest.approx(
        [0, 0.1, 0.2, 0.25, 0.35, 0.45, 0.55, 0.6]
    )
    assert [result.at - MORNING for result in results] == [timedelta(seconds=result.offset_s) for result in results]


def test_floats_that_are_no_numbers_are_repaired(model: Path):
    broken = tone(0.5)
    broken[100], broken[200], broken[300] = np.nan, np.inf, 1.5
    repaired = broken.copy()
    repaired[100], repaired[200], repaired[300] = 0, 0, 1
    heard = edgeaudio.listen(broken, model, sample_rate=RATE, include_scores=True)
    wanted = edgeaudio.listen(block(samples=repaired), model, include_scores=True)
    assert [result.scores for result in heard] == [result.scores for result in wanted]


def test_a_rate_in_floating_point_and_one_of_numpy_are_rates(model: Path):
    rates: list[Any] = [float(RATE), np.int64(RATE)]
    for rate in rates:
        assert len(list(edgeaudio.listen(tone(0.5), model, sample_rate=rate, period_ms=100))) == 5


@pytest.mark.parametrize(
    ("channel", "label"), [(1, "second"), (2, "silence"), (2.0, "silence"), (np.int64(2), "silence"), ("mix", "second")]
)
def test_one_channel_of_several_can_be_chosen(model: Path, tmp_path: Path, channel: Channel, label: str):
    both = np.stack([tone(0.5), 0 * tone(0.5)], axis=1)
    path = tmp_path / "both.wav"
    write_media(path, "pcm_s16le", both.T, RATE)
    for source in (both, str(path), block(samples=both)):
        heard = next(edgeaudio.listen(source, model, sample_rate=RATE, channel=channel))
        assert heard.label == label


def test_one_large_piece_gives_the_results_of_all_models_in_order_of_time(model: Path, tmp_path: Path):
    other = model_directory(tmp_path, "features_time_major", name="other")
    results = list(edgeaudio.listen(tone(3.0), [model, other], sample_rate=RATE, period_ms=100))
    offsets = [result.offset_s for result in results]
    assert offsets == sorted(offsets)
    assert [result.model for result in results[:4]] == ["test", "other", "test", "other"]


def test_times_of_bytes_are_counted_in_samples_however_long_a_generator_pauses(model: Path):
    seen = threading.Event()

    def pausing() -> Iterator[bytes]:
        yield pcm(tone(0.25))
        assert seen.wait(10)
        while datetime.now(UTC) < resumed:
            seen.wait(0.01)  # the pause is longer than the sound
        yield pcm(tone(0.25))

    results = edgeaudio.listen(pausing(), model, sample_rate=RATE, period_ms=100)
    first = next(results)
    resumed = first.at + timedelta(seconds=0.6)
    seen.set()
    for result in results:
        assert result.at - first.at == timedelta(seconds=result.offset_s)


def test_a_recording_begins_when_its_caller_says(model: Path, tmp_path: Path):
    path = tmp_path / "tone.wav"
    write_media(path, "pcm_s16le", tone(0.5)[None], RATE)
    for source in (tone(0.5), path):
        results = list(edgeaudio.listen(source, model, sample_rate=RATE, period_ms=100, start=MORNING))
        assert [result.at - MORNING for result in results] == [timedelta(seconds=r.offset_s) for r in results]


def test_times_are_in_utc_whatever_the_zone_of_the_start(model: Path):
    start = MORNING.astimezone(timezone(timedelta(hours=5)))
    (result,) = edgeaudio.listen(tone(0.1), model, sample_rate=RATE, start=start)
    assert (result.at, result.at.tzinfo) == (MORNING, UTC)


def test_after_a_hole_between_blocks_offsets_go_on_with_the_time_of_day(model: Path):
    late = MORNING + timedelta(seconds=60)
    blocks = [block(epoch=0, samples=tone(0.3)), block(epoch=1, at=late, offset=4000, samples=tone(0.3))]
    results = list(edgeaudio.listen(blocks, model, period_ms=100))
    assert [result.at - MORNING for result in results] == [timedelta(seconds=result.offset_s) for result in results]
    assert [round(result.offset_s, 3) for result in results][3:] == [60.0, 60.1, 60.2]


def test_the_default_period_covers_all_of_the_sound(model: Path):
    results = list(edgeaudio.listen(tone(0.5), model, sample_rate=RATE))
    assert [round(result.offset_s, 3) for result in results] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])


def test_closing_the_generator_closes_the_source(model: Path):
    closed = []

    def endless() -> Iterator[Samples]:
        try:
            while True:
                yield tone(0.1)
        finally:
            closed.append("listen")

    async def endless_async() -> AsyncIterator[Samples]:
        try:
            while True:
                yield tone(0.1)
        finally:
            closed.append("alisten")

    async def first() -> Prediction:
        async with aclosing(edgeaudio.alisten(endless_async(), model, sample_rate=RATE)) as results:
            return await anext(results)

    with closing(edgeaudio.listen(endless(), model, sample_rate=RATE)) as results:
        next(results)
    assert asyncio.run(first()).label == "second"
    assert closed == ["listen", "alisten"]


def test_an_async_generator_is_scored_as_it_comes(model: Path):
    data = pcm(tone(0.5))

    async def coming() -> AsyncIterator[bytes]:
        for piece in in_pieces(data, [100, 3001]):
            await asyncio.sleep(0)
            yield piece

    async def heard() -> list[Prediction]:
        results = edgeaudio.alisten(coming(), model, sample_rate=RATE, period_ms=100, start=MORNING)
        return [result async for result in results]

    assert asyncio.run(heard()) == list(edgeaudio.listen([data], model, sample_rate=RATE, period_ms=100, start=MORNING))


def test_a_running_model_does_not_block_the_event_loop(model: Path, monkeypatch: pytest.MonkeyPatch):
    loaded, moved = edgeaudio.load_model(model), threading.Event()
    assert isinstance(loaded, Model)
    outputs = loaded.outputs

    def slow(values: Samples) -> Samples:
        assert moved.wait(10)
        return outputs(values)

    monkeypatch.setattr(loaded, "outputs", slow)

    async def pieces() -> AsyncIterator[Samples]:
        yield tone(0.2)

    async def hear() -> list[Prediction]:
        asyncio.get_running_loop().call_later(0.01, moved.set)
        return [result async for result in edgeaudio.alisten(pieces(), loaded, sample_rate=RATE)]

    assert asyncio.run(hear())


def test_alisten_yields_predictions_of_a_large_piece_before_its_end(model: Path, monkeypatch: pytest.MonkeyPatch):
    loaded, taken = edgeaudio.load_model(model), threading.Event()
    assert isinstance(loaded, Model)
    outputs, n_clips = loaded.outputs, 0

    def counted(values: Samples) -> Samples:
        nonlocal n_clips
        n_clips += 1
        assert n_clips < 40 or taken.wait(10)
        return outputs(values)

    monkeypatch.setattr(loaded, "outputs", counted)

    async def pieces() -> AsyncIterator[Samples]:
        yield tone(10.0)

    async def hear() -> int:
        n_results = 0
        async for _ in edgeaudio.alisten(pieces(), loaded, sample_rate=RATE, period_ms=100):
            taken.set()
            n_results += 1
        return n_results

    assert asyncio.run(hear()) == n_clips > 40


def test_alisten_refers_other_sources_to_listen(model: Path):
    with pytest.raises(
        EdgeaudioError, match=r"the source is list; async iterables are possible \(listen takes others\)"
    ):
        edgeaudio.alisten([], model)  # type: ignore[arg-type]


def test_annotations_are_visible_to_callers():
    assert (Path(edgeaudio.__file__).parent / "py.typed").is_file()


def test_detect_yields_the_agent_s_events(tmp_path: Path):
    """Through the pipeline that the settings make for the agent, at the model's own thresholds and period."""
    section = DetectorSection(on=0.88, off=0.6, votes=2, votes_of=3)
    directory = model_directory(tmp_path, "features_time_major", name="bands", detector=section)
    path = tmp_path / "tone.wav"
    samples = np.concatenate([0 * tone(1.0), tone(1.0), 0 * tone(1.0), tone(0.4)])
    write_media(path, "pcm_s16le", samples[None], RATE)
    events = list(edgeaudio.detect(path, directory, start=MORNING))
    assert [(event.kind, event.label) for event in events] == [("onset", "second"), ("offset", "second")] * 2
    settings = Settings.model_validate(
        {
            "mqtt": {"url": "mqtt://localhost"},
            "sources": {"listen": {"url": str(path)}},
            "models": {"bands": {"path": str(directory)}},
        }
    )
    pipeline = source_pipeline(settings, load_models(settings), "listen")
    with open_source(source_config("listen", settings.sources["listen"]), threading.Event(), media_start=MORNING) as it:
        results = [result for blocks in it for result in pipeline.feed(blocks)] + list(pipeline.flush())
    agents = [event for event in results if isinstance(event, Event)]
    assert [replace(event, id="") for event in agents] == [replace(event, id="") for event in events]


@pytest.mark.parametrize("lead_s", [0.0, 1.0, 3.0])
@pytest.mark.parametrize(("camera", "label"), [("kitchen", "smoke_alarm"), ("street", "siren")])
def test_a_sound_is_dated_to_when_it_began_wherever_the_recording_begins(camera: str, label: str, lead_s: float):
    """The demo's alarms begin 3 s into their recordings; clips are 4 s long."""
    config = SourceConfig(name="listen", url=str(Path(demo.__file__).parent / "sounds" / f"{camera}.opus"))
    with open_source(config, threading.Event(), media_start=MORNING) as opened:
        blocks = list(opened)
    samples, rate = np.concatenate([each.samples for each in blocks]), blocks[0].sample_rate
    samples = samples[round((3.0 - lead_s) * rate) : 9 * rate]
    onset, offset = edgeaudio.detect(samples, sample_rate=rate, start=MORNING)
    assert (onset.kind, onset.label, offset.kind) == ("onset", label, "offset")
    assert (onset.at - MORNING).total_seconds() == pytest.approx(lead_s, abs=0.1)
    assert onset.at_error_s is not None
    assert 0.05 <= onset.at_error_s <= 4.0


def test_detect_takes_what_listen_takes(tmp_path: Path):
    directory = model_directory(tmp_path, "features_time_major", detector=DetectorSection(on=0.88, off=0.6))
    samples = np.concatenate([0 * tone(0.5), tone(0.5)])
    for source in (samples, [pcm(samples)], block(samples=samples), np.stack([samples, 0 * samples], axis=1)):
        events = list(edgeaudio.detect(source, [directory], sample_rate=RATE, channel=1, start=MORNING))
        assert [event.kind for event in events] == ["onset", "offset"]
        assert events[0].id == events[1].id


def test_events_of_a_truncated_file_come_before_it_raises(tmp_path: Path):
    directory = model_directory(tmp_path, "features_time_major", detector=DetectorSection(on=0.88, off=0.6))
    path = tmp_path / "tone.wav"
    write_media(path, "pcm_s16le", tone(2.0)[None], RATE)
    path.write_bytes(path.read_bytes()[:20_000])
    events: list[Event] = []
    with pytest.raises(EdgeaudioError, match="cut off"):
        events.extend(edgeaudio.detect(path, directory))
    assert [event.kind for event in events] == ["onset", "offset"]


def test_the_public_names_are_those_of_all():
    assert set(edgeaudio.__all__) == {
        "Block",
        "EdgeaudioError",
        "Event",
        "Prediction",
        "Reason",
        "SourceError",
        "Utterance",
        "__version__",
        "alisten",
        "detect",
        "listen",
        "load_model",
        "utterances",
    }
    assert all(getattr(edgeaudio, name) for name in edgeaudio.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'nosuch'"):
        edgeaudio.nosuch  # noqa: B018


def test_the_agent_imports_nothing_of_the_extras():
    program = (
        "import sys, edgeaudio, edgeaudio.agent, edgeaudio.api, edgeaudio.cli, edgeaudio.commands.score; "
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)
    heavy = {"amqtt", "keras", "librosa", "matplotlib", "rich", "scipy", "tensorflow", "tqdm", "asyncio_mqtt", "torch"}
    assert heavy.isdisjoint(done.stdout.split())


def test_utterances_of_a_recording_are_those_of_its_samples(tmp_path):
    write_media(tmp_path / "speech.wav", "pcm_s16le", SPEECH[None], 16_000)
    of_file = list(edgeaudio.utterances(tmp_path / "speech.wav", start=MORNING))
    of_samples = list(edgeaudio.utterances(PCM, start=MORNING))
    assert [(each.at, each.samples.tobytes()) for each in of_file] == [
        (each.at, each.samples.tobytes()) for each in of_samples
    ]
    assert 0.5 < sum(each.duration_s for each in of_file) < len(PCM) / 16_000
    with pytest.raises(EdgeaudioError, match='channel is "auto"; "mix" and numbers from 1 are possible'):
        edgeaudio.utterances(PCM, channel="auto")  # type: ignore[arg-type]


def test_utterances_before_a_source_fails_come_first(tmp_path):
    path = tmp_path / "part.wav"
    write_media(path, "pcm_s16le", SPEECH[None], 16_000)
    path.write_bytes(path.read_bytes()[:200_000])
    heard: list[edgeaudio.Utterance] = []
    with pytest.raises(EdgeaudioError, match="cut off"):
        heard.extend(edgeaudio.utterances(path))
    assert heard
