"""Configurations of the rooms, built from the settings: sources, the broker, models.

Owns: the translation, and the errors in settings that only a loaded model reveals (labels, groups).
Does not know: threads, connections, or when a configuration is used.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from math import ceil
from typing import TYPE_CHECKING, Literal
from uuid import NAMESPACE_DNS, uuid5

from edgeaudio.capture.config import SourceConfig
from edgeaudio.recognise.bundled_models import find_model
from edgeaudio.recognise.fused_model import LoadedModel
from edgeaudio.recognise.manifest import EntitySection, Threshold
from edgeaudio.recognise.manifest_file import ManifestError
from edgeaudio.recognise.model import load_model
from edgeaudio.recognise.pipeline import ModelBinding, Scorer, SourcePipeline
from edgeaudio.settings import ModelSettings, MqttSettings, Settings, SettingsError, SourceSettings, ThresholdSettings
from edgeaudio.sinks import Sink
from edgeaudio.sinks.clips.config import ClipsConfig, GrowingPicture, RetentionLimits
from edgeaudio.sinks.clips.sink import ClipsSink
from edgeaudio.sinks.live.config import LiveConfig
from edgeaudio.sinks.mqtt.broker import MqttConfig, parse_broker_url
from edgeaudio.sinks.mqtt.entities import LabelEntity
from edgeaudio.sinks.mqtt.homeassistant import birth_topic
from edgeaudio.sinks.mqtt.media_sink import MediaSink
from edgeaudio.sinks.mqtt.topics import Topics
from edgeaudio.slugs import slugs

if TYPE_CHECKING:
    from edgeaudio.speech.recogniser import SpeechRecogniser

MB = 1_000_000
DAY_S = 86_400
MAX_ANNOUNCED = 20  # labels of a model whose manifest has no `announce`


def source_config(name: str, source: SourceSettings, *, read_period_s: float = 0.0) -> SourceConfig:
    """Return how to open a source. Raises SettingsError if its password file cannot be read.

    `read_period_s`: from one read of a live stream to the next; 0: at every packet.
    """
    return SourceConfig(
        name=name,
        url=source.url.get_secret_value(),
        username=source.username,
        password=source.secret(),
        channel=source.channel,
        pauses=source.pauses,
        loop=source.loop,
        media=source.media,
        transport=source.transport,
        tls_verify=source.tls_verify,
        ca_file=source.ca_file,
        open_timeout_s=source.open_timeout_s,
        read_timeout_s=source.read_timeout_s,
        probe_bytes=source.probe_bytes,
        probe_s=source.probe_s,
        read_period_s=read_period_s,
    )


def read_period_s(settings: Settings, models: Mapping[str, Scorer], name: str) -> float:
    """Return how often a live source is read: as its settings want it, and whenever its most frequent clip ends.

    A rest must look like no pause of the sender, which begins to count after `read_timeout_s`. The steps of stateful
    models do not count: there are so many of them that reading at each would cost more than the models.
    """
    source = settings.sources[name]
    longest_s = min(source.latency_ms / 1000, source.read_timeout_s / 2)
    bindings = model_bindings(settings, models, name)
    periods = [each.effective_period_s for each in bindings if not each.model.manifest.input.stateful]
    if not periods or not longest_s:
        return longest_s
    return min(periods) / ceil(min(periods) / longest_s)


def topics_of(settings: Settings) -> Topics:
    """Return the topics of the agent of these settings."""
    return Topics(settings.mqtt.base_topic, settings.device, settings.shard.shard())


def mqtt_config(settings: Settings) -> MqttConfig:
    """Return how to reach the broker. Raises SettingsError if the password file cannot be read."""
    mqtt = settings.mqtt
    address = parse_broker_url(mqtt.url.get_secret_value())
    return MqttConfig(
        host=address.host,
        port=address.port,
        client_id=topics_of(settings).client_id,
        tls=address.tls,
        username=address.username if mqtt.username is None else mqtt.username,
        password=address.password if mqtt.username is None else mqtt.secret(),
        ca_file=mqtt.ca_file,
        cert_file=mqtt.cert_file,
        key_file=mqtt.key_file,
        rate_per_s=mqtt.rate_per_s,
    )


def sinks(settings: Settings) -> list[Sink]:
    """Return the best-effort sinks that the settings switch on."""
    clips = settings.clips
    if not clips.enabled:
        return []
    found: list[Sink] = [ClipsSink(clips_config(settings))]
    if clips.publish:
        found.append(MediaSink(topics_of(settings), mqtt_config(settings), clips.publish))
    return found


def clips_config(settings: Settings) -> ClipsConfig:
    """Return which clips are made, and where."""
    clips = settings.clips
    return ClipsConfig(
        device=settings.device,
        folder=settings.clips_folder.absolute(),
        format=clips.format,
        before_s=clips.before_s,
        after_s=clips.after_s,
        longest_s=clips.longest_s,
        labels=frozenset(clips.labels or ()),
        min_score=clips.min_score,
        never_with=clips.never_with,
        limits=RetentionLimits(
            max_age_s=clips.max_age_days * DAY_S,
            max_bytes=round(clips.max_mb * MB),
            best_per_label=clips.best_per_label,
            min_free_bytes=round(clips.min_free_mb * MB),
        ),
        make_picture=None if clips.picture == "none" else _picture_maker(clips.picture),
    )


def speech_recogniser(settings: Settings) -> SpeechRecogniser:
    """Return the recogniser of the settings, which must name one; it is not connected yet. Raises RecogniserError."""
    from edgeaudio.speech.opening import RecogniserConfig, open_recogniser  # noqa: PLC0415 (few agents transcribe)

    wanted = settings.transcripts
    config = RecogniserConfig(
        url="" if wanted.recogniser is None else wanted.recogniser.get_secret_value(),
        model=wanted.model,
        language=wanted.language,
        api_key=wanted.key(),
        timeout_s=wanted.timeout_s,
    )
    return open_recogniser(config)


def live_config(settings: Settings) -> LiveConfig:
    """Return what live views may have."""
    return LiveConfig(settings.live.audio, settings.clips.never_with)


def unjudged_labels(settings: Settings, models: Mapping[str, Scorer], source: str) -> list[str]:
    """Return the labels of `clips.never_with` that no model of a source has, so that its sound cannot be judged."""
    judged = {
        label for binding in model_bindings(settings, models, source) for label in binding.model.manifest.reported
    }
    return [label for label in settings.clips.never_with if label not in judged]


def image_type(settings: Settings) -> str | None:
    """Return the content type of the pictures that are published; None: none are."""
    clips = settings.clips
    if not clips.enabled or "image" not in (clips.publish or ()) or clips.picture == "none":
        return None
    return f"image/{clips.picture}"


def _picture_maker(image_format: Literal["jpeg", "webp", "png"]) -> Callable[[int], GrowingPicture]:
    """Return what makes the picture of a clip. Raises PictureError without Pillow."""
    from edgeaudio.pictures.canvas import require_pillow  # noqa: PLC0415 (Pillow takes memory, and few draw)
    from edgeaudio.sinks.clips.clip_picture import ClipPicture  # noqa: PLC0415

    require_pillow()
    return partial(ClipPicture, image_format)


def check_clips(settings: Settings, models: Mapping[str, Scorer]) -> None:
    """Raise SettingsError for labels of `[clips]` that no model reports, or that cannot be judged.

    Raise PictureError for pictures without Pillow. `never_with` counts for live sound too.
    """
    bindings = model_bindings(settings, models)
    if settings.clips.enabled:
        clips_config(settings)
        _require_known(
            settings.clips.labels or (), [label for each in bindings for label in reported_labels(each)], "clips.labels"
        )
    if not (settings.clips.enabled or settings.live.audio):
        return
    never_with = settings.clips.never_with
    known = [label for binding in bindings for label in binding.model.manifest.reported]
    _require_known(never_with, known, "clips.never_with")
    for binding in bindings:
        manifest = binding.model.manifest
        label = next((label for label in never_with if label in manifest.reported), None)
        if label is not None and binding.effective_period_s > manifest.clip.n_samples / manifest.clip.sample_rate:
            raise SettingsError(
                f"clips.never_with: the model {manifest.name} hears only a part of the sound, so {label!r} "
                f"may be in what is kept or heard; set models.{manifest.name}.period_ms to the length of the model's "
                "clips or less"
            )


def birth_filters(mqtt: MqttSettings) -> list[str]:
    """Return the filter of Home Assistant's birth topic; none if discovery is off."""
    return [birth_topic(mqtt.discovery_prefix)] if mqtt.discovery else []


