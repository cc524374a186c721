"""Every complaint about settings, word for word: who said it, which setting, what is wrong, what to do."""

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from support.loading import load

from edgeaudio.settings import SettingsError
from edgeaudio.settings.load import settings_of

HASH = "$scrypt$ln=14,r=8,p=1$MDEyMzQ1Njc4OWFiY2RlZg$0LupyHkzAIgDr9UDsriAAf87vMbCbcaUfDvFOAHk0D0"


def complaint(path: Path | None, options=(), environ=()) -> str:
    with pytest.raises(SettingsError) as caught:
        load(path, options, dict(environ))
    return str(caught.value)


FILE = [
    ("device = ", r"FILE:1:end: this is not TOML: Invalid value"),
    ("device = 'x'\ndevice = 'y'", r"FILE:2:end: this is not TOML: Cannot overwrite a value"),
    (
        "[sources.porch]\nurl = 'alsa:x'\n[sources.porch]\n",
        r"FILE:3:15: this is not TOML: Cannot declare ('sources', 'porch') twice",
    ),
    ("device = 'x", """FILE:1:end: this is not TOML: Expected "'\""""),
    ("a = " + "[" * 5000, r"FILE: this is not TOML: nested too deep"),
    ("devise = 'x'", 'FILE: devise: unknown setting; did you mean "device"?'),
    (
        "x = 1",
        (
            "FILE: x: unknown setting; there is clips, dashboard, detector, device, health, live, "
            "log_format, log_level, memory_limit_mb, models, mqtt, outbox, reload_interval_s, schema_version, shard, "
            "sources, state_dir, transcripts"
        ),
    ),
    ("[mqtt]\nurls = 'x'", 'FILE: mqtt.urls: unknown setting; did you mean "url"?'),
    (
        "[sources.porch]\nurl = 'alsa:default'\nchanel = 2",
        'FILE: sources.porch.chanel: unknown setting; did you mean "channel"?',
    ),
    ("[mqtt.url]\nx = 1", "FILE: mqtt.url: must be text, in quotes"),
    ("mqtt = 'mqtt://x'", "FILE: mqtt: must be a table"),
    ("sources = 3", "FILE: sources: must be a table"),
    ("schema_version = 2", "FILE: schema_version: is 2, and this edgeaudio reads up to 1: upgrade edgeaudio"),
    ("schema_version = 0", "FILE: schema_version: must be at least 1, is 0"),
    ("schema_version = 'x'", 'FILE: schema_version: must be a whole number, is "x"'),
    ("device = 7", "FILE: device: must be text, in quotes, is 7"),
    ("device = ''", 'FILE: device: a name is made of a-z, 0-9 and hyphens, at most 64, as in "front-door"'),
    ("state_dir = 7", "FILE: state_dir: must be a path, in quotes, is 7"),
    (
        "log_level = 'loud'",
        "FILE: log_level: must be 'debug', 'info', 'warning' or 'error', is \"loud\"",
    ),
    ("[mqtt]\npassword = 1234", "FILE: mqtt.password: must be text, in quotes"),
    ("[mqtt]\ndiscovery = 'perhaps'", 'FILE: mqtt.discovery: must be true or false, is "perhaps"'),
    ("[health]\ninterval_s = true", "FILE: health.interval_s: must be a number"),
    ("[health]\ninterval_s = 'soon'", 'FILE: health.interval_s: must be a number, is "soon"'),
    ("[health]\ninterval_s = nan", "FILE: health.interval_s: must be a number"),
    ("[health]\ninterval_s = 0", "FILE: health.interval_s: must be at least 1, is 0"),
    ("[health]\ninterval_s = 1e9", "FILE: health.interval_s: must be at most 3600, is 1000000000.0"),
    ("[outbox]\nmax_messages = 1.5", "FILE: outbox.max_messages: must be a whole number, is 1.5"),
    (
        "[outbox]\nmax_bytes = 9999999999999999999999",
        "FILE: outbox.max_bytes: must be at most 1099511627776, is 9999999999999999999999",
    ),
    ("[shard]\nindex = 0\ncount = 3", "device: is missing; name the centre, the same in each of its shards"),
    ("[shard]\nindex = 0", "FILE: shard.count: is missing; index and count belong together"),
    ("[shard]\ncount = 3", "FILE: shard.index: is missing; index and count belong together"),
    ("[shard]\nindex = 3\ncount = 3", "FILE: shard.index: the index of 3 shards is from 0 to 2, not 3"),
    ("[shard]\nindex = 0\ncount = 0", "FILE: shard.count: must be at least 1, is 0"),
    ("[shard]\nindex = 0\ncount = 1001", "FILE: shard.count: must be at most 1000, is 1001"),
    (
        "[shard]\nindex = -1\ncount = 3",
        'FILE: shard.index: must be a whole number from 0 to 999, or "hostname" for the one that ends its name',
    ),
    ("reload_interval_s = 0", "FILE: reload_interval_s: must be at least 1, is 0"),
    (
        "[dashboard]\nurl = 'house.example'",
        "FILE: dashboard.url: must be http:// or https:// with a host, as in https://house.example/edgeaudio",
    ),
    (
        "[dashboard]\nurl = 'https://me:hunter2@house.example'",
        "FILE: dashboard.url: must have no login: everybody who reads a detection reads it",
    ),
    (
        "[dashboard]\nurl = 'https://house.example/?token=hunter2'",
        "FILE: dashboard.url: must have no login: everybody who reads a detection reads it",
    ),
    (
        "[dashboard]\nurl = 'https://house.example/?view=live'",
        "FILE: dashboard.url: must have no query, and a plain path, as in https://house.example/edgeaudio",
    ),
    (
        "[sources.x]\nurl = 'alsa:default'\ncooldown_s = {dog = -1}",
        "FILE: sources.x.cooldown_s.dog: must be at least 0, is -1",
    ),
    (
        "[models.home]\ncooldown_s = {dog = 1e6}",
        "FILE: models.home.cooldown_s.dog: must be at most 86400, is 1000000.0",
    ),
    ("[clips]\nformat = 'aac'", "FILE: clips.format: must be 'opus', 'flac' or 'wav', is \"aac\""),
    ("[clips]\nbefore_s = 30", "FILE: clips.longest_s: must be above before_s, which is 30"),
    ("[clips.never_with]\nspeech = 2", "FILE: clips.never_with.speech: must be at most 1, is 2"),
    ("[clips]\nbest_per_label = 0", "FILE: clips.best_per_label: must be at least 1, is 0"),
    (
        "[transcripts]\nrecogniser = 'ftp://hunter2@here'",
        (
            "FILE: transcripts.recogniser: the recogniser's address must begin with wyoming://, http://, https://, "
            "funasr+ws:// or funasr+wss://, as in wyoming://whisper.local:10300 or http://whisper.local:8000/v1"
        ),
    ),
    (
        "[transcripts]\nlanguage = 'the English one'",
        'FILE: transcripts.language: must be a language\'s code, as in "en" or "pt-BR"',
    ),
    ("[transcripts]\nmax_mb = 0", "FILE: transcripts.max_mb: must be at least 2, is 0"),
    ("[transcripts]\napi_key = 7", "FILE: transcripts.api_key: must be text, in quotes"),
    (
        "[sources.porch]\nurl = 'alsa:default'\ntranscribe = true",
        "FILE: sources.porch.transcribe: needs transcripts.recogniser, the address of one",
    ),
    ("[sources.porch]", "FILE: sources.porch.url: is missing"),
    (
        "[sources.Front_Door]\nurl = 'alsa:default'",
        'FILE: sources.Front_Door: a name is made of a-z, 0-9 and hyphens, at most 64, as in "front-door"',
    ),
    (
        "[sources.x]\nurl = 'ftp://me:hunter2@cam/x'",
        (
            "FILE: sources.x.url: 'ftp://me:***@cam/x': unsupported kind of address 'ftp'; use one of "
            "rtsp, rtsps, rtmp, rtmps, http, https, udp, rtsp+listen, file, alsa"
        ),
    ),
    (
        "[sources.x]\nurl = 'rtsp://cam:port/x'",
        (
            "FILE: sources.x.url: not a valid address: it has no host and port that can be read; percent-encode "
            "special characters of a login (write %23 for #, %40 for @, %2F for /, %3F for ?, %20 for a space), or "
            "give username and password as settings"
        ),
    ),
    ("[sources.x]\nurl = ''", "FILE: sources.x.url: a source needs a url: an address, a path, or alsa:DEVICE"),
    (
        "[sources.x]\nurl = 'rtsp://me:hunter2@cam/'\nusername = 'me'",
        "FILE: sources.x.url: 'rtsp://me:***@cam/': the login is given twice, in the url and beside it",
    ),
    (
        "[sources.x]\nurl = 'alsa:default'\nchannel = 0",
        'FILE: sources.x.channel: must be "auto", "mix" or the number of a channel, from 1 to 64',
    ),
    (
        "[sources.x]\nurl = 'alsa:default'\ntransport = 'sctp'",
        "FILE: sources.x.transport: must be 'auto', 'tcp' or 'udp', is \"sctp\"",
    ),
    (
        "[sources.x]\nurl = 'alsa:default'\nschedule = ['22:00-06:00', '24:00-25:00']",
        'FILE: sources.x.schedule.1: must be hours of the day, as in "22:00-06:30"',
    ),
    (
        "[sources.x]\nurl = 'alsa:default'\nschedule = ['06:00-06:00']",
        "FILE: sources.x.schedule.0: begins when it ends",
    ),
    ("[sources.x]\nurl = 'alsa:default'\nschedule = 7", "FILE: sources.x.schedule: must be a list, in brackets, is 7"),
    ("[sources.x]\nurl = 'alsa:default'\nmodels = []", "FILE: sources.x.models: must not be empty"),
    (
        "[sources.x]\nurl = 'alsa:default'\nmodels = ['home']\n[models.reef]\n[models.bats]",
        'FILE: sources.x.models: there is no model "home"; there is "reef", "bats"',
    ),
    (
        "[sources.x]\nurl = 'alsa:default'\nca_file = '/nowhere/ca.pem'",
        "FILE: sources.x.ca_file: /nowhere/ca.pem cannot be read: No such file or directory",
    ),
    ("[models.x]\nperiod_ms = 1", "FILE: models.x.period_ms: must be at least 10, is 1"),
    ("[models.x.thresholds.dog]\non = 2", "FILE: models.x.thresholds.dog.on: must be at most 1, is 2"),
    ("[models.x.thresholds.dog]\noff = 0.5", "FILE: models.x.thresholds.dog.on: is missing"),
    (
        "[models.x.thresholds.dog]\non = 0.5\noff = 0.6",
        "FILE: models.x.thresholds.dog.off: must be at most 0.5, which is on; is 0.6",
    ),
    ("[models]", "FILE: models: must not be empty"),
    ("[models.x]\npath = '~nobody-here/x'\nperiod_ms = 1", "FILE: models.x.period_ms: must be at least 10, is 1"),
    (
        "[mqtt]\nurl = 'tcp://me:hunter2@broker'",
        "FILE: mqtt.url: MQTT URL must begin with mqtt:// or mqtts://, as in mqtt://broker.local:1883",
    ),
    (
        "[mqtt]\nurl = 'mqtt://broker:0'",
        "FILE: mqtt.url: MQTT URL of broker has port 0; leave it out for 1883",
    ),
    (
        "[mqtt]\nurl = 'mqtt://me:hunt/er2@broker'",
        (
            "FILE: mqtt.url: MQTT URL cannot be read: it has a raw '@' that may be part of a login; percent-encode "
            "special characters of a login (write %23 for #, %40 for @, %2F for /, %3F for ?, %20 for a space), or "
            "give username and password as settings"
        ),
    ),
    (
        "[mqtt]\nurl = 'mqtt://broker/topic'",
        "FILE: mqtt.url: MQTT URL of broker goes on after the port; write it as in mqtt://broker.local:1883",
    ),
    (
        "[mqtt]\nbase_topic = 'a/#'",
        "FILE: mqtt.base_topic: must be levels of letters, digits, '_', '.' and '-', parted by '/'",
    ),
    ("[mqtt]\nkey_file = 'FILE'", "FILE: mqtt: cert_file and key_file belong together; set both or neither"),
    ("[mqtt]\nca_file = 'FILE'", "FILE: mqtt.url: must be mqtts:// for ca_file and cert_file to be used"),
    (
        "[mqtt]\nurl = 'mqtt://me:hunter2@x'\npassword = 'hunter2'",
        "FILE: mqtt.url: has a login, and there is one beside it; keep one",
    ),
    ("[mqtt]\npassword = 'hunter2'", "FILE: mqtt.username: is missing, and there is a password"),
    (
        "[mqtt]\nusername = 'x'\npassword = 'hunter2'\npassword_file = 'FILE'",
        "FILE: mqtt.password_file: password is set too; keep one",
    ),
    (
        "[mqtt]\nusername = 'x'\npassword_file = 'FILE'",
        "FILE: mqtt.password_file: FILE: secret file has more than one line",
    ),
    (
        "[mqtt]\npassword_file = 'hunter2'",
        "FILE: mqtt.password_file: FOLDER/*** cannot be read: No such file or directory",
    ),
    ("[mqtt]\nusername = 12345678", "FILE: mqtt.username: must be text, in quotes"),
    ("[mqtt]\npasswort = 'hunter2'", 'FILE: mqtt.passwort: unknown setting; did you mean "password"?'),
    ("[mqtt]\ndiscovery = 'hunter2'", "FILE: mqtt.discovery: must be true or false"),
    ("[sources]\nporch = 'rtsp://me:hunter2@cam'", "FILE: sources.porch: must be a table"),
    (
        "[sources.'rtsp://me:hunter2@cam']\nurl = 'alsa:default'",
        'FILE: sources."***": a name is made of a-z, 0-9 and hyphens, at most 64; this may be an address',
    ),
    (f"health.interval_s = {'9' * 5000}", "FILE: this is not TOML: a number has too many digits"),
    (f"health.interval_s = 0x{'f' * 9000}", "FILE: health.interval_s: must be a number"),
    (f"outbox.max_messages = 0x{'f' * 9000}", "FILE: outbox.max_messages: must be at most 100000000"),
    (f"log_level = 0x{'f' * 9000}", "FILE: log_level: must be 'debug', 'info', 'warning' or 'error'"),
    ("state_dir = ''", "FILE: state_dir: must not be empty"),
    ('state_dir = "a\\u0000b"', "FILE: state_dir: no file can have that name"),
    ("[models.x]\npath = ''", "FILE: models.x.path: must not be empty"),
    ("[mqtt]\nca_file = ''", "FILE: mqtt.ca_file: must not be empty"),
    (f"device = 'x'\n {'.'.join('a' * 100_000)} = 1", "FILE:2:2: this is not TOML: nested too deep"),
    (f"[{'.'.join('a' * 100_000)}]", "FILE:1:2: this is not TOML: nested too deep"),
    (f"{'.'.join(['a'] * 20)} = 1", "FILE: tables are nested deeper than any setting is"),
    (
        "[dashboard.users.anna]\npassword = 'hunter2'",
        "FILE: dashboard.users.anna.password: must be a hash that `edgeaudio dashboard --hash-password` prints",
    ),
    (
        "[dashboard.users.anna]",
        "FILE: dashboard.users.anna.password: is missing; `edgeaudio dashboard --hash-password` prints one",
    ),
    (
        f"[dashboard.users.Anna]\npassword = '{HASH}'",
        "FILE: dashboard.users.Anna: a user's name is made of a-z, 0-9 and . _ @ + -, at most 64",
    ),
    (
        f"[dashboard.users.anna]\npassword = '{HASH}'\nrole = 'x'",
        "FILE: dashboard.users.anna.role: must be 'reader' or 'owner', is \"x\"",
    ),
    ("[dashboard]\npublic = true", "FILE: dashboard.public: needs a login: add [dashboard.users.NAME]"),
    (
        "[dashboard]\ntrusted_proxies = ['10.0.0.1']",
        "FILE: dashboard.trusted_proxies: needs a login: add [dashboard.users.NAME]",
    ),
    (
        "[dashboard]\nmetrics_token = 'hunter2-hunter2-hunter2'",
        "FILE: dashboard.metrics_token: needs a login: add [dashboard.users.NAME]",
    ),
    ("[dashboard]\nmetrics_token = 'hunter2'", "FILE: dashboard.metrics_token: must have at least 16 characters"),
    (
        "[dashboard]\nuser_header = 'X-User'",
        "FILE: dashboard.user_header: needs trusted_proxies: anybody else can send a header too",
    ),
    (
        "[dashboard]\nuser_header = 'host'",
        "FILE: dashboard.user_header: host names no user; set the header in which the proxy names the user",
    ),
    ("[dashboard]\nuser_role = 'owner'", "FILE: dashboard.user_role: needs user_header"),
    (
        "[dashboard]\nbase_path = '/../x'",
        "FILE: dashboard.base_path: must be the path of the page, as in /sounds, and not /api",
    ),
    (
        "[dashboard]\nhosts = ['https://x']",
        "FILE: dashboard.hosts.0: must be a host name without a port, as in sounds.example.org",
    ),
    (
        "[dashboard]\nframe_ancestors = ['*']",
        (
            'FILE: dashboard.frame_ancestors.0: must be "self" or the scheme and host of a page, as in '
            "https://home.example.org:8123"
        ),
    ),
    (
        "[dashboard]\ntrusted_proxies = ['10.0.0.5/24']",
        "FILE: dashboard.trusted_proxies.0: must be an address or a network, as in 172.30.32.2 or 10.0.0.0/24",
    ),
    (
        "[dashboard]\ntrusted_proxies = ['0.0.0.0/0']",
        "FILE: dashboard.trusted_proxies.0: is everybody: name the proxies alone, as in 172.30.32.2",
    ),
    (
        "[dashboard]\ntrusted_proxies = ['10.0.0.1', '::ffff:0:0/96']",
        "FILE: dashboard.trusted_proxies.1: is everybody: name the proxies alone, as in 172.30.32.2",
    ),
    (f"[mqtt]\nusername = 'x'\npassword = '{'9' * 300}'", "FILE: mqtt.password: must have at most 256 characters"),
    (f"a = {'[' * 20_000}{']' * 20_000}", "FILE: this is not TOML: nested too deep"),
    (f"a = {'{b=' * 20_000}1{'}' * 20_000}", "FILE: this is not TOML: nested too deep"),
    ("[models.x]\npath = 7", "FILE: models.x.path: must be a path, in quotes, is 7"),
    (
        "[mqtt]\nca_file = 'http://me:hunter2@web/ca.pem'",
        "FILE: mqtt.ca_file: FOLDER/http://*** cannot be read: No such file or directory",
    ),
    (
        "['rtsp://me:hunter2@cam']\n['rtsp://me:hunter2@cam']",
        "FILE:2:25: this is not TOML: Cannot declare ('***',) twice",
    ),
    (
        "[mqtt]\nurl = 'MQTT://me:hunter2@x'\nca_file = 'FILE'",
        "FILE: mqtt.url: must be mqtts:// for ca_file and cert_file to be used",
    ),
    (
        f"[mqtt]\npassword_file = '{'X1' * 200}/Hunter2'",
        "FILE: mqtt.password_file: *** cannot be read: File name too long",
    ),
    (
        "[mqtt]\npassword_file = 'gone'",
        "FILE: mqtt.password_file: FOLDER/gone cannot be read: No such file or directory",
    ),
]


