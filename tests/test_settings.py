"""Settings: where they come from, which wins, and how they are shown."""

import json
import os
import tomllib
from datetime import time
from pathlib import Path

import pytest
from pydantic import ValidationError
from support.loading import load, load_layers

from edgeaudio.password_hashes import PasswordHash
from edgeaudio.settings import MqttSettings, Settings, SettingsError, SourceSettings
from edgeaudio.settings.places import config_path, nothing_is_set
from edgeaudio.settings.schema import DashboardSettings
from edgeaudio.settings.show import effective_toml, json_schema
from edgeaudio.settings.values import Hours


def write(folder: Path, text: str) -> Path:
    path = folder / "edgeaudio.toml"
    path.write_text(text)
    return path


def test_without_anything_the_defaults_hold(monkeypatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "Jetty_Pi.local")
    settings = load(variables={})
    assert settings == Settings()
    assert settings.device == "jetty-pi"
    assert settings.mqtt.url.get_secret_value() == "mqtt://localhost"
    assert settings.sources == {}


def test_each_layer_wins_over_the_one_below(tmp_path) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    path = write(tmp_path, '[sources.porch]\nurl = "rtsp://file"\nusername = "file"\ntransport = "udp"')
    environ = {"CREDENTIALS_DIRECTORY": str(credentials)}
    assert load(path, (), environ).sources["porch"].url.get_secret_value() == "rtsp://file"
    (credentials / "sources.porch.url").write_text("rtsp://credential\n")
    (credentials / "broker.key").write_text("not a setting\n")
    assert load(path, (), environ).sources["porch"].url.get_secret_value() == "rtsp://credential"
    environ["EDGEAUDIO_SOURCES__PORCH__URL"] = "rtsp://environment"
    assert load(path, (), environ).sources["porch"].url.get_secret_value() == "rtsp://environment"
    settings = load(path, ["sources.porch.url=rtsp://option"], environ)
    assert settings.sources["porch"].url.get_secret_value() == "rtsp://option"
    assert settings.sources["porch"].username == "file"  # what a higher layer does not say stays
    assert settings.sources["porch"].transport == "udp"


def test_a_folder_of_credentials_as_systemd_hands_it_over(tmp_path) -> None:
    (tmp_path / "edgeaudio_mqtt.password").write_text("secret\n")
    (tmp_path / "another_mqtt.username").write_text("somebody else's\n")
    settings = load(None, (), {"CREDENTIALS_DIRECTORY": str(tmp_path), "EDGEAUDIO_MQTT__USERNAME": "porch"})
    assert settings.mqtt.password is not None
    assert settings.mqtt.password.get_secret_value() == "secret"
    assert settings.mqtt.username == "porch"


def test_users_of_the_dashboard_come_from_credentials_and_variables_too(tmp_path) -> None:
    made = str(PasswordHash(14, 8, 1, b"0123456789abcdef", bytes(32)))
    (tmp_path / "dashboard.users.anna.password").write_text(made)
    (tmp_path / "edgeaudio_dashboard.metrics_token").write_text("a token of metrics")
    path = write(tmp_path, "[dashboard.users.anna]\nrole = 'owner'")
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path), "EDGEAUDIO_DASHBOARD__USERS__RITA__PASSWORD": made}
    settings, layers = load_layers(path, (), environ)
    users = settings.dashboard.users
    assert {name: user.role for name, user in users.items()} == {"anna": "owner", "rita": "reader"}
    assert all(user.password is not None and user.password.get_secret_value() == made for user in users.values())
    assert settings.dashboard.token() == "a token of metrics"
    for shown in (effective_toml(settings, layers), repr(settings), settings.model_dump_json()):
        assert "scrypt" not in shown
        assert "a token" not in shown


def test_an_empty_variable_beside_another_of_its_name_counts_as_not_set() -> None:
    assert load(None, (), {"EDGEAUDIO_DEVICE": "", "edgeaudio_device": "jetty"}).device == "jetty"


