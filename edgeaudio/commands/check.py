"""`edgeaudio check`: tries everything that the settings name.

Owns: what is tried, in parallel and each within a limit, and the line printed for each.
Does not know: how sources and models are opened, or what the agent does with the state directory and the broker: the
caller passes a dry run of that.
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
from typing import Any, Literal, Protocol

import numpy as np

from edgeaudio.capture.config import SourceConfig
from edgeaudio.capture.connection import open_source
from edgeaudio.capture.errors import SourceError
from edgeaudio.capture.network_probe import unreadable_authorities
from edgeaudio.capture.tls import verifying_context
from edgeaudio.commands.double_reports import double_reports
from edgeaudio.commands.health import find_sockets
from edgeaudio.commands.interrupt import stopped_by_interrupt
from edgeaudio.commands.source_argument import failure_line
from edgeaudio.commands.waiting import SENDER_WAIT_S, WaitMonitor
from edgeaudio.console import decibels, table
from edgeaudio.decibels import loudest_channel_dbfs
from edgeaudio.errors import EdgeaudioError
from edgeaudio.health.agent_socket import NoAnswerError, ask
from edgeaudio.recognise.fused_model import FusedModel, LoadedModel
from edgeaudio.recognise.model import Model
from edgeaudio.redact import mask
from edgeaudio.settings import Settings
from edgeaudio.settings.load import load_with_layers
from edgeaudio.settings.show import effective_toml, example_toml, json_schema
from edgeaudio.sinks.clips.folder import ClipFolder
from edgeaudio.terminal import bad, faint, good, print_out, width_of
from edgeaudio.types import UTTERANCE_RATE, Reason, Samples
from edgeaudio.wiring import (
    check_clips,
    load_one_model,
    model_bindings,
    source_config,
    source_pipeline,
    speech_recogniser,
)

LISTEN_S = 2.0
PARALLEL = 8  # sources opened at once; more would overload a small board
TIMED_RUNS = 5
ASK_LIMIT_S = 2.0
_STEP_S = 0.05


class DryRunResult(Protocol):
    """One result of a dry run."""

    @property
    def what(self) -> str: ...
    @property
    def works(self) -> bool: ...
    @property
    def detail(self) -> str: ...


_MARKS = {"works": good, "warns": bad, "FAILS": bad, "off": faint}

DryRun = Callable[[Settings, threading.Event], Iterable[DryRunResult]]
SourceWorks = Callable[[Settings, dict[str, LoadedModel], str, threading.Event], str]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One line of the report."""

    what: str
    verdict: Literal["works", "warns", "FAILS", "off"]
    detail: str


def print_schema() -> int:
    """Print the JSON Schema of the settings."""
    print_out(json_schema())
    return 0


def print_example() -> int:
    """Print a settings file with every setting explained."""
    print_out(example_toml(), end="")
    return 0


def print_settings(path: Path | None, options: Sequence[str]) -> int:
    """Print the settings in force, secrets masked. Raises SettingsError."""
    settings, layers = load_with_layers(path, options)
    print_out(effective_toml(settings, layers), end="")
    return 0


def check(path: Path | None, options: Sequence[str], dry_run: DryRun, *, offline: bool = False) -> int:
    """Try everything; 0 if all of it works, else 2. Raises SettingsError if the settings cannot be read.

    dry_run: tries what is neither a model nor a source, as the agent would. offline: no source is opened.
    """
    # what a run would log is printed as results
    logging.getLogger("edgeaudio").addHandler(logging.NullHandler())
    settings, layers = load_with_layers(path, options)
    settings = settings.own()
    layer_names = " < ".join(layer.name for layer in reversed(layers) if layer.table) or "defaults only"
    works = True
    what = max(len(f"source {name}") for name in [*settings.sources, *settings.models, "name"])
    with stopped_by_interrupt() as stop:
        for result in _results(settings, layer_names, dry_run, _planned if offline else opened, stop):
            if stop.is_set():
                break
            works &= result.verdict != "FAILS"
            show(result, what)
    return 0 if works else 2


