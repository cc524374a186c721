"""Every setting: its name, unit, bounds, default, and one line that says what it does.

Owns: the pydantic models, and the rules between settings.
Does not know: where a value came from (sources.py), what it is used for.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, field_validator, model_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from edgeaudio.capture.source_urls import SourceUrl, parse_url
from edgeaudio.errors import EdgeaudioError
from edgeaudio.recognise.bundled_models import DEFAULT_MODEL
from edgeaudio.recognise.manifest import MAX_PERIOD_MS, MIN_PERIOD_MS
from edgeaudio.schema_versions import SETTINGS
from edgeaudio.settings.reading import read_secret
from edgeaudio.settings.values import (
    MIN_TOKEN,
    AnyPath,
    BasePath,
    BrokerUrl,
    Channel,
    Header,
    Hosts,
    Language,
    ListenAddress,
    MediaKinds,
    Networks,
    Number,
    Origins,
    Password,
    PasswordHashText,
    ReadableFile,
    RecogniserUrl,
    Schedule,
    SecretFile,
    SecretUrl,
    ShardIndex,
    Slug,
    Slugs,
    Text,
    Texts,
    Token,
    UserName,
    WebUrl,
    Whole,
    is_loopback,
)
from edgeaudio.shards import MAX_COUNT, Shard, ordinal_of
from edgeaudio.sinks.mqtt.broker import parse_broker_url
from edgeaudio.sinks.mqtt.commands import MAX_COOLDOWN_S
from edgeaudio.sinks.mqtt.topics import Topics
from edgeaudio.slugs import slugify
from edgeaudio.state_dir import default_state_dir

# Set by load.py while it loads, the one that wins first. A Settings made by hand reads nothing but its arguments.
sources: ContextVar[tuple[PydanticBaseSettingsSource, ...]] = ContextVar("sources", default=())

FAULT = "fault"


def _fault(problem: str, *at: str) -> PydanticCustomError:
    """Return the error of settings that contradict each other; `at` is the path from the table to the faulty one."""
    return PydanticCustomError(FAULT, "{problem}", {"problem": problem, "at": at})


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class _Login(_Table):
    """Login in the URL or beside it, with the password in a setting or in a file."""

    url: SecretUrl
    username: Text | None = Field(None, repr=False, description="Login, where the URL holds none.")
    password: Password | None = Field(None, max_length=256, description="Password, where the URL holds none.")
    password_file: SecretFile | None = Field(None, description="File whose only line is the password.")

    @model_validator(mode="after")
    def _one_password(self) -> Self:
        if self.password is not None and self.password_file is not None:
            raise _fault("password is set too; keep one", "password_file")
        try:
            self.secret()
        except EdgeaudioError as error:
            raise _fault(str(error), "password_file") from None
        return self

    def secret(self) -> str | None:
        """Return the password beside the URL, read from its file if there is one. Raises SettingsError."""
        if self.password_file is not None:
            return read_secret(self.password_file)
        return self.password.get_secret_value() if self.password is not None else None


class MqttSettings(_Login):
    """`[mqtt]`: the broker, and what is published."""

    url: BrokerUrl = Field(SecretUrl("mqtt://localhost"), description="mqtt:// or, with TLS, mqtts://HOST[:PORT].")
    ca_file: ReadableFile | None = Field(None, description="Certificates to trust instead of the system's (PEM).")
    cert_file: ReadableFile | None = Field(None, description="This device's certificate (PEM).")
    key_file: ReadableFile | None = Field(None, description="The certificate's private key (PEM).")
    rate_per_s: Number = Field(500.0, ge=1, le=10_000, description="The most messages a second that are sent.")
    base_topic: Text = Field("edgeaudio", description="Every topic begins with it.")
    discovery: bool = Field(default=True, description="Announce the device to Home Assistant.")
    discovery_prefix: Text = Field("homeassistant", description="Where Home Assistant looks for announcements.")

    @field_validator("base_topic", "discovery_prefix", mode="after")
    @classmethod
    def _topic(cls, topic: str) -> str:
        try:
            Topics(topic, "device")
        except EdgeaudioError:
            raise ValueError("must be levels of letters, digits, '_', '.' and '-', parted by '/'") from None
        return topic

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        address = parse_broker_url(self.url.get_secret_value())
        if (self.cert_file is None) != (self.key_file is None):
            raise _fault("cert_file and key_file belong together; set both or neither")
        if not address.tls and (self.ca_file or self.cert_file):
            raise _fault("must be mqtts:// for ca_file and cert_file to be used", "url")
        if address.username is not None and (self.username is not None or self.secret() is not None):
            raise _fault("has a login, and there is one beside it; keep one", "url")
        if address.username is None and self.secret() is not None and self.username is None:
            raise _fault("is missing, and there is a password", "username")
        return self


class ShardSettings(_Table):
    """`[shard]`: which of a centre's agents this one is; it hears the sources that belong to it."""

    index: ShardIndex | None = Field(
        None, description='From 0, or "hostname" for the number that ends it, as of a pod; default: no shard.'
    )
    count: Whole | None = Field(None, ge=1, le=MAX_COUNT, description="How many agents share the sources.")

    @model_validator(mode="after")
    def _there_is_one(self) -> Self:
        try:
            self.shard()
        except EdgeaudioError as error:
            raise _fault(str(error), "index") from None
        return self

    def shard(self) -> Shard | None:
        """Return which shard this is; None: the agent hears all sources. Raises EdgeaudioError."""
        if self.index is None and self.count is None:
            return None
        if self.index is None or self.count is None:
            raise _fault("is missing; index and count belong together", "index" if self.index is None else "count")
        if isinstance(self.index, int):
            return Shard(self.index, self.count)
        host = socket.gethostname()
        ordinal = ordinal_of(host)
        if ordinal is None:
            raise EdgeaudioError(f"the host name {host!r} ends in no number, as edgeaudio-2 does; set index to one")
        try:
            return Shard(ordinal, self.count)
        except EdgeaudioError as error:
            raise EdgeaudioError(f"{error}, with which the host name {host!r} ends") from None


