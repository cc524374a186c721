"""Requests and limits of a shard are those that docs/performance.md measured, and the formula of the chart's README."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
from support.chart_values import SOURCES
from support.charts import CHART, RefusedError, rendered

from edgeaudio.agent.memory_watch import limit_of
from edgeaudio.shards import owner_of

ROOT = Path(__file__).parents[2]
MEASURED = json.loads((ROOT / "docs" / "performance.json").read_text())
README = (CHART / "README.md").read_text()
CODECS = {"aac": "AAC 48 kHz stereo", "opus": "Opus 48 kHz", "g711": "G.711 8 kHz"}
EACH_PACKET = "edgeaudio, latency_ms = 0"
UNITS = {"m": 1e-3, "M": 1e6}
MB = 1e6


def figures() -> dict[str, dict[str, Any]]:
    return {each["name"]: each for part in MEASURED["parts"] for each in part.get("figures", ())}


def quantity(text: str) -> float:
    """A quantity of Kubernetes, in cores or bytes."""
    ((number, unit),) = re.findall(r"^(\d+)(m|M)$", text)
    return int(number) * UNITS[unit]


def resources(streams: int, codec: str = "aac") -> dict[str, dict[str, float]]:
    found = rendered({"sizing": {"streams": streams, "codec": codec}}).container()["resources"]
    return {kind: {name: quantity(text) for name, text in each.items()} for kind, each in found.items()}


def largest(shards: int) -> int:
    """The largest of that many shards of SOURCES that the chart expects, from what it says to one source each."""
    with pytest.raises(RefusedError, match="raise shards, or sizing") as refused:
        rendered({"sources": SOURCES, "shards": shards, "sizing": {"streams": 1}})
    (count,) = re.findall(r"one may have (\d+), and sizing.streams is 1;", str(refused.value))
    return int(count)


@pytest.mark.parametrize("codec", CODECS)
def test_a_shard_may_have_the_cpu_that_was_measured_and_little_more(codec: str) -> None:
    for streams, how in ((1, "alone"), (10, "10 at once")):
        figure = figures()[f"CPU of a stream, {CODECS[codec]}, {how}"]
        found = resources(streams, codec)
        measured = figure["ours"] * streams / 1000
        assert measured <= found["requests"]["cpu"] <= 1.1 * measured + 0.005  # probes, and whole thousandths
        assert found["limits"]["cpu"] >= max(1.0, figure["others"][EACH_PACKET] * streams / 1000)


def test_a_hundred_streams_too() -> None:
    (growth,) = (
        each for part in MEASURED["parts"] for each in part["growth"] if each["name"].startswith("CPU of the agent")
    )
    for streams, ms in growth["points"]:
        assert ms / 1000 <= resources(int(streams))["requests"]["cpu"] <= 1.35 * ms / 1000 + 0.004
    assert resources(100)["limits"]["cpu"] == pytest.approx(1.62)


def test_a_shard_may_have_the_memory_that_was_measured_and_what_its_watch_wants() -> None:
    one, more, ten = (
        figures()[name]["ours"] for name in ("memory, one source", "memory, each source more", "memory, 10 sources")
    )
    for streams, measured in ((1, one), (10, ten), (100, one + 99 * more)):
        found = resources(streams)
        asked = found["requests"]["memory"] / MB
        assert measured <= asked <= 1.05 * measured
        # the agent's own limit is half of the container's, and is not one that it has to raise
        limit = limit_of(None, found["limits"]["memory"] / MB, one, streams)
        assert limit is not None
        assert not limit.raised
        assert limit.mb > asked


def test_the_readme_s_table_is_what_the_chart_asks_for() -> None:
    rows = re.findall(r"^\| (\d+) \| (\w+) \| (\d+m) \| (\d+M) \| (\d+m) \| (\d+M) \|$", README, re.MULTILINE)
    assert len(rows) > 5
    for streams, codec, *cells in rows:
        found = rendered({"sizing": {"streams": int(streams), "codec": codec}}).container()["resources"]
        assert [found[kind][name] for kind in ("requests", "limits") for name in ("cpu", "memory")] == cells


@pytest.mark.parametrize("shards", [1, 2, 3, 7, 30, 300, 1000])
def test_the_largest_shard_is_the_mean_and_three_deviations(shards: int) -> None:
    mean = len(SOURCES) / shards
    wanted = len(SOURCES) if shards == 1 else min(len(SOURCES), math.ceil(mean + 3 * math.sqrt(mean)))
    assert largest(shards) == wanted
    fit = {"sources": SOURCES, "shards": shards, "sizing": {"streams": wanted}}
    assert rendered(fit).container()["resources"]


def test_no_shard_of_thirty_has_more() -> None:
    shares = [owner_of(name, 30) for name in SOURCES]
    assert max(map(shares.count, range(30))) <= largest(30)


def test_another_number_of_cameras_changes_no_pod() -> None:
    few = dict(list(SOURCES.items())[:100])
    assert rendered({"sources": few}).one("StatefulSet") == rendered({}).one("StatefulSet")


def test_resources_of_one_s_own_go_before() -> None:
    own = {"requests": {"cpu": "2", "memory": "1Gi"}, "limits": {"memory": "2Gi"}}
    assert rendered({"resources": own}).container()["resources"] == own
    with pytest.raises(RefusedError, match="gpu"):
        rendered({"resources": {"limits": {"gpu": "1"}}})


def test_the_notes_warn_of_more_than_a_core_carried() -> None:
    for codec in ("aac", "g711"):
        carried = round(figures()[f"streams on one core, {CODECS[codec]}"]["ours"])
        assert "WARNING" not in rendered({"sizing": {"streams": carried, "codec": codec}}).notes
        assert (
            f"a core carried {carried} streams" in rendered({"sizing": {"streams": carried + 1, "codec": codec}}).notes
        )
