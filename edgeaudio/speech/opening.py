"""From an address to the recogniser that is spoken to there.

Owns: which protocol a scheme is, and what is said where its library is not installed.
Does not know: protocols.
"""

from __future__ import annotations

from collections.abc import Callable

from edgeaudio.extras import installing
from edgeaudio.speech.config import Address, RecogniserConfig, check_config, parse_address
from edgeaudio.speech.recogniser import RecogniserError, SpeechRecogniser

__all__ = ["RecogniserConfig", "open_recogniser"]


def open_recogniser(config: RecogniserConfig) -> SpeechRecogniser:
    """Return the recogniser; it is not connected yet.

    Raises RecogniserError for an address or another value that cannot be used, and if the extra `speech` is missing.
    """
    address = parse_address(config.url)
    check_config(config)
    try:
        protocol = _protocol(address)
    except ImportError as problem:
        missing = " ".join(str(problem).split())
        raise RecogniserError(
            f"the recogniser {address.where} needs a library ({missing}): {installing('speech')}"
        ) from None
    return protocol(address, config)


def _protocol(address: Address) -> Callable[[Address, RecogniserConfig], SpeechRecogniser]:
    # each imports its library: those of the others are not loaded
    match address.scheme:
        case "wyoming":
            from edgeaudio.speech.wyoming import WyomingRecogniser

            return WyomingRecogniser
        case "http" | "https":
            from edgeaudio.speech.openai_http import HttpRecogniser

            return HttpRecogniser
        case _:
            from edgeaudio.speech.funasr import FunasrRecogniser

            return FunasrRecogniser