class HealthSettings(_Table):
    """`[health]`: how the agent reports on itself."""

    interval_s: Number = Field(
        30.0, ge=1, le=3600, description="Time between two reports; changes of state are published at once."
    )


class DetectorSettings(_Table):
    """`[detector]`: what holds for the detection of every label."""

    adapt: bool = Field(
        default=False, description="Whether a threshold rises while a sound goes on for hours that barely meets it."
    )


class OutboxSettings(_Table):
    """`[outbox]`: messages kept on disk until they are acknowledged. When it is full, the oldest are dropped."""

    max_messages: Whole = Field(100_000, ge=1, le=100_000_000, description="The most messages kept.")
    max_bytes: Whole = Field(33_554_432, ge=65_536, le=1_099_511_627_776, description="The most bytes kept.")
    expiry_s: Number | None = Field(
        None, ge=1, le=315_360_000, description="Unsent messages older than this are dropped."
    )


Score = Annotated[Number, Field(ge=0, le=1)]


class ClipsSettings(_Table):
    """`[clips]`: the sound around each event in a file, on this device."""

    enabled: bool = Field(default=False, description="Whether to write clips.")
    folder: AnyPath | None = Field(None, description='Where clips are kept; default: "clips" in state_dir.')
    format: Literal["opus", "flac", "wav"] = Field("opus", description="Format of the files.")
    before_s: Number = Field(3.0, ge=0, le=60, description="Seconds before the onset of an event.")
    after_s: Number = Field(2.0, ge=0, le=60, description="Seconds after its offset.")
    longest_s: Number = Field(30.0, ge=1, le=600, description="The most seconds of a clip.")
    labels: Texts | None = Field(None, description="Labels and groups that have clips; default: all that are reported.")
    min_score: Number = Field(0.0, ge=0, le=1, description="Events whose highest score is under this have no clip.")
    max_age_days: Number = Field(30.0, ge=0.01, le=36_500, description="Older clips are removed.")
    max_mb: Number = Field(1000.0, ge=1, le=1_000_000_000, description="The oldest clips beyond are removed.")
    best_per_label: Whole | None = Field(
        None, ge=1, le=1_000_000, description="The most clips of a label, by score; default: no limit."
    )
    min_free_mb: Number = Field(500.0, ge=0, le=1_000_000_000, description="Room on the disk that clips leave free.")
    never_with: dict[Text, Score] = Field(
        default_factory=dict, description="Labels, and scores from which on a clip with them is not kept."
    )
    picture: Literal["none", "jpeg", "webp", "png"] = Field(
        "none", description="Format of the spectrogram beside each clip."
    )
    publish: MediaKinds | None = Field(
        None, description="What is sent over MQTT: the sound (clip), the spectrogram (image); default: neither."
    )

    @model_validator(mode="after")
    def _picture_to_publish(self) -> Self:
        if "image" in (self.publish or ()) and self.picture == "none":
            raise _fault('has "image", and picture is "none"; set picture = "jpeg"', "publish")
        return self

    @model_validator(mode="after")
    def _length(self) -> Self:
        if self.longest_s <= self.before_s:
            raise _fault(f"must be above before_s, which is {self.before_s:g}", "longest_s")
        return self


