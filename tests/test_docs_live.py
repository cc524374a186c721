"""The decoder in docs/mqtt.md reads what the agent publishes, and the table beside it is the layout."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from struct import Struct

import numpy as np

from edgeaudio.sinks.live.leases import MAX_SOURCES
from edgeaudio.sinks.live.sink import LEAST_SCORE, MAX_LABELS
from edgeaudio.sinks.live.stream import ColumnSource
from edgeaudio.sinks.mqtt import messages
from edgeaudio.sinks.mqtt.commands import MAX_LIVE_S
from edgeaudio.sinks.mqtt.topics import Topics
from edgeaudio.types import Block

PAGE = (Path(__file__).parents[1] / "docs" / "mqtt.md").read_text()
SECTION = PAGE.partition("\n## Live spectrogram\n")[2].partition("\n## ")[0]
TYPES = {"u8": "B", "u16": "H", "u32": "I", "i64": "q", "f32": "f"}


def test_the_decoder_of_the_page_reads_what_is_published() -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```$", SECTION, re.DOTALL | re.MULTILINE)
    names: dict[str, object] = {}
    exec(code, names)  # noqa: S102 (our own)
    rate, at = 48_000, datetime(2026, 3, 1, 12, 0, 0, 123_456, tzinfo=UTC)
    tone = (0.5 * np.sin(2 * np.pi * 3000.0 * np.arange(rate) / rate)).astype(np.float32)
    (packet, *_) = ColumnSource(0.0).feed(Block("porch", 1, 0, at, rate, tone), 0.0)
    payload = messages.live_columns(Topics("edgeaudio", "dock"), packet).payload
    first_s, hop_s, level_db = names["columns"](payload)  # type: ignore[operator]
    assert abs(first_s - packet.at.timestamp()) < 1e-6
    assert abs(hop_s - 0.02) < 1e-9
    assert level_db.shape == (10, 256)
    power = 10 ** (level_db / 10)
    bands_hz = np.arange(256) * 24_000 / 256
    assert set(bands_hz[level_db.argmax(axis=1)]) <= {2906.25, 3000.0}
    assert np.abs(10 * np.log10(power.sum(axis=1)) - 10 * np.log10(0.125)).max() < 0.3


def test_the_table_of_the_page_is_the_layout() -> None:
    rows = re.findall(r"^\| (\d+) \| (\w+)", SECTION, re.MULTILINE)
    fields = [(int(offset), TYPES[kind]) for offset, kind in rows]
    layout, offset = Struct("<" + "".join(kind for _, kind in fields[:-1])), 0
    for at, kind in fields:
        assert at == offset
        offset += Struct(f"<{kind}").size
    assert layout.size == fields[-1][0] == messages.LIVE_HEADER.size
    assert messages.LIVE_HEADER.format in SECTION


def test_the_numbers_of_the_page_are_the_program_s() -> None:
    text = " ".join(SECTION.split())
    assert f"a number of seconds, up to {MAX_LIVE_S}" in text
    assert f"At most {MAX_SOURCES} sources" in text
    assert f"seconds from 0 to {MAX_LIVE_S}" in PAGE
    assert f"if a score is over {LEAST_SCORE}" in PAGE
    assert f"the best {MAX_LABELS} labels" in PAGE
