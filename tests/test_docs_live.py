"""The decoder in docs/mqtt.md reads what the agent publishes, and the table beside it is the layout."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from struct import Struct
from typing import Any

import numpy as np
import pytest

from edgeaudio.media.opus_packets import BIT_RATE
from edgeaudio.sinks.live.leases import MAX_SOURCES
from edgeaudio.sinks.live.sink import LEAST_SCORE, MAX_LABELS
from edgeaudio.sinks.live.sound import SoundSource
from edgeaudio.sinks.live.stream import ColumnSource
from edgeaudio.sinks.mqtt import messages
from edgeaudio.sinks.mqtt.commands import MAX_LIVE_S
from edgeaudio.sinks.mqtt.topics import Topics
from edgeaudio.types import Block

PAGE = (Path(__file__).parents[1] / "docs" / "mqtt.md").read_text()
SECTION = PAGE.partition("\n## Live spectrogram\n")[2].partition("\n## ")[0]
SOUND_SECTION = PAGE.partition("\n## Live sound\n")[2].partition("\n## ")[0]
TYPES = {"u8": "B", "u16": "H", "u32": "I", "u64": "Q", "i64": "q", "f32": "f"}


def names_of(section: str) -> dict[str, Any]:
    """What the program on the page defines."""
    (code,) = re.findall(r"^```python\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102 (our own)
    return names


def test_the_decoder_of_the_page_reads_what_is_published() -> None:
    names = names_of(SECTION)
    rate, at = 48_000, datetime(2026, 3, 1, 12, 0, 0, 123_456, tzinfo=UTC)
    tone = (0.5 * np.sin(2 * np.pi * 3000.0 * np.arange(rate) / rate)).astype(np.float32)
    (packet, *_) = ColumnSource(0.0).feed(Block("porch", 1, 0, at, rate, tone), 0.0)
    payload = messages.live_columns(Topics("edgeaudio", "dock"), packet).payload
    first_s, hop_s, level_db = names["columns"](payload)
    assert abs(first_s - packet.at.timestamp()) < 1e-6
    assert abs(hop_s - 0.02) < 1e-9
    assert level_db.shape == (10, 256)
    power = 10 ** (level_db / 10)
    bands_hz = np.arange(256) * 24_000 / 256
    assert set(bands_hz[level_db.argmax(axis=1)]) <= {2906.25, 3000.0}
    assert np.abs(10 * np.log10(power.sum(axis=1)) - 10 * np.log10(0.125)).max() < 0.3


def test_the_decoder_of_the_page_reads_sound() -> None:
    rate, at = 48_000, datetime(2026, 3, 1, 12, 0, 0, 123_456, tzinfo=UTC)
    noise = np.random.default_rng(1).normal(0, 0.1, rate).astype(np.float32)
    made = list(SoundSource({}, 0.0).take(Block("porch", 1, 0, at, rate, noise), 0.0))
    assert len(made) == 5
    for value in made:
        payload = messages.live_sound(Topics("edgeaudio", "dock"), value).payload
        at_s, *found = names_of(SOUND_SECTION)["sound"](payload)
        assert abs(at_s - value.at.timestamp()) < 1e-6
        assert found == [value.position, value.count, value.pre_skip, list(value.packets)]
        assert 750 < len(payload) < 1050
        assert f"{value.pre_skip} |" in SOUND_SECTION


@pytest.mark.parametrize(
    ("section", "header"), [(SECTION, messages.LIVE_HEADER), (SOUND_SECTION, messages.SOUND_HEADER)]
)
def test_the_table_of_the_page_is_the_layout(section: str, header: Struct) -> None:
    rows = re.findall(r"^\| (\d+) \| (\w+)", section, re.MULTILINE)
    fields = [(int(offset), TYPES[kind]) for offset, kind in rows]
    layout, offset = Struct("<" + "".join(kind for _, kind in fields[:-1])), 0
    for at, kind in fields:
        assert at == offset
        offset += Struct(f"<{kind}").size
    assert layout.size == fields[-1][0] == header.size
    assert header.format in section


def test_the_numbers_of_the_page_are_the_program_s() -> None:
    text = " ".join(SECTION.split())
    assert f"a number of seconds, up to {MAX_LIVE_S}" in text
    assert f"up to {MAX_LIVE_S} s, shared by all" in " ".join(SOUND_SECTION.split())
    assert f"Opus at {BIT_RATE // 1000} kbit/s" in SOUND_SECTION
    assert f"At most {MAX_SOURCES} sources" in text
    assert f"seconds from 0 to {MAX_LIVE_S}" in PAGE
    assert f"if a score is over {LEAST_SCORE}" in PAGE
    assert f"the best {MAX_LABELS} labels" in PAGE
