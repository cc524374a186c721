"""edgeaudio: recognises sounds of cameras and hydrophones, and publishes them over MQTT.

The public Python interface. Its parts are loaded at their first use, so that the command line and
the agent pay only for what they need.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from edgeaudio.version import __version__

if TYPE_CHECKING:
    from edgeaudio.api import alisten, detect, listen, load_model, utterances
    from edgeaudio.capture.errors import SourceError
    from edgeaudio.errors import EdgeaudioError
    from edgeaudio.predictions import Prediction
    from edgeaudio.types import Block, Event, Reason, Utterance

_HOMES = {
    "Block": "edgeaudio.types",
    "EdgeaudioError": "edgeaudio.errors",
    "Event": "edgeaudio.types",
    "Prediction": "edgeaudio.predictions",
    "Reason": "edgeaudio.types",
    "SourceError": "edgeaudio.capture.errors",
    "Utterance": "edgeaudio.types",
    "alisten": "edgeaudio.api",
    "detect": "edgeaudio.api",
    "listen": "edgeaudio.api",
    "load_model": "edgeaudio.api",
    "utterances": "edgeaudio.api",
}

__all__ = [
    "Block",
    "EdgeaudioError",
    "Event",
    "Prediction",
    "Reason",
    "SourceError",
    "Utterance",
    "__version__",
    "alisten",
    "detect",
    "listen",
    "load_model",
    "utterances",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 (what is looked up decides)
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