def load_models(settings: Settings) -> dict[str, LoadedModel]:
    """Load every model of the settings, by its name there. Raises SettingsError, ManifestError, ModelError."""
    return {name: load_one_model(settings, name) for name in settings.models}


def load_one_model(settings: Settings, name: str) -> LoadedModel:
    """Load one model of the settings. Raises SettingsError, ManifestError, ModelError."""
    wanted = settings.models[name]
    path = find_model(name if wanted.path is None else wanted.path.absolute())
    try:
        return load_model(path, name=name, groups=wanted.groups)
    except ManifestError as error:
        for group in wanted.groups:  # the settings' group is wrong, not the manifest that it was added to
            if error.key == f"groups.{group}" or repr(group) in error.problem:
                raise SettingsError(f"models.{name}.groups.{group}: {error.problem}") from None
        raise


def model_bindings(settings: Settings, models: Mapping[str, Scorer], source: str | None = None) -> list[ModelBinding]:
    """How each model is run on a source; None: on any sound, by the models' settings alone.

    Raises SettingsError for labels that no model has, and EdgeaudioError for two of one model that share a topic.
    """
    own = None if source is None else settings.sources[source]
    names = list(models) if own is None or own.models is None else [name for name in models if name in own.models]
    overrides = {} if own is None else own.thresholds
    reported = [label for name in names for label in models[name].manifest.reported]
    _require_known(overrides, reported, f"sources.{source}.thresholds")
    _require_known(() if own is None else own.cooldown_s, reported, f"sources.{source}.cooldown_s")
    bindings = [_binding(settings, name, models[name], overrides) for name in names]
    for name, binding in zip(names, bindings, strict=True):
        slugs(reported_labels(binding), f"model {name}")
    return bindings


