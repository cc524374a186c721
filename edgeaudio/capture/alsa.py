"""The ALSA library in PyAV's wheels: its configuration, its output, the capabilities of cards.

Owns: every call into ALSA that FFmpeg does not make.
Does not know: how a card is read, what its errors mean (alsa_errors.py).
"""

from __future__ import annotations

import ctypes
import functools
import os
import re
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import av.device

CONFIGURATION = "/usr/share/alsa/alsa.conf"
_KERNEL = Path("/proc/asound")  # `pcm` has a line each: "01-00: USB Audio : USB Audio : playback 1 : capture 1"
_CAPTURE, _NONBLOCK = 1, 1  # SND_PCM_STREAM_CAPTURE, SND_PCM_NONBLOCK
_HANDLER = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p)


def prepare_alsa() -> None:
    """Point ALSA at the system's files, unless the environment already says where they are.

    The library in PyAV's wheels looks for them where it was built, under /tmp: there it finds no
    sound card, or loads whatever another user of the machine put there.
    """
    os.environ.setdefault("ALSA_CONFIG_PATH", CONFIGURATION)
    architecture = sysconfig.get_config_var("MULTIARCH") or ""
    os.environ.setdefault("ALSA_PLUGIN_DIR", str(Path("/usr/lib", architecture, "alsa-lib")))
    _silence_alsa()
    _forget_configuration()


def cards_that_record() -> list[str]:
    """Return the cards that the kernel lists: "alsa:plughw:CARD=Device,DEV=0 (USB Audio)".

    Cards are named: their numbers change with the order in which they are found.
    """
    try:
        lines = (_KERNEL / "pcm").read_text(errors="replace").splitlines()
        found = [card for line in lines if (card := re.fullmatch(r"(\d+)-(\d+): (.*?) : .*capture \d+.*", line))]
        names = [(_KERNEL / f"card{int(card[1])}" / "id").read_text(errors="replace").strip() for card in found]
    except OSError:
        return []
    return [f"alsa:plughw:CARD={name},DEV={int(card[2])} ({card[3]})" for name, card in zip(names, found, strict=True)]


@dataclass(frozen=True, slots=True)
class Offer:
    """Capabilities of a card; None: not reported."""

    channels: tuple[int, int] | None = None  # the least, the most
    rates: tuple[int, int] | None = None  # Hz


def offer_of(device: str) -> Offer:
    """Return the capabilities of a card, which is opened for that."""
    with suppress(OSError, AttributeError), _capabilities(device) as parameters:
        return Offer(_range(parameters, "channels"), _range(parameters, "rate", ctypes.byref(ctypes.c_int())))
    return Offer()


@contextmanager
def _capabilities(device: str) -> Iterator[ctypes.c_void_p]:
    """Yield the hardware parameters of a card, for ALSA's functions. Raises OSError, AttributeError."""
    alsa = _alsa()
    card, parameters = ctypes.c_void_p(), ctypes.c_void_p()
    _checked(alsa.snd_pcm_open(ctypes.byref(card), device.encode(), _CAPTURE, _NONBLOCK))
    try:
        _checked(alsa.snd_pcm_hw_params_malloc(ctypes.byref(parameters)))
        try:
            _checked(alsa.snd_pcm_hw_params_any(card, parameters))
            yield parameters
        finally:
            alsa.snd_pcm_hw_params_free(parameters)
    finally:
        alsa.snd_pcm_close(card)


def _range(parameters: ctypes.c_void_p, what: str, *rounding: object) -> tuple[int, int]:
    bounds: list[int] = []
    for bound in ("min", "max"):
        value = ctypes.c_uint()
        _checked(getattr(_alsa(), f"snd_pcm_hw_params_get_{what}_{bound}")(parameters, ctypes.byref(value), *rounding))
        bounds.append(value.value)
    return bounds[0], bounds[1]


def _checked(answer: int) -> None:
    if answer < 0:
        raise OSError(-answer, os.strerror(-answer))


def _alsa() -> ctypes.CDLL:
    # the handle of a library resolves names in those that it is linked with, such as ALSA
    return ctypes.CDLL(av.device.__file__)


def _forget_configuration() -> None:
    """Make ALSA read its configuration again, and with it the list of cards.

    ALSA caches what a card's files define (`sysdefault:`, `front:`) at the first use of any card: a card plugged in
    later is not found by those names.
    """
    with suppress(OSError, AttributeError):
        _alsa().snd_config_update_free_global()


_silent = _HANDLER(lambda *_: None)


@functools.cache
def _silence_alsa() -> None:
    """Keep ALSA from printing its errors on standard error: FFmpeg logs them.

    The plug-ins for PulseAudio and PipeWire load the system's ALSA library beside the one in PyAV's wheels.
    """
    for library in (av.device.__file__, "libasound.so.2"):
        # since 1.2.15 there are two handlers
        for name in ("snd_lib_error_set_handler", "snd_lib_log_set_handler"):
            with suppress(OSError, AttributeError):
                getattr(ctypes.CDLL(library), name)(_silent)