class LiveSettings(_Table):
    """`[live]`: what a source that is watched live may send."""

    audio: bool = Field(default=False, description="Whether sound may be listened to.")


class TranscriptsSettings(_Table):
    """`[transcripts]`: the recogniser that is asked what is said at sources with `transcribe`."""

    recogniser: RecogniserUrl | None = Field(
        None, description="Where the recogniser is, as in wyoming://HOST[:PORT]; default: nothing is transcribed."
    )
    language: Language | None = Field(
        None, description='Language that is spoken, as in "en"; default: the recogniser guesses.'
    )
    model: Text | None = Field(None, description="Name of the recogniser's model; default: its own.")
    api_key: Password | None = Field(None, max_length=4096, description="API key of the recogniser.")
    api_key_file: SecretFile | None = Field(None, description="File whose only line is that key.")
    timeout_s: Number = Field(30.0, ge=1, le=600, description="How long the recogniser may take for an utterance.")
    max_mb: Number = Field(100.0, ge=2, le=10_000, description="The oldest waiting utterances beyond are dropped.")
    max_age_h: Number = Field(24.0, ge=0.01, le=8760, description="Utterances that waited longer are dropped.")

    @model_validator(mode="after")
    def _one_key(self) -> Self:
        if self.api_key is not None and self.api_key_file is not None:
            raise _fault("api_key is set too; keep one", "api_key_file")
        try:
            self.key()
        except EdgeaudioError as error:
            raise _fault(str(error), "api_key_file") from None
        return self

    def key(self) -> str | None:
        """Return the API key, read from its file if there is one. Raises SettingsError."""
        if self.api_key_file is not None:
            return read_secret(self.api_key_file)
        return self.api_key.get_secret_value() if self.api_key is not None else None


class DashboardUserSettings(_Table):
    """`[dashboard.users.NAME]`: somebody who may log in to the page."""

    password: PasswordHashText | None = Field(None, description="Hash of the password: `dashboard --hash-password`.")
    role: Literal["reader", "owner"] = Field("reader", description="What the user may do: see, or change too.")