@pytest.mark.parametrize(("text", "expected"), FILE)
def test_the_file_is_wrong(text: str, expected: str, tmp_path) -> None:
    path = tmp_path / "edgeaudio.toml"
    path.write_text(text.replace("FILE", str(path)))
    message = complaint(path)
    assert message.replace(str(path), "FILE").replace(str(tmp_path), "FOLDER") == expected
    assert "hunter2" not in message


ENVIRONMENT = [
    ({"EDGEAUDIO_MTQT__URL": "x"}, 'EDGEAUDIO_MTQT__URL: mtqt: unknown setting; did you mean "mqtt"?'),
    ({"EDGEAUDIO_MQTT": "{}"}, "EDGEAUDIO_MQTT: mqtt: must be a table"),
    (
        {"EDGEAUDIO_MQTT": "x", "EDGEAUDIO_MQTT__URL": "x"},
        "EDGEAUDIO_MQTT__URL: EDGEAUDIO_MQTT is set too; keep one of them",
    ),
    (
        {"EDGEAUDIO_MQTT__URL": "mqtt://x", "EDGEAUDIO_MQTT__URL__X": "x"},
        "EDGEAUDIO_MQTT__URL__X: EDGEAUDIO_MQTT__URL is set too; keep one of them",
    ),
    ({"EDGEAUDIO_SOURCES__PORCH": "{}"}, "EDGEAUDIO_SOURCES__PORCH: sources.porch: must be a table"),
    (
        {"EDGEAUDIO_SOURCES__PORCH": "x", "EDGEAUDIO_SOURCES__PORCH__URL": "alsa:default"},
        "EDGEAUDIO_SOURCES__PORCH__URL: EDGEAUDIO_SOURCES__PORCH is set too; keep one of them",
    ),
    (
        {"EDGEAUDIO_SOURCES__PORCH__URL": "a", "EDGEAUDIO_SOURCES__porch__URL": "b"},
        "EDGEAUDIO_SOURCES__porch__URL: EDGEAUDIO_SOURCES__PORCH__URL is set too; keep one of them",
    ),
    (
        {"EDGEAUDIO_SOURCES__FRONT-DOOR__URL": "a", "EDGEAUDIO_SOURCES__FRONT_DOOR__URL": "b"},
        "EDGEAUDIO_SOURCES__FRONT_DOOR__URL: EDGEAUDIO_SOURCES__FRONT-DOOR__URL is set too; keep one of them",
    ),
    (
        {"EDGEAUDIO_SOURCES____URL": "x"},
        'EDGEAUDIO_SOURCES____URL: sources."": a name is made of a-z, 0-9 and hyphens, at most 64, as in "front-door"',
    ),
    (
        {"EDGEAUDIO_HEALTH__INTERVAL_S": "0"},
        'EDGEAUDIO_HEALTH__INTERVAL_S: health.interval_s: must be at least 1, is "0"',
    ),
    (
        {f"EDGEAUDIO_{'__'.join('A' * 5000)}": "1"},
        (
            f"EDGEAUDIO_{'A__' * 36}A_...: a: unknown setting; there is clips, dashboard, detector, device, health, "
            "live, log_format, log_level, memory_limit_mb, models, mqtt, outbox, reload_interval_s, schema_version, "
            "shard, sources, state_dir, transcripts"
        ),
    ),
    (
        {"EDGEAUDIO_SOURCES__FRONT_DOOR__URL": "a", "EDGEAUDIO_SOURCES__FRONT-DOOR__URL": "b"},
        "EDGEAUDIO_SOURCES__FRONT_DOOR__URL: EDGEAUDIO_SOURCES__FRONT-DOOR__URL is set too; keep one of them",
    ),
    (
        {"EDGEAUDIO_MQTT__URL__X": "a", "EDGEAUDIO_mqtt__url": "mqtt://b"},
        "EDGEAUDIO_MQTT__URL__X: EDGEAUDIO_mqtt__url is set too; keep one of them",
    ),
    ({"EDGEAUDIO_DEVICE__X": "a"}, "EDGEAUDIO_DEVICE__X: device has no settings in it; unset this variable"),
    ({"EDGEAUDIO_\udcff": "a"}, "EDGEAUDIO_\udcff: the name of this variable is not UTF-8 text"),
    ({"EDGEAUDIO_MQTT__BASE_TOPIC": "\udcff"}, "EDGEAUDIO_MQTT__BASE_TOPIC: mqtt.base_topic: must be UTF-8 text"),
    (
        {"EDGEAUDIO_MQTT__USERNAME": "x", "EDGEAUDIO_MQTT__PASSWORD": "hunter\udcff"},
        "EDGEAUDIO_MQTT__PASSWORD: mqtt.password: must be UTF-8 text",
    ),
    ({"EDGEAUDIO_SOURCES__PORCH__ENABLED": "no"}, "EDGEAUDIO_SOURCES__PORCH__ENABLED: sources.porch.url: is missing"),
    (
        {"EDGEAUDIO_SOURCES__\u00c9TAGE__URL": "alsa:default"},
        (
            'EDGEAUDIO_SOURCES__\u00c9TAGE__URL: sources."\u00e9tage": '
            'a name is made of a-z, 0-9 and hyphens, at most 64, as in "etage"'
        ),
    ),
]


