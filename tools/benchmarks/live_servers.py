"""The cameras of the live measurements.

Owns: which streams there are. Does not know: who listens to the cameras.

The sound is pink noise, which an encoder cannot save bits on. A camera of 8 kHz sends packets of 20 ms, as cameras do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from support.programs import lacking
from support.rtsp import GstServer, start_gst_server

AAC, OPUS, G711 = "AAC 48 kHz stereo", "Opus 48 kHz", "G.711 8 kHz"
# codec -> rate in Hz, channels, samples in a packet, encoder and payloader
_CODECS = {
    AAC: (48_000, 2, 1024, "voaacenc ! rtpmp4gpay pt=96"),
    OPUS: (48_000, 1, 960, "opusenc ! rtpopuspay pt=96"),
    G711: (8_000, 1, 160, "alawenc ! rtppcmapay pt=8"),
}
NOISE = "wave=pink-noise volume=0.2"
SILENCE = "wave=silence"
# about -70 dBFS: a quiet room, below the agent's gate at -60
QUIET = "wave=white-noise volume=0.0006"
PROGRAMS = ("mosquitto", "gstreamer")


@contextmanager
def camera(codec: str, sound: str = NOISE) -> Iterator[GstServer]:
    """Run an RTSP camera for any number of listeners; `sound`: properties of GStreamer's audiotestsrc."""
    rate, channels, packet, chain = _CODECS[codec]
    source = f"audiotestsrc is-live=true samplesperbuffer={packet} {sound}"
    caps = f"audio/x-raw,rate={rate},channels={channels}"
    with start_gst_server(f"{source} ! {caps} ! audioconvert ! {chain} name=pay0") as server:
        yield server


def can_run(part: str, programs: Sequence[str] = PROGRAMS) -> bool:
    """True if the programs that a part needs are installed; prints what is missing otherwise."""
    if missing := lacking(programs):
        print(f"(without {part}: {', '.join(missing)} is not installed; `make programs`)")
    return not missing