def model_binding(settings: Settings, model: Scorer, source: str | None = None) -> ModelBinding:
    """How one model would be run on a source; None: on any sound. The settings need not have the model.

    Raises SettingsError for labels that the model does not have.
    """
    overrides = {} if source is None else settings.sources[source].thresholds
    return _binding(settings, model.manifest.name, model, overrides)


def cooldowns_s(settings: Settings, bindings: Iterable[ModelBinding], source: str) -> dict[str, float]:
    """Return a source's cooldowns by label: its own, else the longest that one of its models has."""
    found: dict[str, float] = {}
    for binding in bindings:
        manifest = binding.model.manifest
        for label, cooldown_s in settings.models[manifest.name].cooldown_s.items():
            found[label] = max(cooldown_s, found.get(label, 0.0))
    return found | settings.sources[source].cooldown_s


def announced_labels(settings: Settings, models: Mapping[str, Scorer], source: str) -> tuple[LabelEntity, ...]:
    """The labels of a source that have entities of their own in Home Assistant.

    They are those of each model's `announce` list, or all where there is no list and not too many of them; and those
    that the settings name.
    """
    found: dict[str, LabelEntity] = {}
    for binding in model_bindings(settings, models, source):
        manifest, wanted = binding.model.manifest, settings.models[binding.model.manifest.name]
        reported = reported_labels(binding)
        named = {*wanted.thresholds, *wanted.groups, *settings.sources[source].thresholds, *(wanted.labels or ())}
        chosen = manifest.announce or (reported if len(reported) <= MAX_ANNOUNCED else ())
        for label in (*chosen, *(label for label in reported if label in named)):
            if label in reported and label not in found:
                shown = manifest.entities.get(label, EntitySection())
                found[label] = LabelEntity(label, shown.name, shown.device_class, shown.icon)
    return tuple(found.values())


def source_pipeline(settings: Settings, models: Mapping[str, Scorer], name: str) -> SourcePipeline:
    """Return the pipeline of a source. Raises SettingsError, and EdgeaudioError for two labels that share a topic."""
    bindings = model_bindings(settings, models, name)
    slugs(dict.fromkeys(label for binding in bindings for label in reported_labels(binding)), f"source {name}")
    topics, source = topics_of(settings), settings.sources[name]
    namespace = uuid5(NAMESPACE_DNS, topics.unique_name)
    return SourcePipeline(name, bindings, namespace=namespace, gate_dbfs=source.gate_dbfs, channel=source.channel)


def reported_labels(binding: ModelBinding) -> tuple[str, ...]:
    """Return the labels and groups that a model reports, as the settings have it."""
    return tuple(label for label in binding.model.manifest.reported if not binding.labels or label in binding.labels)


def _binding(settings: Settings, name: str, model: Scorer, overrides: Mapping[str, ThresholdSettings]) -> ModelBinding:
    wanted, manifest = settings.models.get(name, ModelSettings()), model.manifest
    _require_known(wanted.labels or (), manifest.reported, f"models.{name}.labels")
    _require_known(wanted.thresholds, manifest.reported, f"models.{name}.thresholds")
    _require_known(wanted.cooldown_s, manifest.reported, f"models.{name}.cooldown_s")
    if wanted.period_ms and manifest.input.stateful:
        raise SettingsError(
            f"models.{name}.period_ms: this model remembers what it heard, and takes its own steps of "
            f"{1000 * manifest.period_s:g} ms; remove this line"
        )
    chosen = {**wanted.thresholds, **{label: value for label, value in overrides.items() if label in manifest.reported}}
    return ModelBinding(
        model,
        period_s=(wanted.period_ms or 0) / 1000,
        labels=frozenset(wanted.labels or ()),
        thresholds={label: _threshold(value, manifest.threshold(label)) for label, value in chosen.items()},
        adapt=settings.detector.adapt,
    )


def _threshold(wanted: ThresholdSettings, own: Threshold) -> Threshold:
    return own.moved(wanted.on) if wanted.off is None else Threshold(wanted.on, wanted.off)


def _require_known(labels: Iterable[str], known: Sequence[str], where: str) -> None:
    for label in labels:
        if label not in known:
            near = difflib.get_close_matches(label, known, n=1)
            advice = f'did you mean "{near[0]}"?' if near else "`edgeaudio score --json --top 999` shows all"
            raise SettingsError(f'{where}: the model has no label "{label}"; {advice}')
