"""Configurations of the rooms, built from the settings."""

from pathlib import Path

import numpy as np
import pytest
from support.tflite import model_directory

from edgeaudio.errors import EdgeaudioError
from edgeaudio.recognise.manifest import DetectorSection, Threshold
from edgeaudio.recognise.model import Model
from edgeaudio.settings import Settings, SettingsError
from edgeaudio.settings.schema import TranscriptsSettings
from edgeaudio.wiring import (
    check_clips,
    cooldowns_s,
    live_config,
    load_models,
    model_bindings,
    mqtt_config,
    read_period_s,
    sinks,
    source_config,
    speech_recogniser,
    unjudged_labels,
)

HOME = Path(__file__).parents[1] / "models" / "home"


def settings(**tables: object) -> Settings:
    return Settings.model_validate({"device": "dock", **tables})


def test_source_settings_become_a_source_config() -> None:
    table = {"url": "rtsps://cam/live", "username": "me", "password": "hunter2", "channel": 2, "tls_verify": False}
    config = source_config("porch", settings(sources={"porch": table}).sources["porch"])
    assert config.address.with_login() == "rtsps://me:hunter2@cam/live"
    assert (config.name, config.channel, config.transport, config.tls_verify) == ("porch", 2, "auto", False)
    assert "hunter2" not in repr(config)


def test_a_recogniser_of_the_settings_can_be_opened_or_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("hunter2\n")
    table = {"recogniser": "http://127.0.0.1:9/v1", "model": "small", "api_key_file": str(tmp_path / "key")}
    opened = speech_recogniser(settings(transcripts=table))
    assert opened.name == "small"
    assert "hunter2" not in repr(opened)
    with pytest.raises(EdgeaudioError, match="takes no login") as caught:
        speech_recogniser(settings(transcripts=table | {"recogniser": "wyoming://127.0.0.1:9"}))
    assert "hunter2" not in str(caught.value)


def test_sources_are_transcribed_only_where_a_recogniser_is_set() -> None:
    sources = {"porch": {"url": "alsa:x", "transcribe": True}, "attic": {"url": "alsa:y"}}
    found = settings(sources=sources, transcripts={"recogniser": "wyoming://127.0.0.1"})
    assert found.transcribed == {"porch"}
    without = found.model_copy(update={"transcripts": TranscriptsSettings()})  # as a reload does
    assert without.transcribed == set()
    assert Settings().transcribed == set()


@pytest.mark.parametrize(
    ("source", "period_s"),
    [
        ({}, 0.5),
        ({"latency_ms": 400}, 0.25),
        ({"latency_ms": 0}, 0.0),
        ({"read_timeout_s": 0.5}, 0.25),
    ],
)
def test_a_source_is_read_whenever_its_clips_end(source: dict[str, object], period_s: float, tmp_path: Path) -> None:
    table = {"url": "rtsp://cam", **source}
    whole = settings(models={"home": {"path": str(HOME)}}, sources={"porch": table}, state_dir=str(tmp_path))
    assert read_period_s(whole, load_models(whole), "porch") == period_s


def test_a_source_is_not_read_at_each_step_of_a_stateful_model(tmp_path: Path) -> None:
    """Such a model alone, and beside one whose clips end more rarely."""
    word = {"wake": {"path": str(model_directory(tmp_path, "wake_word", name="wake"))}}
    for models, period_s in ((word, 0.5), (word | {"home": {"path": str(HOME)}}, 0.5)):
        given = settings(models=models, sources={"porch": {"url": "rtsp://cam"}}, state_dir=str(tmp_path))
        assert read_period_s(given, load_models(given), "porch") == period_s


def test_a_stateful_model_takes_no_other_period(tmp_path: Path) -> None:
    word = {"path": str(model_directory(tmp_path, "wake_word")), "period_ms": 500}
    given = settings(models={"wake": word})
    with pytest.raises(SettingsError) as caught:
        model_bindings(given, load_models(given))
    assert str(caught.value) == (
        "models.wake.period_ms: this model remembers what it heard, and takes its own steps of 30 ms; remove this line"
    )


@pytest.mark.parametrize(
    ("mqtt", "login"),
    [
        ({"url": "mqtt://broker"}, (None, None)),
        ({"url": "mqtt://me:p%40ss@broker"}, ("me", "p@ss")),
        ({"url": "mqtt://broker", "username": "me", "password": "p@ss"}, ("me", "p@ss")),
        ({"url": "mqtt://broker", "username": "me"}, ("me", None)),
    ],
)
def test_mqtt_settings_become_a_broker_config(mqtt: dict[str, str], login: tuple[str | None, str | None]) -> None:
    config = mqtt_config(settings(mqtt=mqtt))
    assert (config.username, config.password) == login
    assert (config.host, config.port, config.tls, config.client_id) == ("broker", 1883, False, "edgeaudio-dock")


