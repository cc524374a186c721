"""A run without sources, for `edgeaudio check`: do the state directory and the broker accept what `run` does?

Owns: what is tried instead of a run, with the agent's own parts, and for how long.
Does not know: how results are printed; sources and models (check.py tries those).

Nothing stays of it at the broker: no message is retained, none is cleared, and what waits in the outbox is left for
`run`, for the state directory may be that of another device. If no agent runs, the broker gets the same client id,
will, subscriptions and state as from an agent, from an outbox of the moment. Beside a running agent (it holds the
database, or it, or a shard of its centre, is `online`) that would disconnect it, or pass for it: then a visitor with an
id of its own connects, sends no state, and the result says what that leaves unproven. In both cases each source's
detection topic gets a message of kind `check`, which no receiver takes for a detection. Where that works, so is the
connection for clips, if they are published (media_trial.py).
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from edgeaudio.agent.agent import Agent
from edgeaudio.agent.media_trial import try_media
from edgeaudio.errors import EdgeaudioError
from edgeaudio.health.broker import BrokerReason, BrokerState
from edgeaudio.outbox.outbox import Outbox, OutboxError, OutboxInUseError, in_memory, is_in_use
from edgeaudio.settings import Settings
from edgeaudio.sinks.mqtt import messages
from edgeaudio.sinks.mqtt.broker import BrokerError, MqttConfig
from edgeaudio.sinks.mqtt.client import MqttConnection
from edgeaudio.sinks.mqtt.events import Received
from edgeaudio.sinks.mqtt.sender import Sender
from edgeaudio.sinks.mqtt.tls import tls_context
from edgeaudio.sinks.mqtt.topics import Topics
from edgeaudio.types import OutboxStats
from edgeaudio.wiring import birth_filters, mqtt_config, topics_of

_BROKER_TIMEOUT_S = 30.0  # for the broker to answer everything
_STEP_S = 0.05
_JOIN_S = 2.0
_MAX_CONNECTIONS = 20  # each connection that ends reveals one more message that the broker refuses
_RETAINED_S = 0.5  # for a retained message to follow its subscription
_RETRY_MIN_S, _RETRY_MAX_S = 0.2, 2.0
_CHECKED = "checked"
_MEDIA = "clips.publish"
_UNPROVEN = "not proven: this device's own client id and will, retained topics, the writing of the outbox"


@dataclass(frozen=True, slots=True)
class DryRunResult:
    """Outcome of one trial."""

    what: str
    works: bool
    detail: str


def run_dry(settings: Settings, stop: threading.Event, *, as_device: bool = True) -> Iterator[DryRunResult]:
    """Try state directory and broker as `run` would use them; `stop` ends it early.

    `as_device`: publish this device's state, as the settings have it: not where they are incomplete.
    """
    topics = topics_of(settings)
    config = replace(mqtt_config(settings), retry_min_s=_RETRY_MIN_S, retry_max_s=_RETRY_MAX_S)
    alone = False  # no agent runs: the real client id may be used
    try:
        stats = _written(settings)
    except OutboxError as error:
        yield DryRunResult("state_dir", works=False, detail=str(error))
    else:
        if stats is None:
            yield DryRunResult("state_dir", works=True, detail="in use by a running edgeaudio, so it was not written")
        elif stats.trouble or stats.damage:
            yield DryRunResult("state_dir", works=False, detail=stats.damage or in_memory(stats.trouble or ""))
        else:
            yield DryRunResult("state_dir", works=True, detail=f"{stats.depth} messages waiting")
        alone = as_device and stats is not None and not _is_online(config, topics, stop)
    found, alone = _try_broker(settings, config, topics, stop, alone=alone)
    unproven = "" if alone or not as_device else f"; {_UNPROVEN}"
    for finding in found:
        yield replace(finding, detail=f"{finding.detail}{unproven}") if finding.works else finding
    if settings.clips.enabled and settings.clips.publish and all(finding.works for finding in found):
        tried = config if alone else _visitor(config)
        faults, detail = try_media(tried, topics, settings.sources, settings.clips.publish, stop)
        yield from (DryRunResult(_MEDIA, works=False, detail=fault) for fault in faults)
        if not faults:
            yield DryRunResult(_MEDIA, works=True, detail=detail)


def run_dry_offline(settings: Settings, _: threading.Event) -> Iterator[DryRunResult]:
    """Try what `run` needs for the broker and can be tried offline: the files of TLS."""
    config = mqtt_config(settings)
    try:
        if config.tls:
            tls_context(config)
    except BrokerError as error:
        yield DryRunResult("broker", works=False, detail=str(error))
    else:
        yield DryRunResult("broker", works=True, detail=f"{config.where}: not asked")


def _try_broker(
    settings: Settings, config: MqttConfig, topics: Topics, stop: threading.Event, *, alone: bool
) -> tuple[list[DryRunResult], bool]:
    """Try the broker, as the agent if it is `alone`; return the results, and whether it was as the agent."""
    agent = None
    if alone:
        with tempfile.TemporaryDirectory() as folder:
            with suppress(EdgeaudioError):  # reported with the model or source that is at fault
                agent = Agent(settings.model_copy(update={"state_dir": Path(folder)}), replace(config, retains=False))
            if agent is not None:
                return agent.dry_run(partial(_outcome, stop=stop, where=config.where)), True
    return _visit(settings, config, topics, stop), False


def _written(settings: Settings) -> OutboxStats | None:
    """Write to the outbox and return its state; None if an agent uses it. Raises OutboxError."""
    path, shard = settings.outbox_path, settings.shard.shard()
    if is_in_use(path):
        return None
    try:
        with closing(Outbox(path)) as outbox:
            outbox.require_owner(None if shard is None else shard.index)
            outbox.set_setting(_CHECKED, str(round(time.time())))
            return outbox.stats()
    except OutboxInUseError:
        return None


def _visit(settings: Settings, config: MqttConfig, topics: Topics, stop: threading.Event) -> list[DryRunResult]:
    """Try the broker under another client id, without retained messages."""
    halt = threading.Event()
    with tempfile.TemporaryDirectory() as folder, closing(Outbox(Path(folder) / "outbox.sqlite")) as outbox:
        sender = Sender(
            _visitor(config), outbox, topics, stop=halt, listen_to=birth_filters(settings.mqtt), is_device=False
        )
        for source in settings.sources:
            sender.put(messages.check(topics, source))
        thread = threading.Thread(target=sender.run, name="sender", daemon=True)
        thread.start()
        found = _outcome(sender, stop=stop, where=config.where)
        halt.set()
        sender.wake()
        thread.join(_JOIN_S)
    return found


def _outcome(sender: Sender, *, stop: threading.Event, where: str) -> list[DryRunResult]:
    """Wait until the broker has answered everything, and return the results."""
    deadline_s = time.monotonic() + _BROKER_TIMEOUT_S
    failed = False
    while not sender.settled and not stop.is_set() and not failed:
        time.sleep(_STEP_S)
        error = sender.last_error
        hopeless = sender.connections == 0 or sender.connections > _MAX_CONNECTIONS
        failed = time.monotonic() > deadline_s or (
            error is not None and (hopeless or error.reason is BrokerReason.TAKEN_OVER)
        )
    lines = [complaint.text(where) for complaint in sender.complaints]
    if failed and (not lines or sender.status.state is not BrokerState.CONNECTED):
        lines.append(
            str(sender.last_error or f"broker {where}: does not answer everything within {_BROKER_TIMEOUT_S:g} s")
        )
    if lines:
        return [DryRunResult("broker", works=False, detail=line) for line in lines]
    return [DryRunResult("broker", works=True, detail=f"{where}: connected, MQTT {sender.status.protocol}")]


def _is_online(config: MqttConfig, topics: Topics, stop: threading.Event) -> bool:
    """True if an agent of this name, or of its centre, is at the broker; False also if the broker does not answer."""
    with suppress(BrokerError), closing(MqttConnection(_visitor(config), will=None, stop=stop)) as connection:
        for topic in topics.availabilities:
            connection.subscribe(topic, retained=True)
        deadline_s = time.monotonic() + _RETAINED_S
        while not stop.is_set() and (left_s := deadline_s - time.monotonic()) > 0:
            for event in connection.poll(min(left_s, _STEP_S)):
                if isinstance(event, Received) and event.payload == messages.ONLINE:
                    return True
    return False


def _visitor(config: MqttConfig) -> MqttConfig:
    # no device has this id: in a device's, a digest follows an underscore
    return replace(config, client_id=f"{config.client_id}_check")
