"""`edgeaudio run`: the agent, until it is stopped."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from edgeaudio.agent import Agent
from edgeaudio.commands.exit_status import EXIT_BAD_INPUT, report, status_of
from edgeaudio.errors import EdgeaudioError
from edgeaudio.logs import log_strays, setup_logging
from edgeaudio.settings import Settings
from edgeaudio.settings.fingerprint import fingerprint
from edgeaudio.settings.load import load_with_layers, reload_settings
from edgeaudio.settings.places import config_path
from edgeaudio.stderr import Stderr
from edgeaudio.terminal import print_error
from edgeaudio.wiring import sinks

log = logging.getLogger(__name__)

_LAST_LINES_S = 0.3  # time for the last lines of the log to be read

_NOTHING_SET = """\
edgeaudio: nothing is set: no /etc/edgeaudio/edgeaudio.toml, nor a file that --config or EDGEAUDIO_CONFIG names
  edgeaudio setup                           asks for broker and cameras, tries them, and writes edgeaudio.toml
  edgeaudio check --config edgeaudio.toml   tries all that the file names; `check --example` prints one
  edgeaudio run --config edgeaudio.toml     listens and reports
  edgeaudio demo                            shows all of it on this machine, without any settings"""


def run(path: Path | None, options: Sequence[str]) -> int:
    """Run the agent with the settings of a file and of `--set`.

    Ends the process after an agent ran; else returns the exit status.
    """

    def load() -> Settings:
        return reload_settings(path, options, layers)

    # before the agent has its handler, a reload would end the process; what it asks for is being done anyway
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    stderr = Stderr()
    ran = False
    in_ecs = False
    status = 0
    try:
        settings, layers = load_with_layers(path, options)
        if config_path(path) or any(layer.table for layer in layers):
            setup_logging(settings.log_level, stderr, log_format=settings.log_format, device=settings.device)
            in_ecs = settings.log_format == "ecs"
            log_strays()
            agent = Agent(
                settings, reload=load, stderr=stderr, sinks=sinks(settings), fingerprint=partial(fingerprint, path)
            )
            ran = True
            agent.run()
        else:
            print_error(_NOTHING_SET)
            status = EXIT_BAD_INPUT
    except Exception as error:  # noqa: BLE001 (reported as any other, before the process ends)
        status = _log_end(error) if in_ecs else report(error)
    drained = stderr.drain(_LAST_LINES_S)
    if ran or not drained:
        # a thread that returns from C code during Python's own shutdown crashes the process, and what that shutdown
        # prints may wait for a reader
        os._exit(status)
    stderr.close()
    return status


def _log_end(error: Exception) -> int:
    """Log what ended the agent, as a line like all others; return the exit status."""
    if isinstance(error, EdgeaudioError):
        log.critical("%s", error)
    else:
        log.critical("an exception ended the agent", exc_info=error)
    return status_of(error)
