"""Memory after a failed source, and under a hostile one."""

import gc
import struct
import threading
import weakref
from pathlib import Path

import pytest
from support.camera import Script, camera, sine_packets
from support.media import sine, write_media
from support.ports import free_port

from edgeaudio.capture.config import SourceConfig
from edgeaudio.capture.connection import open_source
from edgeaudio.capture.errors import SourceError


def peak_mb() -> float:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1000


def test_a_length_field_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    write_media(path, "pcm_s16le", sine(1000, 8000, 0.5), 8000)
    whole = path.read_bytes()
    # an 800 MB title in front of the sound
    title = b"LIST" + struct.pack("<I", 0xFFFFFFFF) + b"INFOISFT" + struct.pack("<I", 800_000_000)
    path.write_bytes(whole[:36] + title + whole[36:])
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from now
    before_mb = peak_mb()
    with pytest.raises(SourceError):
        open_source(SourceConfig("a", str(path)), threading.Event())
    assert peak_mb() - before_mb < 150


def failing_addresses(tmp_path: Path) -> list[str]:
    (tmp_path / "bad.wav").write_bytes(b"no recording" * 100)
    return [str(tmp_path / "bad.wav"), f"rtsp://127.0.0.1:{free_port()}/x"]


def test_a_failure_leaves_nothing_for_the_collector(tmp_path: Path) -> None:
    for address in failing_addresses(tmp_path):
        assert_let_go(address)
    with camera(Script(packets=lambda: sine_packets(5), linger=True)) as url:
        assert_let_go(url)


def assert_let_go(address: str) -> None:
    """Let the source fail; the memory of its connection must be free at once."""
    config = SourceConfig("a", address, open_timeout_s=1.0, read_timeout_s=0.3)
    stop = threading.Event()
    watched = weakref.ref(stop)
    gc.collect()
    gc.disable()
    try:
        with pytest.raises(SourceError) as caught, open_source(config, stop) as connection:
            list(connection)
        del stop, caught
        connection = None  # type: ignore[assignment]
        assert watched() is None, address
    finally:
        gc.enable()
