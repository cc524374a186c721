"""The settings that the chart writes are those that the agent reads, whatever is in the values."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import SecretStr
from support.chart_values import COLLECT, DASHBOARD, EXPOSED, FILES, LARGE, ONE
from support.charts import RefusedError, Rendered, rendered
from support.examples import examples
from support.kubelet import Volume, inside
from support.loading import load

from edgeaudio.password_hashes import PasswordHash
from edgeaudio.settings import Settings, SettingsError
from edgeaudio.toml_reader import loads

NAMES = st.from_regex(r"[a-z0-9-]{1,64}", fullmatch=True)
# what breaks out of YAML, TOML or a template, and anything else that a text may hold
NASTY = st.sampled_from(
    ['"', "'", "\\", "\n", ": ", " #", "{{.Values}}", "---\n", "\t", "%", "&a", "*a", "|", "!!str", "]\n[x]"]
) | st.sampled_from(["'''", '"""', "$HOME", "\u2028", "\x7f", "\u00e9"])
TEXTS = st.lists(
    NASTY | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=5), max_size=6
)
LABELS = TEXTS.map("".join).filter(lambda text: 0 < len(text.encode()) < 200)
ADDRESSES = TEXTS.map(lambda parts: "rtsp://10.0.0.1/" + "".join(parts).replace("@", "").rstrip())