def _results(
    settings: Settings, layer_names: str, dry_run: DryRun, source_works: SourceWorks, stop: threading.Event
) -> Iterator[CheckResult]:
    yield CheckResult("settings", "works", layer_names)
    if (shard := settings.shard.shard()) is not None:
        count = len(settings.sources)
        yield CheckResult("shard", "works", f"{shard}: {count} of {count + len(settings.elsewhere)} sources")
    models: dict[str, LoadedModel] = {}
    for name in settings.models:
        yield tried(f"model {name}", partial(_model, settings, name, models))
    yield from _doubled(settings, models)
    if settings.clips.enabled:
        yield tried("clips", partial(_clips, settings, models, is_written=source_works is not _planned))
    if settings.transcripts.recogniser is not None:
        yield tried("transcripts", partial(_transcripts, settings, stop, is_asked=source_works is not _planned))
    if not settings.sources and not settings.elsewhere:
        yield CheckResult("sources", "FAILS", "none are set; add a [sources.NAME] table with a url")
    # twenty cameras that are switched off would take minutes one after the other
    with ThreadPoolExecutor(PARALLEL) as pool:
        trial = pool.submit(lambda: list(dry_run(settings, stop)))
        sources = {
            name: pool.submit(tried, f"source {name}", partial(source_works, settings, models, name, stop))
            for name, source in settings.sources.items()
            if source.enabled
        }
        for name in settings.sources:
            off = CheckResult(f"source {name}", "off", "enabled = false, so it was not tried")
            yield sources[name].result() if name in sources else off
        for outcome in trial.result():
            yield result_of(outcome)


def _doubled(settings: Settings, models: dict[str, LoadedModel]) -> list[CheckResult]:
    try:
        return [CheckResult("models", "warns", line) for line in double_reports(settings, models)]
    except EdgeaudioError:  # which the source's own line has
        return []


def show(found: CheckResult, what_width: int = 0) -> None:
    """Print one result."""
    row = [found.what, _MARKS[found.verdict](found.verdict), mask(found.detail)]
    for line in table([row], widths=(what_width, 5), width=width_of(sys.stdout)):
        print_out(*line, flush=True)


def result_of(outcome: DryRunResult) -> CheckResult:
    """Return a result of a dry run as a line of the report."""
    return CheckResult(outcome.what, "works" if outcome.works else "FAILS", _without(outcome.what, outcome.detail))


def tried(what: str, attempt: Callable[[], str]) -> CheckResult:
    """Return the result of one attempt: its text, or its error."""
    try:
        return CheckResult(what, "works", attempt())
    except SourceError as error:
        return CheckResult(what, "FAILS", failure_line(error))
    except EdgeaudioError as error:
        return CheckResult(what, "FAILS", _without(what, str(error)))


def _without(what: str, text: str) -> str:
    """Return the text in one line, without its subject, which the line begins with."""
    line = " ".join(text.splitlines())
    rest = line.removeprefix(what)
    return rest.lstrip(": ") if rest.startswith((":", " ")) else line


def _model(settings: Settings, name: str, models: dict[str, LoadedModel]) -> str:
    model = load_one_model(settings, name)
    models[name] = model
    model_bindings(settings, {name: model})
    manifest = model.manifest
    labels = f"{len(manifest.labels)} label{'s' if len(manifest.labels) != 1 else ''}"
    if isinstance(model, FusedModel):
        members = [
            f"{section.model} ({_timed(member)})" for section, member in zip(manifest.fuse, model.members, strict=True)
        ]
        return f"{manifest.name} {manifest.version}, {labels} of {' and '.join(members)}"
    return f"{manifest.name} {manifest.version}, {labels}, {_timed(model)}"


