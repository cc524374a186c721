"""How FFmpeg is asked to open each kind of source.

Owns: the options per protocol, which protocols and formats an address may lead to, and limits.
Does not know: how failures are classified, how samples are read.

FFmpeg ignores options it does not know without a word, so each is given only to the protocol that
has it. Limits on time are passed for the protocol's own waiting; the Deadline holds over all of them.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field, replace
from pathlib import Path

from edgeaudio.capture.config import SourceConfig
from edgeaudio.capture.rtsp_setup import RtspMode
from edgeaudio.capture.source_urls import SourceUrl

# protocols that FFmpeg may use for a scheme; no source from the network can name a local file. For HTTP, FFmpeg
# speaks only to http_proxy.py, which does TLS and confines the servers; RTSP has no such limit
_PROTOCOLS = {
    "rtsp": "rtsp,rtp,udp,tcp",
    "rtsps": "rtsp,rtp,tls,tcp,udp",
    "rtsp+listen": "rtsp,rtp,udp,tcp",
    "rtmp": "rtmp,tcp",
    "rtmps": "rtmps,tls,tcp",
    "http": "http,tcp,crypto",
    "https": "http,tcp,crypto",
    "udp": "udp",
    "file": "file",
}
# containers of sound, without those that open other files or addresses (concat, sdp, dash, playlists), and without
# numbered pictures, screens and generated signals
_FILES = (
    "aac,ac3,aiff,alaw,amr,amrnb,amrwb,ape,asf,au,avi,caf,dsf,dts,eac3,flac,flv,g722,gsm,"
    "iff,loas,matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,mp3,mpc,mpc8,mpeg,mpegts,mulaw,mxf,nut,ogg,"
    "rm,sox,tak,truehd,tta,voc,w64,wav,wsd,wv,xwma"
)
_FORMATS = {"file": _FILES, "http": f"{_FILES},hls", "https": f"{_FILES},hls"}
_FORCED = {"udp": "mpegts", "rtmp": "flv", "rtmps": "flv", "alsa": "alsa"}

_MAX_STREAMS = 32
_LONGEST_S = 2000.0  # FFmpeg keeps it in microseconds, in 31 bits
_MAX_REDIRECTS = 20  # the proxy's own limit is lower, and reported
# FFmpeg reads every segment that the proxy passes on, whatever its name. The proxy decides where a playlist begins and
# when it is stale; a connection to the proxy serves one request
_HLS = {
    "allowed_extensions": "ALL",
    "allowed_segment_extensions": "ALL",
    "extension_picky": "0",
    "http_persistent": "0",
    "http_multiple": "0",
    "live_start_index": "0",
    "max_reload": str(1 << 30),
    "m3u8_hold_counters": str(1 << 30),
}
_UDP_BUFFER_BYTES = 1 << 20
_NONBLOCKING = "4"  # AVFMT_FLAG_NONBLOCK, which has no name there


@dataclass(frozen=True, slots=True)
class ProbeLimits:
    """Limits on how far FFmpeg reads a stream to find its tracks."""

    most_bytes: int
    most_s: float


@dataclass(frozen=True, slots=True)
class FfmpegCall:
    """Arguments of `av.open`. `file` holds the login: never print it."""

    file: str = field(repr=False)
    format: str | None
    options: dict[str, str]


def ffmpeg_call(config: SourceConfig, mode: RtspMode, look: ProbeLimits, *, proxy: str | None = None) -> FfmpegCall:
    """Return the arguments of `av.open`; `mode`: of RTSP; `proxy`: the URL of a HttpProxy, for HTTP only."""
    url = config.address
    options = {
        "probesize": str(look.most_bytes),
        "analyzeduration": _microseconds(look.most_s),
        "max_streams": str(_MAX_STREAMS),
    }
    if url.scheme == "alsa":
        return _sound_card(url, options)
    options["protocol_whitelist"] = _PROTOCOLS[url.scheme]
    if url.scheme in _FORMATS:
        options["format_whitelist"] = _FORMATS[url.scheme]
    if url.path is not None:
        # with the prefix, names such as "a:b.wav" or "-" mean files
        return FfmpegCall(f"file:{url.path.absolute()}", None, options)
    if proxy is not None:
        options |= _HLS | {"http_proxy": proxy, "max_redirects": str(_MAX_REDIRECTS)}
        # the proxy does the TLS
        url = replace(url, scheme="http", port=url.server_port)
    if url.is_tls:
        options |= _tls(verify=config.tls_verify, ca_file=config.ca_file or system_ca_file())
    read_us = _microseconds(max(config.open_timeout_s, config.read_timeout_s))
    if url.is_rtsp:
        # the Deadline limits pauses of a sender
        options |= {"rtsp_transport": mode.transport, "timeout": _microseconds(_LONGEST_S)}
        if mode.media == "audio":
            options["allowed_media_types"] = "audio"
    elif url.is_pushed:
        # in seconds, beyond the limit of any Deadline
        options |= {"rtsp_flags": "listen", "listen_timeout": str(2 * 86400)}
    elif url.scheme == "udp":
        options |= {"timeout": read_us, "buffer_size": str(_UDP_BUFFER_BYTES)}
    else:
        # not "timeout", which would make RTMP a server
        options["rw_timeout"] = read_us
    return FfmpegCall(url.with_login(), _FORCED.get(url.scheme), options)


def system_ca_file() -> Path | None:
    """Return the file of the system's trusted certificates; the libraries in PyAV's wheels look in other places."""
    cafile = ssl.get_default_verify_paths().cafile
    return Path(cafile) if cafile else None


def _tls(*, verify: bool, ca_file: Path | None) -> dict[str, str]:
    # explicit, because the default depends on the version of FFmpeg
    options = {"tls_verify": "1" if verify else "0"}
    if ca_file is not None:
        options["ca_file"] = str(ca_file)
    return options


def _sound_card(url: SourceUrl, options: dict[str, str]) -> FfmpegCall:
    # otherwise nothing can interrupt FFmpeg while it waits for a card
    options["fflags"] = _NONBLOCKING
    if url.sample_rate is not None:
        options["sample_rate"] = str(url.sample_rate)
    if url.channels is not None:
        # FFmpeg 9 knows the second name alone; of any number of channels, in no order
        options |= {"channels": str(url.channels), "ch_layout": f"{url.channels}C"}
    return FfmpegCall(url.device or "default", "alsa", options)


def _microseconds(seconds: float) -> str:
    return str(round(min(seconds, _LONGEST_S) * 1_000_000))
