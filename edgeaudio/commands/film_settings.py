"""What `edgeaudio film` takes from the settings, where there are any.

Owns: not importing what is not needed: settings take 18 MB, the model runtime 9. Does not know: films.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edgeaudio.recognise.bundled_models import DEFAULT_MODEL, find_model
from edgeaudio.recognise.pipeline import ModelBinding
from edgeaudio.settings.places import nothing_is_set

if TYPE_CHECKING:
    from edgeaudio.settings import Settings

DEFAULT_LOG_LEVEL: Final = "info"  # as the settings'


def given_settings(path: Path | None, options: Sequence[str]) -> Settings | None:
    """Return the settings; None if nothing is set. Raises SettingsError."""
    if nothing_is_set(path, options):
        return None
    from edgeaudio.settings import load_settings  # noqa: PLC0415 (see the head)

    return load_settings(path, options)


def chosen_models(settings: Settings | None, names: Sequence[str], source: str | None) -> list[ModelBinding]:
    """Return the named models, else those of the settings, else the bundled one. Raises EdgeaudioError."""
    if names or settings is None:
        from edgeaudio.recognise.model import load_model  # noqa: PLC0415 (see the head)

        return [ModelBinding(load_model(find_model(name))) for name in names or (DEFAULT_MODEL,)]
    from edgeaudio.wiring import load_models, model_bindings  # noqa: PLC0415 (see the head)

    return model_bindings(settings, load_models(settings), source)
