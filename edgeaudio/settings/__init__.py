"""Settings: a TOML file, under credentials, under the environment, under the command line.

`load_settings()` reads and checks them all. Only this package knows pydantic-settings, and imports it when it is used:
a command without settings does without its memory.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgeaudio.settings.load import load_settings
    from edgeaudio.settings.reading import SettingsError
    from edgeaudio.settings.schema import ModelSettings, MqttSettings, Settings, SourceSettings, ThresholdSettings

__all__ = [
    "ModelSettings",
    "MqttSettings",
    "Settings",
    "SettingsError",
    "SourceSettings",
    "ThresholdSettings",
    "load_settings",
]
_MODULES = {"load_settings": "load", "SettingsError": "reading"}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Import what is asked for."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f"{__name__}.{_MODULES.get(name, 'schema')}"), name)
        globals()[name] = value
        return value