def test_a_credential_is_there_once_in_any_case(tmp_path) -> None:
    (tmp_path / "MQTT.username").write_text("me\n")
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert load(None, (), environ).mqtt.username == "me"
    (tmp_path / "edgeaudio_mqtt.username").write_text("you\n")
    with pytest.raises(
        SettingsError, match=r"edgeaudio_mqtt\.username: MQTT\.username is there too; keep one of them$"
    ):
        load(None, (), environ)


def test_a_home_folder_is_found_from_everywhere(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    environ = {"HOME": str(tmp_path), "EDGEAUDIO_STATE_DIR": "~/state"}
    assert load(None, (), environ).state_dir == tmp_path / "state"
    assert load(None, ["state_dir=~/state"], {"HOME": str(tmp_path)}).state_dir == tmp_path / "state"


def test_the_variable_of_the_file_counts_in_lower_case_too(tmp_path, monkeypatch) -> None:
    monkeypatch.delenv("EDGEAUDIO_CONFIG", raising=False)
    monkeypatch.setenv("edgeaudio_config", str(tmp_path / "here.toml"))
    assert config_path(None) == tmp_path / "here.toml"


def test_the_environment_can_say_everything(tmp_path) -> None:
    (tmp_path / "a-model").mkdir()
    settings = load(
        None,
        (),
        {
            "EDGEAUDIO_DEVICE": "jetty",
            "EDGEAUDIO_MQTT__DISCOVERY": "false",
            "EDGEAUDIO_MQTT__USERNAME": "",  # as compose files pass what is not set
            "EDGEAUDIO_HEALTH__INTERVAL_S": "12.5",
            "EDGEAUDIO_SOURCES__FRONT_DOOR__URL": "alsa:default",
            "EDGEAUDIO_SOURCES__FRONT_DOOR__CHANNEL": "2",
            "EDGEAUDIO_SOURCES__FRONT_DOOR__SCHEDULE": "22:00-06:30, 12:00-24:00",
            "EDGEAUDIO_SOURCES__FRONT_DOOR__MODELS": "reef",
            "EDGEAUDIO_MODELS__REEF__PATH": str(tmp_path),
            "EDGEAUDIO_MODELS__REEF__THRESHOLDS__SNAPPING_SHRIMP__ON": "0.9",
            "HOME": "/unrelated",
        },
    )
    door = settings.sources["front-door"]
    assert (settings.device, settings.mqtt.discovery, settings.mqtt.username) == ("jetty", False, None)
    assert settings.health.interval_s == 12.5
    assert (door.channel, door.models) == (2, ("reef",))
    assert door.schedule == (Hours(time(22), time(6, 30)), Hours(time(12), time(0)))
    assert list(settings.models) == ["reef"]
    assert settings.models["reef"].thresholds["snapping_shrimp"].on == 0.9


def test_a_source_can_be_spelt_with_hyphens_and_underscores() -> None:
    variables = {"EDGEAUDIO_SOURCES__FRONT_DOOR__URL": "alsa:x", "EDGEAUDIO_SOURCES__FRONT-DOOR__CHANNEL": "2"}
    door = load(None, (), variables).sources["front-door"]
    assert (door.url.get_secret_value(), door.channel) == ("alsa:x", 2)


def test_options_take_keys_as_toml_writes_them() -> None:
    settings = load(None, ['models.alarms.thresholds."Dog, bark".on=0.7', "device=x"], {})
    assert settings.models["alarms"].thresholds["Dog, bark"].on == 0.7
    assert settings.device == "x"


def test_the_settings_file_is_the_one_named_then_the_environments(tmp_path) -> None:
    path = write(tmp_path, 'device = "from-file"')
    assert load(path, (), {}).device == "from-file"
    assert load(None, (), {"EDGEAUDIO_CONFIG": str(path)}).device == "from-file"


def test_the_mark_that_windows_puts_before_utf_8_is_no_text(tmp_path) -> None:
    path = tmp_path / "edgeaudio.toml"
    path.write_text('device = "windows"\n[mqtt]\nusername = "me"\npassword_file = "secret"', encoding="utf-8-sig")
    (tmp_path / "secret").write_text("hunter2\r\n", encoding="utf-8-sig")
    settings = load(path, (), {})
    assert (settings.device, settings.mqtt.secret()) == ("windows", "hunter2")


def test_paths_in_the_file_are_relative_to_it(tmp_path, monkeypatch) -> None:
    (tmp_path / "secret").write_text("hunter2\n")
    path = write(
        tmp_path,
        'state_dir = "state"\n[mqtt]\nusername = "me"\npassword_file = "secret"\n[models.reef]\npath = "~/reef"',
    )
    monkeypatch.setenv("HOME", "/home/someone")
    settings = load(path, (), {})
    assert settings.state_dir == tmp_path / "state"
    assert settings.mqtt.secret() == "hunter2"
    assert settings.models["reef"].path == Path("/home/someone/reef")


def test_a_password_file_is_read_again_each_time(tmp_path) -> None:
    (tmp_path / "secret").write_text("old\r\n")
    settings = MqttSettings(username="me", password_file=tmp_path / "secret")
    assert settings.secret() == "old"
    (tmp_path / "secret").write_text("new")
    assert settings.secret() == "new"


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("https://house.example", "https://house.example"),
        ("HTTPS://House.Example:443/", "https://house.example"),
        ("http://house.example:80/x/y//", "http://house.example/x/y"),
        ("http://[::1]:8420/", "http://[::1]:8420"),
        ("http://192.168.1.2:443", "http://192.168.1.2:443"),
    ],
)
def test_the_address_of_the_dashboard_is_normalised(written: str, read: str) -> None:
    assert DashboardSettings(url=written).url == read


