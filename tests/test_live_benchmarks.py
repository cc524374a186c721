"""The live parts of `make bench`, as far as they can be wrong without a stream."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from edgeaudio.recognise.bundled_models import find_model
from edgeaudio.recognise.features import features
from edgeaudio.recognise.manifest import FILE_NAME
from edgeaudio.recognise.manifest_file import read_manifest
from edgeaudio.types import Block, Event, Scores
from tools.benchmarks.capacity import TRIES, Trial, most
from tools.benchmarks.contenders import Contender, ContenderError, Work, agent, check
from tools.benchmarks.floor import LogMel
from tools.benchmarks.heard_agent import Stopwatch

NOW = datetime(2026, 1, 31, tzinfo=UTC)


def test_the_floor_computes_the_features_that_the_agent_computes():
    manifest = read_manifest(find_model("home") / FILE_NAME)
    config, length = manifest.features, manifest.clip.n_samples
    assert config is not None
    signal = np.random.default_rng(0).uniform(-0.5, 0.5, length + 32_000).astype(np.float32)
    floor = LogMel(config, length)
    found = [floor.add([signal[start : start + 16_000]]) for start in range(0, len(signal), 16_000)][-1]
    last = (len(signal) - config.frame_length) // config.hop_length  # the last whole frame
    begin = (last + 1 - len(found)) * config.hop_length
    assert np.abs(found - features(signal[begin : begin + length], config)).max() < 1e-5


@pytest.mark.parametrize("most_carried", [16, 64, 72, 150])
def test_the_search_ends_at_a_number_that_is_carried(most_carried):
    tried = []

    def trial(n_streams):
        tried.append(n_streams)
        carried = n_streams <= most_carried
        return Trial(n_streams, 0.1 if carried else 2.0, 1.0, 0.0, min(1.0, n_streams / (1.02 * most_carried)))

    found = most(trial, 90)
    assert found is None or found.n_streams == max(number for number in tried if number <= most_carried)
    assert len(tried) <= TRIES
    assert len(set(tried)) == len(tried)


@pytest.mark.parametrize(
    "trial",
    [Trial(8, 0.8, 1.0, 0.0, 0.5), Trial(8, 0.1, 0.9, 0.0, 0.5), Trial(8, 0.1, 1.0, 1.0, 0.5)],
    ids=["late", "skipped", "lost"],
)
def test_streams_that_are_late_skipped_or_lost_are_not_carried(trial):
    assert not trial.carried


def test_a_contender_that_scored_too_few_clips_is_not_measured():
    contender = Contender("one", agent())
    check(contender, Work(heard_s=60.0, scored=100), n_streams=2)
    with pytest.raises(ContenderError, match="scored 50 clips of 104"):
        check(contender, Work(heard_s=60.0, scored=50), n_streams=2)


def test_the_clip_that_decided_an_event_is_the_last_before_it():
    stopwatch = Stopwatch(blocks=True)
    for offset in (0, 8_000, 16_000, 24_000, 32_000, 40_000):  # a second each: the fifth completes the second clip
        stopwatch.handle(Block("porch", 1, offset, NOW, 8_000, np.zeros(8_000, np.float32)))
    for offset_s in (0.0, 0.5):
        at = NOW + timedelta(seconds=offset_s)
        stopwatch.handle(Scores("porch", "home", at, offset_s, 4.0, -20.0, None))
    stopwatch.handle(Scores("yard", "home", NOW, 9.0, 4.0, -20.0, None))
    received_s = [at_s for _, at_s in stopwatch._blocks]
    stopwatch.handle(Event("1", "onset", "porch", "home", "siren", 0.9, NOW, 0.0))
    noted = stopwatch.noted()
    assert noted["decided_s"] == {"1 onset": (NOW.timestamp() + 4.5, received_s[4])}
    assert len(noted["lags_s"]) == 3
    assert not any(stopwatch.noted().values())
