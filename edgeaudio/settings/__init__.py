"""Settings: a TOML file, under credentials, under the environment, under the command line.

`load_settings()` reads and checks them all. Only this package knows pydantic-settings.
"""

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