@pytest.mark.parametrize(
    "url",
    [
        *(
            "ftp://house.example",
            "//house.example",
            "house.example",
            "https://",
            "https:///x",
            "https://häuser.example",
        ),
        *(
            "https://me@house.example",
            "https://house.example/?",
            "https://house.example/#x",
            "https://house.example/../x",
        ),
        *(
            "https://house.example/a b",
            "https://house.example/<b>",
            "https://house.example/a//b",
            "https://house.example:0x1",
        ),
        "https://house.example/" + 256 * "a",
    ],
)
def test_an_address_that_cannot_be_that_of_a_dashboard_is_refused(url: str) -> None:
    with pytest.raises(ValidationError):
        DashboardSettings(url=url)


def test_a_login_beside_the_url_becomes_part_of_the_address() -> None:
    source = SourceSettings.model_validate({"url": "rtsp://cam/live", "username": "me", "password": "p@ss/word"})
    assert source.address().with_login() == "rtsp://me:p%40ss%2Fword@cam/live"


@pytest.mark.parametrize("environ", [{"STATE_DIRECTORY": "/var/lib/private/edgeaudio:/other"}, {}])
def test_the_state_directory_is_systemds_or_roots_or_the_users(environ, monkeypatch) -> None:
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_STATE_HOME", "/home/someone/state")
    user = Settings().state_dir
    monkeypatch.setattr("os.geteuid", lambda: 0)
    root = Settings().state_dir
    if environ:
        assert user == root == Path("/var/lib/private/edgeaudio")
    else:
        assert (user, root) == (Path("/home/someone/state/edgeaudio"), Path("/var/lib/edgeaudio"))


def test_a_usual_file_that_is_closed_to_us_is_not_taken_for_none(monkeypatch) -> None:
    def closed(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "stat", closed)
    assert config_path(None) == Path("/etc/edgeaudio/edgeaudio.toml")


def test_the_state_directory_of_a_user_without_a_home_is_that_of_a_service(monkeypatch) -> None:
    for name in ("STATE_DIRECTORY", "XDG_STATE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.geteuid", lambda: 54321)
    monkeypatch.setattr("pwd.getpwuid", lambda uid: {}[uid])  # a container's --user has no name
    assert Settings().state_dir == Path("/var/lib/edgeaudio")