@pytest.mark.parametrize(("environ", "expected"), ENVIRONMENT)
def test_the_environment_is_wrong(environ: dict[str, str], expected: str) -> None:
    assert complaint(None, (), environ) == expected


OPTIONS = [
    (["mqtt.url"], "--set: write KEY=VALUE, as in --set mqtt.url=mqtts://broker.example"),
    (["mqtt url=x"], "--set mqtt url: not a key; write it as in TOML, as in mqtt.url"),
    (["=x"], "--set: not a key; write it as in TOML, as in mqtt.url"),
    (["#x=1"], "--set #x: not a key; write it as in TOML, as in mqtt.url"),
    (
        ["mqtt.password=hunter2"],
        (
            "--set mqtt.password: a login here would show in the process list; "
            "use a password_file or an environment variable"
        ),
    ),
    (
        ["sources.x.url=rtsp://me:hunter2@cam"],
        (
            "--set sources.x.url: a login here would show in the process list; "
            "use a password_file or an environment variable"
        ),
    ),
    *(
        (
            [f"{key}={value}"],
            f"--set {key}: a login here would show in the process list; use a password_file or an environment variable",
        )
        for key, value in [
            ("sources.x.pasword", "hunter2"),
            ("dashboard.users.anna.password", "hunter2"),
            ("dashboard.metrics_token", "hunter2"),
            ("sources.x.ulr", "rtsp://me:hunter2@cam"),
            ("sources.x.url", "rtsp://hunter2@cam"),
            ("sources.x.url", "rtsp://me:hun/ter2@cam"),
            ("sources.x.url", "me:hunter2@cam"),
            ("sources.x.url", "http://cam/x?loginpas=hunter2"),
            ("sources.x.url", "rtsp://cam/user=me_password=hunter2_channel=1"),
            ("models.x.path", "https://me:hunter2@web/x"),
        ]
    ),
    (["rtsp://me:hunter2@cam=x"], "--set ***: not a key; write it as in TOML, as in mqtt.url"),
    (["health.interval=5"], '--set: health.interval: unknown setting; did you mean "interval_s"?'),
    (["device=x", "device=y"], "--set device: another --set sets it too; keep one of them"),
]