def test_an_mqtts_url_becomes_a_broker_config_with_tls(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").touch()
    config = mqtt_config(settings(mqtt={"url": "mqtts://broker:1", "rate_per_s": 4, "ca_file": tmp_path / "ca.pem"}))
    assert (config.port, config.tls, config.ca_file) == (1, True, tmp_path / "ca.pem")
    assert config.rate_per_s == 4


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return model_directory(
        tmp_path, detector=DetectorSection(on=0.7, off=0.4), thresholds={"third": Threshold(0.9, 0.8)}
    )


def test_a_model_has_its_manifest_s_values_by_default(model: Path) -> None:
    given = settings(models={"mine": {"path": model}})
    (binding,) = model_bindings(given, load_models(given))
    assert binding.effective_period_s == 0.05
    assert not binding.labels
    assert not binding.thresholds


def test_settings_override_the_manifest_and_a_source_overrides_both(model: Path) -> None:
    given = settings(
        models={
            "mine": {
                "path": model,
                "period_ms": 100,
                "labels": ["first", "third", "either"],
                "groups": {"either": ["first", "second"]},
                "thresholds": {"first": {"on": 0.3}, "third": {"on": 0.95}, "either": {"on": 0.6, "off": 0.1}},
            }
        },
        sources={
            "porch": {"url": "alsa:default", "thresholds": {"third": {"on": 0.5, "off": 0.5}}},
            "yard": {"url": "alsa:default"},
        },
    )
    models = load_models(given)
    (porch,), (yard,) = model_bindings(given, models, "porch"), model_bindings(given, models, "yard")
    assert porch.effective_period_s == 0.1
    assert porch.labels == {"first", "third", "either"}
    assert yard.thresholds == {
        "first": Threshold(0.3, 0.3 * (0.4 / 0.7)),  # in the manifest's proportion
        "third": Threshold(0.95, 0.95 * (0.8 / 0.9)),
        "either": Threshold(0.6, 0.1),
    }
    assert porch.thresholds == {**yard.thresholds, "third": Threshold(0.5, 0.5)}
    mine = models["mine"]
    assert isinstance(mine, Model)
    scores = mine.scores(np.repeat(np.array([0.1, 0.9, 0.5], np.float32), 40))
    np.testing.assert_allclose(scores, [0.1, 0.9, 0.5, 0.9], atol=1e-6)


def test_a_source_overrides_the_cooldowns_of_its_models(model: Path) -> None:
    given = settings(
        models={
            "one": {"path": model, "cooldown_s": {"first": 60, "second": 5, "third": 7}},
            "two": {"path": model, "cooldown_s": {"first": 30, "second": 10}},
        },
        sources={
            "porch": {"url": "alsa:default", "cooldown_s": {"first": 0}},
            "yard": {"url": "alsa:default", "models": ["two"]},
        },
    )
    models = load_models(given)
    porch, yard = (cooldowns_s(given, model_bindings(given, models, name), name) for name in ("porch", "yard"))
    assert porch == {"first": 0, "second": 10, "third": 7}
    assert yard == {"first": 30, "second": 10}


def test_a_source_runs_the_models_it_names(model: Path) -> None:
    given = settings(
        models={"one": {"path": model}, "two": {"path": model}},
        sources={"porch": {"url": "alsa:default", "models": ["two"]}, "yard": {"url": "alsa:default"}},
    )
    models = load_models(given)
    assert [binding.model for binding in model_bindings(given, models, "porch")] == [models["two"]]
    assert [binding.model for binding in model_bindings(given, models, "yard")] == [models["one"], models["two"]]


@pytest.mark.parametrize(
    ("model_table", "source_table", "message"),
    [
        ({"labels": ["furst"]}, {}, 'models.mine.labels: the model has no label "furst"; did you mean "first"?'),
        (
            {"thresholds": {"fourth?": {"on": 0.5}}},
            {},
            'models.mine.thresholds: the model has no label "fourth?"; `edgeaudio score --json --top 999` shows all',
        ),
        (
            {"cooldown_s": {"furst": 60}},
            {},
            'models.mine.cooldown_s: the model has no label "furst"; did you mean "first"?',
        ),
        (
            {},
            {"cooldown_s": {"secnd": 60}},
            'sources.porch.cooldown_s: the model has no label "secnd"; did you mean "second"?',
        ),
        (
            {},
            {"thresholds": {"secnd": {"on": 0.5}}},
            'sources.porch.thresholds: the model has no label "secnd"; did you mean "second"?',
        ),
        (
            {"groups": {"x": ["thrid"]}},
            {},
            "models.mine.groups.x: 'thrid' is not one of the labels",
        ),
        ({"groups": {"first": ["third"]}}, {}, "models.mine.groups.first: 'first' is there twice (groups count too)"),
    ],
)
def test_a_label_that_no_model_has_is_refused(model_table, source_table, message, model: Path) -> None:
    given = settings(
        models={"mine": {"path": model, **model_table}}, sources={"porch": {"url": "alsa:default", **source_table}}
    )
    with pytest.raises(SettingsError) as caught:
        model_bindings(given, load_models(given), "porch")
    assert str(caught.value) == message


def test_a_model_that_is_neither_given_nor_shipped_is_refused() -> None:
    given = settings(models={"nobody-ships-this": {}})
    with pytest.raises(EdgeaudioError, match="nobody-ships-this"):
        load_models(given)


def test_a_missing_model_directory_is_refused(tmp_path: Path) -> None:
    given = settings(models={"mine": {"path": tmp_path / "gone"}})
    with pytest.raises(EdgeaudioError, match=f"{tmp_path}/gone: is not a model directory"):
        load_models(given)


def test_clips_are_off_by_default_and_their_labels_are_then_not_looked_at(tmp_path: Path) -> None:
    model = {"test": {"path": str(model_directory(tmp_path))}}
    off = settings(models=model, state_dir=str(tmp_path), clips={"labels": ["nothing"]})
    assert sinks(off) == []
    check_clips(off, load_models(off))
    on = settings(models=model, state_dir=str(tmp_path), clips={"enabled": True, "labels": ["first"]})
    assert [sink.name for sink in sinks(on)] == ["clips"]
    check_clips(on, load_models(on))


@pytest.mark.parametrize(
    ("clips", "where"),
    [({"labels": ["fist"]}, "clips.labels"), ({"never_with": {"fist": 0.2}}, "clips.never_with")],
)
def test_a_label_of_clips_that_no_model_has_is_refused(clips: dict[str, object], where: str, tmp_path: Path) -> None:
    model = {"test": {"path": str(model_directory(tmp_path)), "labels": ["first"]}}
    wrong = settings(models=model, state_dir=str(tmp_path), clips={"enabled": True, **clips})
    with pytest.raises(SettingsError, match=f'{where}: the model has no label "fist"; did you mean "first"'):
        check_clips(wrong, load_models(wrong))
    # scores exist for labels that are not reported; events do not
    unreported = settings(models=model, state_dir=str(tmp_path), clips={"enabled": True, "never_with": {"second": 0.2}})
    check_clips(unreported, load_models(unreported))
    unreported = settings(models=model, state_dir=str(tmp_path), clips={"enabled": True, "labels": ["second"]})
    with pytest.raises(SettingsError, match=r"clips\.labels"):
        check_clips(unreported, load_models(unreported))


def test_never_with_is_looked_at_for_live_sound_without_clips_too(tmp_path: Path) -> None:
    folder = str(model_directory(tmp_path))
    models = {"test": {"path": folder}, "other": {"path": folder, "groups": {"voice": ["first"]}}}
    sources = {"porch": {"url": "/a.wav"}, "yard": {"url": "/a.wav", "models": ["test"]}}

    def made(label: str, *, audio: bool = True, **changes: object) -> Settings:
        clips = {"never_with": {label: 0.2}, "labels": ["nothing"]}
        return settings(models=models | changes, sources=sources, clips=clips, live={"audio": audio})

    check_clips(made("fist", audio=False), load_models(made("fist", audio=False)))
    with pytest.raises(SettingsError, match=r"clips\.never_with: the model has no label"):
        check_clips(made("fist"), load_models(made("fist")))
    resting = made("first", test={"path": folder, "period_ms": 60_000})
    with pytest.raises(SettingsError, match="may be in what is kept or heard"):
        check_clips(resting, load_models(resting))
    good = made("voice")
    loaded = load_models(good)
    check_clips(good, loaded)
    assert live_config(good).never_with == {"voice": 0.2}
    assert [unjudged_labels(good, loaded, source) for source in sources] == [[], ["voice"]]
    assert (live_config(settings(models=models)).audio, live_config(good).audio) == (False, True)
