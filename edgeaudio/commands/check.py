"""`edgeaudio check`: does everything work that the settings name?

Owns: what is tried, side by side and each within a limit, and the line that tells how it went.
Does not know: how sources and models are opened (it asks their rooms), and what the agent does with the state
directory and the broker (it is handed a trial of that).
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from edgeaudio.capture.connection import open_source
from edgeaudio.capture.errors import SourceError
from edgeaudio.capture.origin import LeadError, verifying_context
from edgeaudio.commands.interrupt import stopped_by_interrupt
from edgeaudio.commands.source_argument import told
from edgeaudio.commands.waiting import SENDER_WAIT_S, Patience
from edgeaudio.console import decibels, table
from edgeaudio.decibels import loudest_channel_dbfs
from edgeaudio.errors import EdgeaudioError
from edgeaudio.recognise.model import Model
from edgeaudio.redact import mask
from edgeaudio.settings import Settings
from edgeaudio.settings.load import load_with_layers
from edgeaudio.settings.show import effective_toml, example_toml, json_schema
from edgeaudio.terminal import bad, faint, good, say, width_of
from edgeaudio.types import Samples
from edgeaudio.wiring import load_one_model, model_bindings, source_config, source_pipeline

LISTEN_S = 2.0
SIDE_BY_SIDE = 8  # sources opened at once; more would only hurry a small board
TIMED_RUNS = 5


class Tried(Protocol):
    """What `dry_run` tells of one thing."""

    @property
    def what(self) -> str: ...
    @property
    def works(self) -> bool: ...
    @property
    def told(self) -> str: ...


_MARKS = {"works": good, "FAILS": bad, "off": faint}

DryRun = Callable[[Settings, threading.Event], Iterable[Tried]]
SourceWorks = Callable[[Settings, dict[str, Model], str, threading.Event], str]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """How one thing is."""

    what: str
    verdict: Literal["works", "FAILS", "off"]
    told: str


def print_schema() -> int:
    """Print the JSON Schema of the settings."""
    say(json_schema())
    return 0


def print_example() -> int:
    """Print a settings file with every setting explained."""
    say(example_toml(), end="")
    return 0


def print_settings(path: Path | None, options: Sequence[str]) -> int:
    """Print the settings in force, secrets masked. Raises SettingsError."""
    settings, layers = load_with_layers(path, options)
    say(effective_toml(settings, layers), end="")
    return 0


def check(path: Path | None, options: Sequence[str], dry_run: DryRun, *, offline: bool = False) -> int:
    """Try everything; 0 if all of it works, else 2. Raises SettingsError where the settings cannot be used at all.

    `dry_run` tries what is neither a model nor a source, as the agent would. `offline`: no source is opened.
    """
    # what a run would log is what is printed here
    logging.getLogger("edgeaudio").addHandler(logging.NullHandler())
    settings, layers = load_with_layers(path, options)
    said_by = " < ".join(layer.name for layer in reversed(layers) if layer.table) or "defaults only"
    works = True
    what = max(len(f"source {name}") for name in [*settings.sources, *settings.models, "name"])
    with stopped_by_interrupt() as stop:
        for found in _findings(settings, said_by, dry_run, _planned if offline else opened, stop):
            if stop.is_set():
                break
            works &= found.verdict != "FAILS"
            show(found, what)
    return 0 if works else 2


def _findings(
    settings: Settings, said_by: str, dry_run: DryRun, source_works: SourceWorks, stop: threading.Event
) -> Iterator[CheckResult]:
    yield CheckResult("settings", "works", said_by)
    models: dict[str, Model] = {}
    for name in settings.models:
        yield tried(f"model {name}", partial(_model, settings, name, models))
    if not settings.sources:
        yield CheckResult("sources", "FAILS", "none are set; add a [sources.NAME] table with a url")
    # the one place besides the agent that makes threads: twenty cameras that are switched off would take minutes
    with ThreadPoolExecutor(SIDE_BY_SIDE) as side_by_side:
        trial = side_by_side.submit(lambda: list(dry_run(settings, stop)))
        sources = {
            name: side_by_side.submit(tried, f"source {name}", partial(source_works, settings, models, name, stop))
            for name, source in settings.sources.items()
            if source.enabled
        }
        for name in settings.sources:
            off = CheckResult(f"source {name}", "off", "enabled = false, so it was not tried")
            yield sources[name].result() if name in sources else off
        for outcome in trial.result():
            yield finding(outcome)


def show(found: CheckResult, what_width: int = 0) -> None:
    """Print how one thing is."""
    row = [found.what, _MARKS[found.verdict](found.verdict), mask(found.told)]
    for line in table([row], widths=(what_width, 5), width=width_of(sys.stdout)):
        say(*line, flush=True)


def finding(outcome: Tried) -> CheckResult:
    """What a trial tells, as it is shown."""
    return CheckResult(outcome.what, "works" if outcome.works else "FAILS", _without(outcome.what, outcome.told))


def tried(what: str, attempt: Callable[[], str]) -> CheckResult:
    """How an attempt at one thing goes."""
    try:
        return CheckResult(what, "works", attempt())
    except SourceError as error:
        return CheckResult(what, "FAILS", told(error))
    except EdgeaudioError as error:
        return CheckResult(what, "FAILS", _without(what, str(error)))


def _without(what: str, text: str) -> str:
    """The text in one line, without its subject, which stands before it already."""
    return " ".join(text.splitlines()).removeprefix(what).lstrip(": ")


def _model(settings: Settings, name: str, models: dict[str, Model]) -> str:
    model = load_one_model(settings, name)
    models[name] = model
    model_bindings(settings, {name: model})
    manifest = model.manifest
    features = manifest.features
    if features is None:
        values = np.zeros(manifest.clip.n_samples, np.float32)
    else:
        values = np.zeros((features.n_frames(manifest.clip.n_samples), features.n_features), np.float32)
    durations_s = []
    for _ in range(TIMED_RUNS):
        begin_s = time.perf_counter()
        model.scores(values)
        durations_s.append(time.perf_counter() - begin_s)
    length_s = manifest.clip.n_samples / manifest.clip.sample_rate
    return (
        f"{manifest.name} {manifest.version}, {len(manifest.labels)} labels, "
        f"clips of {length_s:.2f} s, {min(durations_s) * 1000:.1f} ms each"
    )


def _planned(settings: Settings, models: dict[str, Model], name: str, _: threading.Event) -> str:
    """Try what a source needs without opening it. Raises EdgeaudioError."""
    if len(models) == len(settings.models):  # else the model's own line says what is wrong
        source_pipeline(settings, models, name)
    config = source_config(name, settings.sources[name])
    if config.ca_file is not None and config.tls_verify:
        try:
            verifying_context(config.ca_file)
        except LeadError as error:
            raise SourceError(name, config.address, error.reason, error.detail, error.hint) from None
    return f"{config.address}: not opened"


def opened(settings: Settings, models: dict[str, Model], name: str, stop: threading.Event) -> str:
    """Listen to a source for a moment. Raises EdgeaudioError."""
    _planned(settings, models, name, stop)
    config = source_config(name, settings.sources[name])
    samples: list[Samples] = []
    heard_s = 0.0
    config = source_config(name, settings.sources[name])
    with (
        Patience(config, stop, label=f"source {name}: ") as patience,
        open_source(config, patience.end, sender_wait_s=SENDER_WAIT_S) as connection,
    ):
        for block in patience.listen(connection, LISTEN_S):
            if samples and samples[0].shape[1:] != block.samples.shape[1:]:
                samples = []  # the level is that of the latest format
            samples.append(block.samples)
            heard_s += block.duration_s
            if heard_s >= LISTEN_S:
                break
        info = connection.info
    level = loudest_channel_dbfs(np.concatenate(samples)) if samples else None
    channels = "1 channel" if info.channels == 1 else f"{info.channels} channels"
    return f"{config.address}: {info.codec}, {info.sample_rate} Hz, {channels}, {decibels(level)}"