@pytest.mark.parametrize(("options", "expected"), OPTIONS)
def test_the_command_line_is_wrong(options: list[str], expected: str) -> None:
    assert complaint(None, options) == expected


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("mqtt.pasword", "x", "FOLDER/mqtt.pasword: unknown credential; those of mqtt are password, url, username"),
        ("sources.x.x", "2", "FOLDER/sources.x.x: unknown credential; those of sources.x are password, url, username"),
        (
            "dashboard.users.anna.x",
            "2",
            "FOLDER/dashboard.users.anna.x: unknown credential; those of dashboard.users.anna are password",
        ),
        ("mqtt.password", "", "FOLDER/mqtt.password: secret file is empty"),
        ("mqtt.password", "a\nb", "FOLDER/mqtt.password: secret file has more than one line"),
        ("mqtt.password", b"\xff", "FOLDER/mqtt.password: secret file is not UTF-8 text (byte 0)"),
        ("mqtt.password", "x" * 70_000, "FOLDER/mqtt.password: secret file is larger than 65536 bytes"),
        ("mqtt.url", "mqtt://:1", "FOLDER/mqtt.url: mqtt.url: MQTT URL names no host; write it as in mqtt://broker.local:1883"),
    ],
)  # fmt: skip
def test_a_credential_is_wrong(name: str, content: str | bytes, expected: str, tmp_path) -> None:
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    assert complaint(None, (), {"CREDENTIALS_DIRECTORY": str(tmp_path)}).replace(str(tmp_path), "FOLDER") == expected