class DashboardSettings(_Table):
    """`[dashboard]`: the page of `edgeaudio dashboard`. The agent uses `url` alone."""

    url: WebUrl | None = Field(None, description="Where people reach the page; detections then have a `link` to it.")
    listen: ListenAddress = Field("127.0.0.1:8420", description="Address and port of the page.")
    database: AnyPath | None = Field(None, description="File of its history; default: dashboard.sqlite in state_dir.")
    keep_days: Number = Field(365.0, ge=1, le=36_500, description="Older events and clips are deleted.")
    clips_dir: AnyPath | None = Field(
        None, description="Folder of clips and pictures that agents publish; default: beside the database."
    )
    clips_max_mb: Number = Field(
        1000.0, ge=0, le=1_000_000_000, description="The most MB of them; 0: none are received or kept."
    )
    public: bool = Field(default=False, description="Whether detections and states are shown without a login.")
    hosts: Hosts | None = Field(None, description="Host names by which the page is reached, besides localhost.")
    base_path: BasePath | None = Field(None, description="Path under which a proxy has the page; default: the root.")
    trusted_proxies: Networks | None = Field(None, description="Addresses of proxies whose headers are believed.")
    user_header: Header | None = Field(None, description="Header in which these proxies name the user.")
    user_role: Literal["none", "reader", "owner"] = Field(
        "none", description="Role of users whom a proxy names and who are not in users."
    )
    frame_ancestors: Origins | None = Field(None, description="Pages that may show this one in a frame.")
    metrics_token: Token | None = Field(None, description="Bearer token with which /metrics is read without a login.")
    metrics_token_file: SecretFile | None = Field(None, description="File whose only line is that token.")
    users: dict[UserName, DashboardUserSettings] = Field(
        default_factory=dict, max_length=1000, description="Who may log in; default: nobody needs to, on this machine."
    )

    @model_validator(mode="after")
    def _login(self) -> Self:
        has_login = bool(self.users or self.user_header)
        if not has_login and not is_loopback(self.listen):
            raise _fault(
                "other addresses than loopback need a login: add [dashboard.users.NAME] with a password that "
                "`edgeaudio dashboard --hash-password` prints",
                "listen",
            )
        for name in ("public", "trusted_proxies", "metrics_token", "metrics_token_file"):
            if not has_login and getattr(self, name):
                raise _fault("needs a login: add [dashboard.users.NAME]", name)
        if self.user_header and not self.trusted_proxies:
            raise _fault("needs trusted_proxies: anybody else can send a header too", "user_header")
        if self.user_role != "none" and not self.user_header:
            raise _fault("needs user_header", "user_role")
        for name, user in self.users.items():
            if user.password is None and not self.user_header:
                raise _fault("is missing; `edgeaudio dashboard --hash-password` prints one", "users", name, "password")
        return self

    @model_validator(mode="after")
    def _one_token(self) -> Self:
        if self.metrics_token is not None and self.metrics_token_file is not None:
            raise _fault("metrics_token is set too; keep one", "metrics_token_file")
        try:
            token = self.token()
        except EdgeaudioError as error:
            raise _fault(str(error), "metrics_token_file") from None
        if token is not None and len(token) < MIN_TOKEN:
            raise _fault(f"must have at least {MIN_TOKEN} characters", "metrics_token_file")
        return self

    def token(self) -> str | None:
        """Return the token of /metrics, read from its file if there is one. Raises SettingsError."""
        if self.metrics_token_file is not None:
            return read_secret(self.metrics_token_file)
        return self.metrics_token.get_secret_value() if self.metrics_token is not None else None


class ThresholdSettings(_Table):
    """Scores, 0 to 1, at which an event begins and under which it ends."""

    on: Number = Field(ge=0, le=1, description="An event begins at this score.")
    off: Number | None = Field(None, ge=0, le=1, description="An event ends under this score; default: see docs.")

    @model_validator(mode="after")
    def _hysteresis(self) -> Self:
        if self.off is not None and self.off > self.on:
            raise _fault(f"must be at most {self.on:g}, which is on; is {self.off:g}", "off")
        return self


Thresholds = dict[Text, ThresholdSettings]
Cooldown = Annotated[Number, Field(ge=0, le=MAX_COOLDOWN_S)]