class Pod:
    """What a pod is for the settings: a host name, and folders that Secrets and ConfigMaps are mounted on."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder = folder
        self._monkeypatch = monkeypatch
        self._logins = Volume(folder / "run/secrets/edgeaudio/credentials")
        self._settings = Volume(folder / "etc/edgeaudio")
        Volume(folder / "run/secrets/edgeaudio/tls").replace(dict.fromkeys(("ca.crt", "tls.crt", "tls.key"), ""))

    def settings(
        self,
        whole: Rendered,
        host: str,
        kind: str = "StatefulSet",
        name: str = "hall-edgeaudio",
        logins: dict[str, str] | None = None,
    ) -> Settings:
        """Return the settings as the container of the pod with that host name reads them."""
        self._logins.replace(logins or {})
        variables = {key: inside(self._folder, value) for key, value in whole.variables(name, kind).items()}
        pod = whole.one(kind, name)["spec"]["template"]["spec"]
        (config,) = (each["configMap"]["name"] for each in pod["volumes"] if each["name"] == "settings")
        self._settings.replace({"edgeaudio.toml": whole.toml(config)})
        self._monkeypatch.setattr("socket.gethostname", lambda: host)
        return load(self._folder / "etc/edgeaudio/edgeaudio.toml", (), variables)


@pytest.fixture
def pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pod:
    return Pod(tmp_path, monkeypatch)


def text_of(secret: SecretStr | None) -> str:
    assert secret is not None
    return secret.get_secret_value()


def test_a_pod_reads_what_was_said(pod: Pod, tmp_path: Path) -> None:
    logins = {"mqtt.username": "hall", "mqtt.password": "hunter2", "sources.porch.password": "hunter3"}
    values = {**LARGE, "sources": {**LARGE["sources"], "porch": {"url": "rtsp://10.0.0.1/", "username": "viewer"}}}
    settings = pod.settings(rendered(values), "hall-edgeaudio-7", logins=logins)
    assert (settings.device, settings.state_dir) == ("hall-7", tmp_path / "data")
    assert str(settings.shard.shard()) == "shard 7 of 30"
    assert settings.mqtt.rate_per_s == 60
    assert settings.mqtt.ca_file == tmp_path / "run/secrets/edgeaudio/tls/ca.crt"
    assert settings.mqtt.key_file == tmp_path / "run/secrets/edgeaudio/tls/tls.key"
    assert settings.reload_interval_s == 10
    assert len(settings.sources) == 3001
    assert settings.models["home"].thresholds['Dog "Rex"\nbark'].on == 0.8
    assert (text_of(settings.mqtt.password), text_of(settings.sources["porch"].password)) == ("hunter2", "hunter3")


@pytest.mark.parametrize("name", ["defaults", "one shard", "collect", "dashboard"])
def test_every_shard_has_settings_that_are_accepted(name: str, pod: Pod) -> None:
    settings = pod.settings(rendered(FILES[name]), "hall-edgeaudio-0")
    assert set(settings.sources) == set(FILES[name].get("sources", ()))
    assert str(settings.shard.shard()) == "shard 0 of 1"


def test_the_page_reads_settings_of_its_own(pod: Pod) -> None:
    page = ("hall-edgeaudio-dashboard-7d4b9-x2x", "Deployment", "hall-edgeaudio-dashboard")
    settings = pod.settings(rendered(DASHBOARD), *page)
    assert (settings.dashboard.listen, settings.sources) == ("127.0.0.1:8420", {})
    logins = {"dashboard.users.anna.password": str(PasswordHash.of("correct horse"))}
    settings = pod.settings(rendered(EXPOSED), *page, logins)
    assert (settings.dashboard.listen, settings.dashboard.users["anna"].role) == ("0.0.0.0:8420", "owner")


def test_a_login_of_a_camera_that_is_not_there_is_told_by_its_file(pod: Pod) -> None:
    with pytest.raises(SettingsError, match=r"credentials/sources\.attic\.password: sources\.attic\.url: is missing"):
        pod.settings(
            rendered({**ONE, "credentials": ["logins"]}),
            "hall-edgeaudio-0",
            logins={"sources.attic.password": "hunter2"},
        )


@given(
    sources=st.dictionaries(
        NAMES,
        st.fixed_dictionaries(
            {"url": ADDRESSES},
            optional={
                "username": LABELS,
                "latency_ms": st.integers(0, 500),
                "probe_bytes": st.integers(65536, 100_000_000),
                "gate_dbfs": st.floats(-120, 0),
                "enabled": st.booleans(),
                "cooldown_s": st.dictionaries(LABELS, st.floats(0, 86400), max_size=3),
            },
        ),
        max_size=8,
    ),
    shards=st.integers(1, 1000),
    codec=st.sampled_from(["aac", "opus", "g711"]),
)
@hypothesis_settings(max_examples=examples(40))
def test_whatever_a_source_is_called_and_holds_it_reaches_the_file_and_nothing_else(
    sources: dict[str, Any], shards: int, codec: str
) -> None:
    plain = rendered({"shards": shards, "sizing": {"codec": codec}})
    whole = rendered({"sources": sources, "shards": shards, "sizing": {"codec": codec}})
    assert tomllib.loads(whole.toml())["sources"] == sources
    assert loads(whole.toml())["sources"] == sources  # as the agent reads it
    # it changes no other line, and so restarts no pod
    for one, other in zip(plain.manifests, whole.manifests, strict=True):
        for each in (one, other):
            each.pop("data", None)
        assert one == other


@given(
    TEXTS.map("".join), st.sampled_from(["nodeSelector", "key", "value", "priorityClassName", "tag", "secret", "group"])
)
@hypothesis_settings(max_examples=examples(100))
def test_a_text_in_another_value_is_refused_or_stays_where_it_is(text: str, place: str) -> None:
    values: dict[str, dict[str, Any]] = {
        "nodeSelector": {"nodeSelector": {"room": text}},
        "key": {"tolerations": [{"key": text}]},
        "value": {"tolerations": [{"key": "room", "value": text}]},
        "priorityClassName": {"priorityClassName": text},
        "tag": {"image": {"tag": text}},
        "secret": {"credentials": [text]},
        "group": {**COLLECT, "collect": {**COLLECT["collect"], "group": text}},
    }
    try:
        whole = rendered(values[place])
    except RefusedError:
        assert not re.fullmatch(r"[a-z0-9]{1,9}", text)
        return
    if text:
        assert text in re.split(r"[\s'\":]+", json.dumps(whole.manifests))
    assert {each["kind"] for each in whole.manifests} <= {
        "ConfigMap",
        "PodDisruptionBudget",
        "Service",
        "StatefulSet",
        "NetworkPolicy",
    }


def test_the_file_is_as_a_person_would_write_it() -> None:
    assert '  [sources.porch]\n    url = "rtsp://192.168.1.20/stream2"\n' in rendered(ONE).toml()