def test_one_credential_under_two_names_is_refused(tmp_path) -> None:
    (tmp_path / "edgeaudio_mqtt.password").write_text("hunter1")
    (tmp_path / "mqtt.password").write_text("hunter2")
    message = complaint(None, (), {"CREDENTIALS_DIRECTORY": str(tmp_path)}).replace(str(tmp_path), "FOLDER")
    assert message == "FOLDER/mqtt.password: edgeaudio_mqtt.password is there too; keep one of them"


def test_files_that_cannot_be_read(tmp_path) -> None:
    gone = tmp_path / "gone"
    assert complaint(gone) == f"{gone}: settings file cannot be read: No such file or directory"
    assert complaint(tmp_path) == f"{tmp_path}: settings file cannot be read: Is a directory"
    binary = tmp_path / "binary"
    binary.write_bytes(b"device = '\xff'")
    assert complaint(binary) == f"{binary}: settings file is not UTF-8 text (byte 10)"
    binary.write_bytes(b"#" * 1_000_001)
    assert complaint(binary) == f"{binary}: settings file is larger than 1000000 bytes"
    environ = {"CREDENTIALS_DIRECTORY": str(gone)}
    assert complaint(None, (), environ) == f"{gone}: credentials directory cannot be read: No such file or directory"


def test_each_fault_gets_its_line(tmp_path) -> None:
    path = tmp_path / "edgeaudio.toml"
    path.write_text("[health]\ninterval_s = 0\n[sources.porch]\nurl = 'ftp://x'\nmodels = ['x']")
    lines = complaint(path, ["device=-_-"], {"EDGEAUDIO_LOG_LEVEL": "loud"}).splitlines()
    assert [line.partition(": ")[0] for line in lines] == ["--set", "EDGEAUDIO_LOG_LEVEL", str(path), str(path)]


KEYS = st.sampled_from(
    ["device", "mqtt", "sources", "models", "porch", "url", "thresholds", "password", "x", "schedule"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just("0xSECRET"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(KEYS, VALUES, max_size=4))
@hypothesis_settings(deadline=None)
def test_any_table_is_accepted_or_refused_in_whole_lines(table) -> None:
    lines: tuple[str, ...] = ()
    try:
        settings_of(table, "here")
    except SettingsError as error:
        lines = error.lines
    assert all(re.fullmatch(r"(here: )?[^\n\r]+: [^\n\r]+", line) for line in lines)
    assert "0xSECRET" not in "".join(line for line in lines if "password" in line)


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_file_is_taken_or_refused(tmp_path, content) -> None:
    path = tmp_path / "edgeaudio.toml"
    path.write_bytes(content)
    lines: tuple[str, ...] = ()
    try:
        load(path, (), {})
    except SettingsError as error:
        lines = error.lines
    assert all(line.startswith(str(path)) for line in lines)
