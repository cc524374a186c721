"""The tool that measures what sinks cost, as far as it can be wrong without agents."""

import re
from pathlib import Path

import pytest

from edgeaudio import sinks
from edgeaudio.settings.load import load_settings
from tools.maintenance.sinks_cost import Cost, Way, settings_of, table, ways

WAYS = ways("wyoming://127.0.0.1:10300")
PAGE = (Path(__file__).parents[1] / "docs" / "performance.md").read_text()


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_an_agent_takes_the_settings_of_each_way(way: Way, tmp_path: Path):
    config = tmp_path / "edgeaudio.toml"
    config.write_text(f'state_dir = "{tmp_path}"\n{settings_of(way, tmp_path / "tape.wav")}')
    settings = load_settings(config, [word for word in way.arguments if word != "--set"])
    assert settings.clips.enabled == way.name.startswith("clips")
    assert settings.live.audio == ("audio" in way.lease)
    assert bool(settings.transcribed) == (way.name == "transcripts")


def test_every_sink_is_measured():
    names = " ".join(way.name.lower() for way in WAYS)
    shipped = {path.parent.name for path in Path(sinks.__file__).parent.glob("*/__init__.py")}
    assert len(shipped) > 3
    assert [name for name in shipped if name not in names] == []


def test_the_table_has_what_is_more_than_the_first():
    lines = table({"off": Cost(16.04, 106.0, 107.0, 9), "on": Cost(20.0, 105.5, 110.3, 0)})
    assert lines[2:] == [
        "| off | 16.0 |  | 106.0 |  | 107.0 | 9 |",
        "| on | 20.0 | +4.0 | 105.5 | -0.5 | 110.3 |  |",
    ]


def test_the_page_has_the_agents_that_are_measured():
    section = PAGE.partition("\n## What each sink costs\n")[2].partition("\n## ")[0]
    assert re.findall(r"^\| (.+?) \| [0-9]", section, re.MULTILINE) == [way.name for way in WAYS]