@pytest.mark.parametrize(
    ("hours", "covered", "not_covered"),
    [
        ("08:00-17:30", ["08:00", "17:29"], ["07:59", "17:30", "00:00"]),
        ("22:00-06:30", ["22:00", "23:59", "00:00", "06:29"], ["06:30", "21:59"]),
        ("12:00-24:00", ["12:00", "23:59"], ["00:00", "11:59"]),
        ("00:00-24:00", ["00:00", "23:59"], []),
    ],
)
def test_hours_cover_parts_of_the_day(hours, covered, not_covered) -> None:
    parsed = Hours.parse(hours)
    assert str(parsed) == hours
    assert all(parsed.covers(time.fromisoformat(moment)) for moment in covered)
    assert not any(parsed.covers(time.fromisoformat(moment)) for moment in not_covered)


SECRETIVE = {
    "mqtt": {"url": "mqtts://owner:hunter2@broker"},
    "sources": {
        "porch": {"url": "rtsp://cam/live", "username": "me", "password": "hunter2", "schedule": ["22:00-06:00"]},
        "yard": {"url": "rtsp://me:hunter2@cam/x?token=hunter2", "channel": 2},
    },
}


def test_no_secret_is_ever_printed(tmp_path) -> None:
    settings = Settings.model_validate(SECRETIVE)
    shown = [str(settings), repr(settings), settings.model_dump_json(), str(settings.model_dump())]
    shown.append(effective_toml(settings, []))
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate({**SECRETIVE, "device": "No Slug", "mqtt": {"url": "mqtt://a:hunter2@b/c"}})
    assert all("hunter2" not in text for text in [*shown, str(caught.value)])
    assert 'url = "mqtts://owner:***@broker"' in shown[-1]


def test_the_effective_settings_are_toml_with_their_origins(tmp_path) -> None:
    path = write(tmp_path, 'log_level = "debug"\n[models."a-b".thresholds."Dog \\"x\\" \\u007f"]\non = 0.5')
    environ = {"EDGEAUDIO_SOURCES__PORCH__URL": "rtsp://cam", "EDGEAUDIO_SOURCES__PORCH__SCHEDULE": "22:00-06:30"}
    settings, layers = load_layers(path, ["health.interval_s=12.5"], environ)
    text = effective_toml(settings, layers)
    assert f'log_level = "debug"  # {path}\n' in text
    assert "interval_s = 12.5  # --set\n" in text
    assert 'url = "rtsp://cam"  # EDGEAUDIO_SOURCES__PORCH__URL\n' in text
    assert 'transport = "auto"\n' in text  # a default has no origin
    assert Settings.model_validate(tomllib.loads(text)) == settings


def test_the_schema_describes_every_setting() -> None:
    schema = json.loads(json_schema())
    tables = [schema, *schema["$defs"].values()]
    described = {
        f"{table['title']}.{name}": "description" in field or "$ref" in field or name in {"sources", "models"}
        for table in tables
        for name, field in table["properties"].items()
    }
    assert described == dict.fromkeys(described, True)
    assert schema["additionalProperties"] is False
    assert "default" not in schema["properties"]["device"]  # this machine's name is no fact about the file


def test_a_broken_setting_stops_all_of_them() -> None:
    with pytest.raises(SettingsError) as caught:
        load(None, ["device=Not-a-slug", "log_level=loud"], {})
    assert len(caught.value.lines) == 2


@pytest.mark.parametrize(
    "name", ["EDGEAUDIO_DEVICE", "edgeaudio_log_level", "EDGEAUDIO_CONFIG", "CREDENTIALS_DIRECTORY"]
)
def test_a_variable_is_a_place_where_settings_may_be(name, monkeypatch, tmp_path) -> None:
    for each in [each for each in os.environ if each.upper().startswith("EDGEAUDIO_")]:
        monkeypatch.delenv(each)
    if not Path("/etc/edgeaudio/edgeaudio.toml").exists():
        assert nothing_is_set(None, ())
    assert not nothing_is_set(None, ["device=a"])
    assert not nothing_is_set(tmp_path / "a.toml", ())
    monkeypatch.setenv(name, str(tmp_path))
    assert not nothing_is_set(None, ())
