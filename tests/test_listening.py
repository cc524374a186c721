"""The Python interface: `edgeaudio.listen`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.media import sine, write_media
from support.tflite import model_directory

import edgeaudio
from edgeaudio import Block, EdgeaudioError, Heard
from edgeaudio.recognise.types import Samples

RATE = 8000


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three labels: the level of three bands; 1 kHz is in the second."""
    return model_directory(tmp_path_factory.mktemp("model"), "features_time_major")


def tone(seconds: float) -> Samples:
    samples: Samples = sine(1000.0, RATE, seconds)[0]
    return samples


def pcm(samples: Samples) -> bytes:
    return (samples * 32767).astype("<i2").tobytes()


def in_pieces(data: bytes, sizes: list[int]) -> Iterator[bytes]:
    start = 0
    for size in [*sizes, len(data)]:
        yield data[start : start + size]
        start += size


def test_a_file_is_heard_with_every_score(model: Path, tmp_path: Path):
    path = tmp_path / "tone.wav"
    write_media(path, "pcm_s16le", np.concatenate([tone(1.0), 0 * tone(1.0)])[None], RATE)
    results = list(edgeaudio.listen(path, [model], period_ms=100, include_scores=True))
    assert all(isinstance(result, Heard) for result in results)
    assert [round(b.offset_s - a.offset_s, 3) for a, b in pairwise(results)] == pytest.approx([0.1] * 19, abs=0.005)
    sounding, silent = results[2], results[-2]
    assert sounding.label == "second"
    assert sounding.scores is not None
    assert sounding.score == sounding.scores["second"] == max(sounding.scores.values())
    assert (silent.label, silent.score, silent.level_dbfs, silent.scores) == ("silence", 1.0, None, None)


def test_a_file_that_is_cut_off_is_heard_to_its_last_sample_before_that_is_told(model: Path, tmp_path: Path):
    path, part = tmp_path / "tone.wav", tmp_path / "part.wav"
    write_media(path, "pcm_s16le", tone(2.0)[None], RATE)
    write_media(part, "pcm_s16le", tone(0.45)[None], RATE)
    path.write_bytes(path.read_bytes()[: part.stat().st_size])
    heard: list[Heard] = []
    with pytest.raises(EdgeaudioError, match="cut off"):
        heard.extend(edgeaudio.listen(path, [model], period_ms=200))
    expected = list(edgeaudio.listen(part, [model], period_ms=200))
    assert [result.offset_s for result in heard] == [result.offset_s for result in expected]


def test_a_generator_of_pcm_bytes_is_heard_while_it_lasts(model: Path):
    def endless() -> Iterator[bytes]:
        while True:
            yield pcm(tone(0.1))

    results = edgeaudio.listen(endless(), [model], sample_rate=RATE, period_ms=100)
    first = next(results)
    assert first.label == "second"
    assert first.scores is None
    assert abs(first.at - datetime.now(UTC)) < timedelta(seconds=10)


@settings(max_examples=25, deadline=None)
@given(sizes=st.lists(st.integers(0, 3001), max_size=12))
def test_the_pieces_sizes_do_not_matter(model: Path, sizes: list[int]):
    data = pcm(tone(0.5))
    wanted = edgeaudio.listen([data], [model], sample_rate=RATE, period_ms=100, include_scores=True)
    got = edgeaudio.listen(in_pieces(data, sizes), [model], sample_rate=RATE, period_ms=100, include_scores=True)
    assert [(r.offset_s, r.scores) for r in got] == [(r.offset_s, r.scores) for r in wanted]


def test_stereo_is_mixed(model: Path):
    both = np.stack([tone(0.3), tone(0.3)], axis=1)
    one = list(edgeaudio.listen([pcm(tone(0.3))], [model], sample_rate=RATE, include_scores=True))
    two = list(edgeaudio.listen([pcm(both)], [model], sample_rate=RATE, channels=2, include_scores=True))
    assert one[0].scores == two[0].scores


def test_several_models_and_a_loaded_one(model: Path):
    loaded = edgeaudio.load_model(model)
    results = list(edgeaudio.listen([pcm(tone(0.3))], [model, loaded], sample_rate=RATE, period_ms=100))
    assert len(results) == 2 * len({result.offset_s for result in results})


def test_blocks_of_two_epochs_are_not_joined_and_offsets_go_on(model: Path):
    at = datetime(2026, 1, 1, tzinfo=UTC)
    blocks = [Block("mine", epoch, 0, at, RATE, tone(0.3)) for epoch in (0, 1)]
    offsets = [result.offset_s for result in edgeaudio.listen(blocks, [model], period_ms=100)]
    assert offsets == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4, 0.5], abs=0.005)


def test_less_than_a_clip_is_heard_too(model: Path):
    assert len(list(edgeaudio.listen([pcm(tone(0.02))], [model], sample_rate=RATE))) == 1


def test_nothing_is_no_result(model: Path):
    assert list(edgeaudio.listen([], [model])) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"period_ms": 5}, "period_ms is 5; 10 to 60000 are possible"),
        ({"models": []}, "models is empty; name at least one"),
        ({"sample_rate": 10}, "1 channels at 10 Hz are not possible"),
        ({"channels": 0}, "0 channels at 16000 Hz are not possible"),
        ({"source": b"123"}, "bytes are given in an iterable, as [data]; a path is given as text"),
        ({"source": [1.0]}, "the source brought float; Blocks or bytes are possible"),
        ({"source": "/nowhere/x.wav"}, "/nowhere/x.wav"),
        ({"models": ["nosuch"]}, "model 'nosuch' is neither a directory nor one of the shipped models"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(model: Path, arguments: dict[str, Any], message: str):
    given_arguments = {"source": [b""], "models": [model], **arguments}
    with pytest.raises(EdgeaudioError) as caught:
        list(edgeaudio.listen(**given_arguments))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_interface_is_what_it_says():
    assert set(edgeaudio.__all__) == {
        "Block",
        "EdgeaudioError",
        "Event",
        "Heard",
        "__version__",
        "listen",
        "load_model",
    }
    assert all(getattr(edgeaudio, name) for name in edgeaudio.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'nosuch'"):
        edgeaudio.nosuch  # noqa: B018


def test_the_agent_imports_nothing_of_the_extras():
    program = (
        "import sys, edgeaudio, edgeaudio.agent, edgeaudio.listening, edgeaudio.cli, edgeaudio.commands.score; "
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)
    heavy = {"amqtt", "keras", "librosa", "matplotlib", "rich", "scipy", "tensorflow", "tqdm", "asyncio_mqtt", "torch"}
    assert heavy.isdisjoint(done.stdout.split())