class SourceSettings(_Login):
    """`[sources.NAME]`: one camera, stream, recording or sound card."""

    url: SecretUrl = Field(description="Where the sound comes from: rtsp://, rtmp://, https://, a path, alsa:DEVICE.")
    enabled: bool = Field(default=True, description="Whether to listen to it at all.")
    channel: Channel = Field(
        "auto",
        description='"mix" for the mean of all channels, the number of one, from 1, or "auto": the mean, '
        "or the loudest where they cancel each other out.",
    )
    pauses: bool = Field(default=False, description="Whether the sender sends nothing while it is quiet.")
    transcribe: bool = Field(default=False, description="Whether what is said is written down: see [transcripts].")
    loop: bool = Field(default=False, description="Whether a recording begins anew after its end.")
    latency_ms: Whole = Field(
        500, ge=0, le=500, description="How long sound of an RTSP source may wait to be read; 0: not at all."
    )
    media: Literal["auto", "audio", "all"] = Field(
        "auto", description="What RTSP cameras are asked for: their sound alone, all they send, or what proves good."
    )
    transport: Literal["auto", "tcp", "udp"] = Field("auto", description="How RTSP carries the sound.")
    tls_verify: bool = Field(default=True, description="Refuse certificates that cannot be verified.")
    ca_file: ReadableFile | None = Field(None, description="Certificates to trust instead of the system's (PEM).")
    open_timeout_s: Number = Field(10.0, ge=1, le=600, description="How long an opening may take, each try.")
    read_timeout_s: Number = Field(5.0, ge=0.5, le=600, description="How long no sound may come.")
    probe_bytes: Whole = Field(
        5_000_000, ge=65_536, le=100_000_000, description="The most that is read to find a track of sound."
    )
    probe_s: Number = Field(5.0, ge=0.1, le=60, description="The most that is heard to find a track of sound.")
    models: Slugs | None = Field(None, description="Names of the models to run; default: all.")
    level_interval_s: Number = Field(10.0, ge=1, le=3600, description="Time between two level messages.")
    gate_dbfs: Number = Field(
        -60.0, ge=-120, le=0, description="Clips with an RMS level under this are not recognised."
    )
    schedule: Schedule | None = Field(None, description="Hours of local time in which to listen; default: always.")
    thresholds: Thresholds = Field(
        default_factory=dict, description="Per label or group: the scores at which its events begin and end."
    )
    cooldown_s: dict[Text, Cooldown] = Field(
        default_factory=dict, description="Per label or group: seconds after an event without another one."
    )

    @model_validator(mode="after")
    def _address(self) -> Self:
        try:
            self.address()
        except EdgeaudioError as error:
            raise _fault(str(error), "url") from None
        return self

    def address(self) -> SourceUrl:
        """Return the parsed URL with its login. Raises SettingsError, UrlError."""
        return parse_url(self.url.get_secret_value(), self.username, self.secret())


class ModelSettings(_Table):
    """`[models.NAME]`: one recogniser. Without any such table, the bundled model runs."""

    path: AnyPath | None = Field(None, description="The model's directory; default: the bundled model of that name.")
    period_ms: Whole | None = Field(
        None, ge=MIN_PERIOD_MS, le=MAX_PERIOD_MS, description="Time from clip to clip; default: the model's own."
    )
    labels: Texts | None = Field(None, description="Labels and groups to report; default: all.")
    groups: dict[Text, Texts] = Field(
        default_factory=dict, description="Labels reported as one, with the highest of their scores."
    )
    thresholds: Thresholds = Field(
        default_factory=dict, description="Per label or group: the scores at which its events begin and end."
    )
    cooldown_s: dict[Text, Cooldown] = Field(
        default_factory=dict, description="Per label or group: seconds after an event without another one."
    )


def default_device() -> str:
    """Return the host name as a slug."""
    return slugify(socket.gethostname().partition(".")[0]) or "edgeaudio"


