"""Which sources the agent listens to, and with which models: built from the settings, changed by new ones.

Owns: the listeners, the loaded models, and the way from old settings to new ones.
Does not know: threads (it is used by the main thread), commands, the broker.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from edgeaudio.agent.recogniser import Recogniser
from edgeaudio.agent.source_worker import Listener, Surroundings
from edgeaudio.health.timings import TimedModel
from edgeaudio.settings import ModelSettings, Settings
from edgeaudio.wiring import load_models, model_plans, source_config, source_pipeline

# fields of a source that change nothing about how it is read and recognised
_LIGHT = {"thresholds", "schedule", "enabled", "level_interval_s"}


@dataclass(frozen=True, slots=True)
class Change:
    """What new settings did."""

    kept: tuple[Listener, ...]
    begun: tuple[Listener, ...]
    removed: tuple[Listener, ...]


class Roster:
    """The sources and models in use. Raises EdgeaudioError where the settings ask for what cannot be."""

    def __init__(self, settings: Settings, recogniser: Recogniser, surroundings: Surroundings) -> None:
        self._settings = settings
        self._recogniser = recogniser
        self._around = surroundings
        self.models = _load(settings)
        recogniser.listeners.update({name: self._listener(name, settings, self.models) for name in settings.sources})

    def __iter__(self) -> Iterator[Listener]:
        return iter(self._recogniser.listeners.values())

    def switch(self, local_time: datetime) -> None:
        """Have every source listen or not, as its switch and its schedule want it at that local time."""
        for listener in self:
            listener.switch(local_time)

    def change(self, new: Settings) -> Change:
        """Take over new settings: sources that can, hear on; the others begin anew.

        Everything that can fail comes before anything is changed: EdgeaudioError leaves all as it was.
        """
        old, listeners = self._settings, self._recogniser.listeners
        models = self.models if _same_models(old, new) else _load(new)
        kept = [name for name in new.sources if models is self.models and self._same_source(name, old, new)]
        plans = {name: model_plans(new, models, name) for name in kept}
        begun = {name: self._listener(name, new, models) for name in new.sources if name not in kept}
        removed = tuple(listener for name, listener in listeners.items() if name not in kept)
        for listener in removed:
            listener.stop()
            self._recogniser.end(listener)
        with self._recogniser.lock:
            for listener in removed:
                del listeners[listener.name]
            listeners.update(begun)
            for name in kept:
                listeners[name].reconfigure(new.sources[name], plans[name])
        self._settings, self.models = new, models
        return Change(tuple(listeners[name] for name in kept), tuple(begun.values()), removed)

    def _same_source(self, name: str, old: Settings, new: Settings) -> bool:
        """Whether that source can go on hearing under the new settings."""
        before, after = old.sources.get(name), new.sources[name]
        if before is None or before.model_copy(update={key: getattr(after, key) for key in _LIGHT}) != after:
            return False
        # a password file can hold something new under the old name
        return source_config(name, after) == self._recogniser.listeners[name].config

    def _listener(self, name: str, settings: Settings, models: Mapping[str, TimedModel]) -> Listener:
        source = settings.sources[name]
        pipeline = source_pipeline(settings, models, name)
        return Listener(name, source, source_config(name, source), pipeline, self._around)


def _load(settings: Settings) -> dict[str, TimedModel]:
    return {name: TimedModel(model) for name, model in load_models(settings).items()}


def _same_models(old: Settings, new: Settings) -> bool:
    """Whether the models need not be loaded anew; their thresholds alone are no reason."""

    def heavy(models: Mapping[str, ModelSettings]) -> dict[str, ModelSettings]:
        return {name: model.model_copy(update={"thresholds": {}}) for name, model in models.items()}

    return heavy(old.models) == heavy(new.models)
