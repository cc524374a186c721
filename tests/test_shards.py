"""Every source belongs to one shard, few move when a shard is added, and which is whose never changes."""

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from support.examples import examples
from support.loading import load

from edgeaudio.errors import EdgeaudioError
from edgeaudio.settings import SettingsError
from edgeaudio.shards import Shard, ordinal_of, owner_of

NAMES = st.text(alphabet="abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=64)
CENTRE = [f"camera-{number}" for number in range(3000)]
GOLDEN = [0, 2, 2, 0, 0, 0, 2, 1, 2, 1, 2, 0]  # of its first twelve, with three shards


@given(st.sets(NAMES, max_size=50), st.integers(1, 20))
@hypothesis_settings(max_examples=examples(50))
def test_every_source_belongs_to_exactly_one_shard(names: set[str], count: int) -> None:
    shards = [Shard(index, count) for index in range(count)]
    for name in names:
        assert [shard for shard in shards if shard.owns(name)] == [Shard(owner_of(name, count), count)]


@given(NAMES, st.integers(1, 30))
@hypothesis_settings(max_examples=examples(100))
def test_a_further_shard_takes_sources_and_moves_no_other(name: str, count: int) -> None:
    assert owner_of(name, count + 1) in {owner_of(name, count), count}


def test_of_3000_sources_about_97_move_from_30_to_31_shards() -> None:
    moved = [name for name in CENTRE if owner_of(name, 30) != owner_of(name, 31)]
    assert len(moved) == pytest.approx(3000 / 31, abs=3 * (3000 / 31) ** 0.5)
    assert {owner_of(name, 31) for name in moved} == {30}


def test_whose_a_source_is_is_computed_once() -> None:
    """A shard that goes has it asked for every topic: among 1,000 shards that is 0.5 ms each time."""
    owner_of.cache_clear()
    shard = Shard(7, 1000)
    for _ in range(100):
        shard.took_from("camera-0", 3, 999)
    assert owner_of.cache_info().misses <= 2


def test_the_shares_are_even() -> None:
    shares = [sum(owner_of(name, 30) == index for name in CENTRE) for index in range(30)]
    assert min(shares) > 100 - 4 * 10  # four standard deviations of a fair draw
    assert max(shares) < 100 + 4 * 10


def test_which_source_is_whose_is_the_same_on_every_machine_and_in_every_version() -> None:
    assert [owner_of(f"camera-{number}", 3) for number in range(12)] == GOLDEN
    assert owner_of("café\udcff", 31) == owner_of("café\udcff", 31)  # any name at all


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("3/2", "the index of 2 shards is from 0 to 1, not 3"),
        ("2/2", "the index of 2 shards is from 0 to 1, not 2"),
        ("0/0", "there are from 1 to 1000 shards, not 0"),
        ("0/1001", "there are from 1 to 1000 shards, not 1001"),
        ("-1/3", "write it as INDEX/COUNT, as in 0/3 for the first of three"),
        ("1", "write it as INDEX/COUNT, as in 0/3 for the first of three"),
        ("\u0660/3", "write it as INDEX/COUNT, as in 0/3 for the first of three"),
        ("", "write it as INDEX/COUNT, as in 0/3 for the first of three"),
    ],
)
def test_what_is_no_shard_is_refused_with_what_to_write(text: str, reason: str) -> None:
    with pytest.raises(EdgeaudioError) as refused:
        Shard.parse(text)
    assert str(refused.value) == reason


def test_a_shard_is_parsed() -> None:
    assert Shard.parse("2/3") == Shard(2, 3)
    assert str(Shard(2, 3)) == "shard 2 of 3"


@pytest.mark.parametrize(
    ("host", "ordinal"),
    [("edgeaudio-2", 2), ("a-b-11", 11), ("edgeaudio-0.edgeaudio.svc", 0), ("edgeaudio", None), ("edgeaudio2", None)],
)
def test_a_pod_s_ordinal_is_the_number_at_the_end_of_its_host_name(host: str, ordinal: int | None) -> None:
    assert ordinal_of(host) == ordinal


ENVIRON = {"EDGEAUDIO_DEVICE": "hall", "EDGEAUDIO_SHARD__INDEX": "hostname", "EDGEAUDIO_SHARD__COUNT": "3"}


def test_a_pod_of_a_stateful_set_is_the_shard_of_its_ordinal(monkeypatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "edgeaudio-2")
    sources = [f"sources.camera-{number}.url=alsa:x" for number in range(12)]
    settings = load(None, sources, ENVIRON)
    assert settings.shard.shard() == Shard(2, 3)
    own = settings.own()
    assert list(own.sources) == [f"camera-{number}" for number in range(12) if owner_of(f"camera-{number}", 3) == 2]
    assert own.elsewhere == settings.sources.keys() - own.sources.keys()
    assert own.model_copy(update={"log_level": "debug"}).elsewhere == own.elsewhere


def test_without_a_shard_all_sources_are_the_agent_s_own() -> None:
    settings = load(None, ["sources.porch.url=alsa:x"], {})
    assert settings.own() is settings
    assert settings.elsewhere == frozenset()


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ("laptop", "the host name 'laptop' ends in no number, as edgeaudio-2 does; set index to one"),
        ("edgeaudio-3", "the index of 3 shards is from 0 to 2, not 3, with which the host name 'edgeaudio-3' ends"),
    ],
)
def test_a_host_name_that_gives_no_shard_is_one_line(monkeypatch, host: str, reason: str) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: host)
    with pytest.raises(SettingsError) as refused:
        load(None, (), ENVIRON)
    assert str(refused.value) == f"EDGEAUDIO_SHARD__INDEX: shard.index: {reason}"