def _timed(model: Model) -> str:
    """Return the length of a model's clips or steps, and how long it takes for one."""
    manifest = model.manifest
    values, scorer, what = np.zeros(manifest.values_shape, np.float32), model.scores, "clips"
    length_s = manifest.clip.n_samples / manifest.clip.sample_rate
    if manifest.input.stateful:
        values, scorer, what, length_s = (
            values[: manifest.input.step],
            model.stream().scores,
            "steps",
            manifest.period_s,
        )
    durations_s = []
    for _ in range(TIMED_RUNS):
        begin_s = time.perf_counter()
        scorer(values)
        durations_s.append(time.perf_counter() - begin_s)
    return f"{what} of {length_s:.2f} s, {min(durations_s) * 1000:.1f} ms each"


def _clips(settings: Settings, models: dict[str, LoadedModel], *, is_written: bool) -> str:
    """Try the settings and the folder of clips. Raises EdgeaudioError."""
    if len(models) == len(settings.models):  # else the model's own line has the reason
        check_clips(settings, models)
    folder = settings.clips_folder
    if not is_written:
        return f"{folder}: not written to"
    ClipFolder(folder).try_out()
    return f"{folder}"


def _transcripts(settings: Settings, stop: threading.Event, *, is_asked: bool) -> str:
    """Ask the recogniser what is said in a second of silence. Raises EdgeaudioError."""
    recogniser = speech_recogniser(settings)
    where = mask(str(settings.transcripts.recogniser))
    names = ", ".join(sorted(settings.transcribed))
    sources = f"for {names}" if names else "for no source: none has transcribe = true"
    if not is_asked:
        return f"{where}: not asked, {sources}"
    begin_s = time.perf_counter()
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(recogniser.recognise, np.zeros(UTTERANCE_RATE, np.float32))
        while not answer.done() and not stop.wait(_STEP_S):
            pass
        if stop.is_set():
            recogniser.close()
        answer.result()
    return f"{where}: {recogniser.name} answers in {time.perf_counter() - begin_s:.1f} s, {sources}"


def _planned(settings: Settings, models: dict[str, LoadedModel], name: str, _: threading.Event) -> str:
    """Try what a source needs without opening it. Raises EdgeaudioError."""
    if len(models) == len(settings.models):  # else the model's own line has the reason
        source_pipeline(settings, models, name)
    config = source_config(name, settings.sources[name])
    if config.ca_file is not None and config.tls_verify:
        try:
            verifying_context(config.ca_file)
        except OSError:
            raise SourceError(name, config.address, *unreadable_authorities(config.ca_file)) from None
    return f"{config.address}: not opened"


def opened(settings: Settings, models: dict[str, LoadedModel], name: str, stop: threading.Event) -> str:
    """Listen to a source for a moment. Raises EdgeaudioError."""
    _planned(settings, models, name, stop)
    config = source_config(name, settings.sources[name])
    try:
        return _listened(config, stop)
    except SourceError as error:
        if error.reason is not Reason.DEVICE_BUSY or (state := _state_in_agent(settings, name)) is None:
            raise
    return f"{config.address}: {state}, in the running edgeaudio, so it was not opened"


def _state_in_agent(settings: Settings, name: str) -> str | None:
    """Return the state of a source in the running agent of this device; None if no such agent has it."""
    try:
        for socket in find_sockets(lambda: settings.state_dir):
            answer: Any = ask(socket, ASK_LIMIT_S)
            if answer["device"] == settings.device:
                return str(answer["health"]["sources"][name]["state"])
    except (EdgeaudioError, NoAnswerError, KeyError, TypeError):
        pass
    return None


def _listened(config: SourceConfig, stop: threading.Event) -> str:
    """Listen to a source for a moment, and describe it. Raises SourceError."""
    samples: list[Samples] = []
    heard_s = 0.0
    with (
        WaitMonitor(config, stop, label=f"source {config.name}: ") as monitor,
        open_source(config, monitor.end, sender_wait_s=SENDER_WAIT_S) as connection,
    ):
        for block in monitor.listen(connection, LISTEN_S):
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