class Settings(BaseSettings):
    """All settings of an agent."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    schema_version: Whole = Field(
        SETTINGS.version,
        ge=1,
        le=SETTINGS.version,
        description="Version of the names and meanings in the settings file.",
    )
    device: Slug = Field(default_factory=default_device, description="Name of this device; default: the host name.")
    state_dir: AnyPath = Field(default_factory=default_state_dir, description="Where the outbox is kept.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="The least that is logged.")
    log_format: Literal["text", "ecs"] = Field("text", description="Lines of the log: text, or JSON for collectors.")
    memory_limit_mb: Number | None = Field(
        None,
        ge=64,
        le=1_048_576,
        description="Connections that fill more memory than this are ended; default: see docs.",
    )
    reload_interval_s: Number | None = Field(
        None, ge=1, le=3600, description="How often changes of the settings are looked for; default: at SIGHUP alone."
    )
    shard: ShardSettings = ShardSettings()
    mqtt: MqttSettings = MqttSettings()
    health: HealthSettings = HealthSettings()
    outbox: OutboxSettings = OutboxSettings()
    detector: DetectorSettings = DetectorSettings()
    clips: ClipsSettings = ClipsSettings()
    live: LiveSettings = LiveSettings()
    transcripts: TranscriptsSettings = TranscriptsSettings()
    dashboard: DashboardSettings = DashboardSettings()
    sources: dict[Slug, SourceSettings] = Field(default_factory=dict)
    models: dict[Slug, ModelSettings] = Field(default_factory=lambda: {DEFAULT_MODEL: ModelSettings()}, min_length=1)
    _elsewhere: dict[str, SourceSettings] = PrivateAttr(default_factory=dict)  # see `own`

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 (pydantic-settings hands in its own)
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the arguments, then the sources of load.py, in place of the library's default sources."""
        return (init_settings, *sources.get())

    def own(self) -> Settings:
        """Return these settings with the sources of this shard alone; the names of the others are in `elsewhere`."""
        shard = self.shard.shard()
        if shard is None:
            return self
        sources = {name: source for name, source in self.sources.items() if shard.owns(name)}
        own = self.model_copy(update={"sources": sources})
        others = {name: source for name, source in self.sources.items() if name not in sources}
        own._elsewhere = others  # noqa: SLF001 (of this class)
        return own

    @property
    def elsewhere(self) -> frozenset[str]:
        """Names of the centre's sources that `own` has left to other shards."""
        return frozenset(self._elsewhere)

    @property
    def outbox_path(self) -> Path:
        """File of the outbox."""
        return self.state_dir / "outbox.sqlite"

    @property
    def clips_folder(self) -> Path:
        """Folder of the clips."""
        return self.state_dir / "clips" if self.clips.folder is None else self.clips.folder

    @property
    def utterances_folder(self) -> Path:
        """Folder of the utterances that wait for the recogniser."""
        return self.state_dir / "utterances"

    @property
    def transcribed(self) -> frozenset[str]:
        """Names of the sources that are transcribed."""
        return self._transcribed(self.sources)

    @property
    def transcribed_elsewhere(self) -> frozenset[str]:
        """Names of the sources in `elsewhere` that are transcribed."""
        return self._transcribed(self._elsewhere)

    def _transcribed(self, sources: Mapping[str, SourceSettings]) -> frozenset[str]:
        if self.transcripts.recogniser is None:  # settings that a running agent took over may be so
            return frozenset()
        return frozenset(name for name, source in sources.items() if source.transcribe)

    @property
    def history_path(self) -> Path:
        """File of the dashboard's history."""
        return self.dashboard.database or self.state_dir / "dashboard.sqlite"

    @property
    def received_clips_folder(self) -> Path:
        """Folder of the clips and pictures that the dashboard receives."""
        return self.dashboard.clips_dir or self.history_path.with_name(f"{self.history_path.stem}-clips")

    @model_validator(mode="after")
    def _names_known(self) -> Self:
        for name, source in self.sources.items():
            for model in source.models or ():
                if model not in self.models:
                    raise _fault(
                        f'there is no model "{model}"; there is {_names(self.models)}', "sources", name, "models"
                    )
        return self

    @model_validator(mode="after")
    def _recogniser_known(self) -> Self:
        for name, source in self.sources.items():
            if source.transcribe and self.transcripts.recogniser is None:
                raise _fault("needs transcripts.recogniser, the address of one", "sources", name, "transcribe")
        return self

    @model_validator(mode="after")
    def _centre_named(self) -> Self:
        if self.shard.count is not None and "device" not in self.model_fields_set:
            raise _fault("is missing; name the centre, the same in each of its shards", "device")
        return self


def _names(table: Mapping[str, object]) -> str:
    return ", ".join(f'"{name}"' for name in table)
