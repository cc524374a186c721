"""Classification of a sound card's failures, from ALSA's messages in FFmpeg's log: FFmpeg always returns EIO.

Owns: what each of ALSA's errors means at each step, and what to do about it.
Does not know: how a card is opened or read.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from edgeaudio.capture.alsa import cards_that_record, offer_of
from edgeaudio.capture.ffmpeg_log import FfmpegLog
from edgeaudio.capture.network_probe import ProbeResult
from edgeaudio.capture.source_urls import SourceUrl
from edgeaudio.types import Reason

_DEVICES = Path("/dev/snd")
_ERRORS = {os.strerror(number): number for number in errno.errorcode}
_WORDS = r"(?P<words>[A-Za-z /,-]+)"
_OPENING = rf"cannot open audio device .*\({_WORDS}\)\s*$"
_SETTING = rf"cannot set .*\({_WORDS}\)\s*$"
_READING = rf"ALSA read error: {_WORDS}\s*$"
_RECOVERING = rf"snd_pcm_(prepare|resume) failed: {_WORDS}\)\s*$"

_DENIED = "let the user that edgeaudio runs as join the group audio; a container needs that group, and /dev/snd"
_SERVER = "let PipeWire or PulseAudio run for the user that edgeaudio runs as, or name a card: `arecord -L` lists them"
_AILING = "plug it in again; `dmesg` may say what ails it"
_NAMES = "`arecord -L` lists the names that there are, as in alsa:plughw:CARD=Device,DEV=0"
# at every step; {} is the card's name
_ALWAYS = {
    errno.EBUSY: ProbeResult(Reason.DEVICE_BUSY, "another program holds the sound card {}"),
    errno.EACCES: ProbeResult(Reason.UNAUTHORIZED, "not allowed to use the sound card {}", _DENIED),
    errno.EPERM: ProbeResult(Reason.UNAUTHORIZED, "not allowed to use the sound card {}", _DENIED),
    # from ALSA's plug-ins for PipeWire and PulseAudio
    errno.ECONNREFUSED: ProbeResult(Reason.REFUSED, "the sound server behind {} does not answer", _SERVER),
    errno.EHOSTDOWN: ProbeResult(Reason.REFUSED, "the sound server behind {} does not answer", _SERVER),
}
_OPENED = {
    errno.EINVAL: ProbeResult(Reason.INVALID_DATA, "ALSA can make nothing of the name {}", _NAMES),
    errno.ENOSYS: ProbeResult(Reason.INVALID_DATA, "ALSA can make nothing of the name {}", _NAMES),
}
_READ = {
    # the driver waits 10 s for a card
    errno.EIO: ProbeResult(Reason.TIMEOUT, "the sound card {} gives no sound", _AILING),
    errno.ETIMEDOUT: ProbeResult(Reason.TIMEOUT, "the sound card {} gives no sound", _AILING),
}
_GONE = {errno.ENODEV, errno.ENXIO, errno.ENOENT}  # ENXIO also: a plug-in of ALSA's that is not installed


def explain_sound_card(url: SourceUrl, log: FfmpegLog, *, opening: bool, timed_out: bool) -> ProbeResult:
    """Return why the card fails, while it is opened or read."""
    device = url.device or "default"
    number = _number(log)
    if number in _ALWAYS:
        result = _ALWAYS[number]
    elif timed_out:
        result = _READ[errno.ETIMEDOUT]
    elif not opening:
        result = _READ.get(number or 0, ProbeResult(Reason.DEVICE_GONE, "the sound card {} went away"))
    elif number in _GONE:
        result = _absent()
    elif log.search(_OPENING):
        words = f" ({os.strerror(number).lower()})" if number else ""
        result = _OPENED.get(
            number or 0, ProbeResult(Reason.DEVICE_GONE, f"the sound card {{}} cannot be opened{words}", _AILING)
        )
    else:
        result = _unfit(device, log)
    return result._replace(detail=result.detail.format(device))


def _number(log: FfmpegLog) -> int | None:
    """Return the errno of ALSA's message; None if it is not known."""
    # an error of a restart is logged before the overrun that caused the restart
    patterns = (_OPENING, _SETTING, _RECOVERING, _READING)
    found = next((match for pattern in patterns if (match := log.search(pattern))), None)
    return _ERRORS.get(found["words"]) if found else None


def _absent() -> ProbeResult:
    if not Path(os.environ.get("ALSA_CONFIG_PATH", "")).is_file():
        return ProbeResult(
            Reason.NOT_FOUND, "ALSA's configuration is missing", "install libasound2-data (Debian's name)"
        )
    cards = cards_that_record()
    if not cards:
        detail = "there is no sound card {}, and this machine has none at all that records"
        return ProbeResult(Reason.NOT_FOUND, detail, "plug one in; `arecord -L` then lists it")
    if not _DEVICES.exists():
        detail = "there is no sound card {} here, though the machine has one"
        return ProbeResult(Reason.NOT_FOUND, detail, "give the container the device /dev/snd, and the group audio")
    return ProbeResult(Reason.NOT_FOUND, "there is no sound card {}", f"there is {', '.join(cards)}")


def _unfit(device: str, log: FfmpegLog) -> ProbeResult:
    """Return which requested format the card does not support."""
    plug = f", or write alsa:plug{device}, which converts" if device.startswith("hw:") else ""
    offer = offer_of(device)
    if wanted := log.search(r"cannot set channel count to (?P<count>\d+)"):
        detail = f"the sound card {{}} does not give {wanted['count']} channels"
        if offer.channels is None:
            return ProbeResult(Reason.INVALID_DATA, detail, f"write alsa:{device}?channels=N{plug}")
        least, most = offer.channels
        detail += f", but {least}" + ("" if least == most else f" to {most}")
        return ProbeResult(Reason.INVALID_DATA, detail, f"write alsa:{device}?channels={most}{plug}")
    if log.search("cannot set sample format"):
        hint = f"write alsa:plug{device}, which converts" if plug else "have ALSA convert them (`type plug`)"
        return ProbeResult(Reason.INVALID_DATA, "the sound card {} gives no samples of 16 bits", hint)
    told = "" if offer.rates is None else f"; it offers {offer.rates[0]} to {offer.rates[1]} Hz"
    detail = f"the sound card {{}} does not take this sample_rate with these channels{told}"
    return ProbeResult(Reason.INVALID_DATA, detail, f"leave sample_rate and channels out{plug}")
