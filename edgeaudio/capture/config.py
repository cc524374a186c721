"""Configuration of one source, made from the settings."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from edgeaudio.capture.rtsp_setup import MediaSetting, TransportSetting
from edgeaudio.capture.source_urls import SourceUrl, parse_url
from edgeaudio.types import Channel

# what a source may announce: all recorders are within, and memory grows in proportion
MIN_SAMPLE_RATE = 1_000  # Hz
MAX_SAMPLE_RATE = 1_000_000  # Hz
MAX_CHANNELS = 64


@dataclass(frozen=True, slots=True)
class SourceConfig:
    """Address of a source, and how it is read. Raises UrlError for an address that cannot be used."""

    name: str
    url: str = field(repr=False)  # see capture/source_urls.py for the spellings; may hold a login
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    channel: Channel = "auto"
    pauses: bool = False  # the sender is known to send nothing while it is quiet
    loop: bool = False  # play a recording again after its end
    media: MediaSetting = "auto"  # requested of an RTSP server
    transport: TransportSetting = "auto"  # of RTSP
    tls_verify: bool = True
    ca_file: Path | None = None  # None: the authorities that the system trusts
    open_timeout_s: float = 10.0
    read_timeout_s: float = 5.0  # without a sample
    # within which a track has to appear if the stream has no list of tracks; FFmpeg's own limits
    probe_bytes: int = 5_000_000
    probe_s: float = 5.0
    read_period_s: float = 0.0  # from one read of a live stream to the next; 0: at every packet
    address: SourceUrl = field(init=False)

    def __post_init__(self) -> None:
        address = parse_url(self.url, self.username, self.password)
        object.__setattr__(self, "address", address)
