"""Sources and models of the agent: built from the settings, changed by new ones.

Owns: the settings in force, the workers, the loaded models, and the change to new settings.
Does not know: threads (it is used by the main thread), commands, the broker.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from edgeaudio.agent.recogniser import Recogniser
from edgeaudio.agent.source_worker import SourceWorker, WorkerContext
from edgeaudio.agent.timed_model import TimedModel, timed_model
from edgeaudio.capture.config import SourceConfig
from edgeaudio.settings import ModelSettings, Settings
from edgeaudio.wiring import (
    check_clips,
    cooldowns_s,
    load_models,
    model_bindings,
    read_period_s,
    source_config,
    source_pipeline,
)

# fields of a source that do not affect its connection and pipeline
_LIGHT_FIELDS = {"thresholds", "cooldown_s", "schedule", "enabled", "level_interval_s"}


@dataclass(frozen=True, slots=True)
class SourceChanges:
    """Sources that new settings kept, began and removed."""

    kept: tuple[SourceWorker, ...]
    begun: tuple[SourceWorker, ...]
    removed: tuple[SourceWorker, ...]


class SourceManager:
    """Sources and models in use. Raises EdgeaudioError for settings that cannot be applied."""

    def __init__(self, settings: Settings, recogniser: Recogniser, context: WorkerContext) -> None:
        self.settings = settings
        self._recogniser = recogniser
        self._context = context
        self.models = _load(settings)
        recogniser.workers.update({name: self._worker(name, settings, self.models) for name in settings.sources})

    def __iter__(self) -> Iterator[SourceWorker]:
        return iter(self._recogniser.workers.values())

    def switch(self, local_time: datetime) -> None:
        """Start or stop every source, as its switch and its schedule want it at that local time."""
        for worker in self:
            worker.switch(local_time)

    def change(self, new: Settings) -> SourceChanges:
        """Apply new settings. Unchanged sources keep their connection; changed ones reconnect.

        Raises EdgeaudioError, and then changes nothing.
        """
        old, workers = self.settings, self._recogniser.workers
        models = self.models if _same_models(old, new) else _load(new)
        kept = [name for name in new.sources if models is self.models and self._same_source(name, old, new)]
        bindings = {name: model_bindings(new, models, name) for name in kept}
        begun = {name: self._worker(name, new, models) for name in new.sources if name not in kept}
        removed = tuple(worker for name, worker in workers.items() if name not in kept)
        for worker in removed:
            worker.stop()
            self._recogniser.end(worker)
        with self._recogniser.lock:
            for worker in removed:
                del workers[worker.name]
            workers.update(begun)
            for name in kept:
                workers[name].reconfigure(new.sources[name], bindings[name], cooldowns_s(new, bindings[name], name))
        self.settings, self.models = new, models
        return SourceChanges(tuple(workers[name] for name in kept), tuple(begun.values()), removed)

    def _same_source(self, name: str, old: Settings, new: Settings) -> bool:
        """True if a source can keep its connection and pipeline under the new settings."""
        before, after = old.sources.get(name), new.sources[name]
        if before is None or before.model_copy(update={key: getattr(after, key) for key in _LIGHT_FIELDS}) != after:
            return False
        # a password file may have new content
        return self._config(name, new, self.models) == self._recogniser.workers[name].config

    def _worker(self, name: str, settings: Settings, models: Mapping[str, TimedModel]) -> SourceWorker:
        pipeline = source_pipeline(settings, models, name)
        config = self._config(name, settings, models)
        cooldowns = cooldowns_s(settings, model_bindings(settings, models, name), name)
        return SourceWorker(name, settings.sources[name], config, pipeline, cooldowns, self._context)

    @staticmethod
    def _config(name: str, settings: Settings, models: Mapping[str, TimedModel]) -> SourceConfig:
        return source_config(name, settings.sources[name], read_period_s=read_period_s(settings, models, name))


def _load(settings: Settings) -> dict[str, TimedModel]:
    models = {name: timed_model(model) for name, model in load_models(settings).items()}
    check_clips(settings, models)
    return models


def _same_models(old: Settings, new: Settings) -> bool:
    """True if the loaded models can be kept: nothing but their thresholds and cooldowns has changed."""

    def heavy(models: Mapping[str, ModelSettings]) -> dict[str, ModelSettings]:
        return {name: model.model_copy(update={"thresholds": {}, "cooldown_s": {}}) for name, model in models.items()}

    return heavy(old.models) == heavy(new.models)
