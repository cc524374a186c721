"""The command line: `edgeaudio setup | run | demo | check | health | test | probe | score | model`.

Owns: the words of the commands, their options and help, exit statuses, and what becomes of an error:
one line and status 2 for whatever the user can mend, a traceback and status 1 for a fault of ours.
Does not know: what the commands do. Each is imported only when it runs, so that help comes at once on a slow board.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from edgeaudio.commands.model.parser import add_model
from edgeaudio.commands.number_types import number, whole
from edgeaudio.commands.parser_description import EXAMPLES
from edgeaudio.redact import mask
from edgeaudio.terminal import OutputError, complain, discard_output, flush_output, occupy_descriptors, one_line, say
from edgeaudio.urls import HIDDEN
from edgeaudio.version import __version__

Command = Callable[[argparse.Namespace], int]

EXIT_FAULT = 1
EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells have it
EXIT_BROKEN_PIPE = 141  # 128 + SIGPIPE

_LAST_LINES_S = 0.3  # for what `run` has logged to be read

# of the BLAS libraries that a NumPy may be built with: OpenBLAS, those on OpenMP, MKL, BLIS
_BLAS_THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    _use_one_blas_thread()
    occupy_descriptors()
    try:
        options = parser().parse_args(arguments)
        command: Command = options.command
        status = command(options)
        flush_output()
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        discard_output()  # nobody reads on, as in `edgeaudio score FILE | head`
        return EXIT_BROKEN_PIPE
    except OutputError as error:
        discard_output()
        complain(f"edgeaudio: {error}")
        return EXIT_BAD_INPUT
    except Exception as error:  # noqa: BLE001 (nothing is swallowed: it is told, and ends the process)
        return _report(error)
    return status


def _use_one_blas_thread() -> None:
    """Keep NumPy's BLAS from making workers, which spin between products and burn a fifth of a core each.

    What the user has set holds. BLAS reads the variables as NumPy is imported, so afterwards it is too late.
    """
    if "numpy" not in sys.modules:
        for name in _BLAS_THREADS:
            os.environ[name] = os.environ.get(name) or "1"


def _report(error: Exception) -> int:
    if isinstance(error, ImportError) and (error.name or "").partition(".")[0] != "edgeaudio":
        return _report_unimportable(error)
    from edgeaudio.errors import EdgeaudioError

    if isinstance(error, EdgeaudioError):
        for line in str(error).split("\n"):
            complain(f"edgeaudio: {mask(line)}")
    elif isinstance(error, MemoryError):
        complain("edgeaudio: that takes more memory than there is; close other programs")
    else:
        complain(mask("".join(traceback.format_exception(error))))
    return EXIT_BAD_INPUT if isinstance(error, EdgeaudioError | MemoryError) else EXIT_FAULT


_NOTHING_SET = """\
edgeaudio: nothing is set: no /etc/edgeaudio/edgeaudio.toml, nor a file that --config or EDGEAUDIO_CONFIG names
  edgeaudio setup                           asks for broker and cameras, tries them, and writes edgeaudio.toml
  edgeaudio check --config edgeaudio.toml   tries all that the file names; `check --example` prints one
  edgeaudio run --config edgeaudio.toml     listens and reports
  edgeaudio demo                            shows all of it on this machine, without any settings"""


def _report_unimportable(error: ImportError) -> int:
    """Say which library cannot be used; NumPy explains at length, and what it was raised from has the reason."""
    while isinstance(error.__cause__, ImportError):
        error = error.__cause__
    library = (error.name or "a library").partition(".")[0]
    problem = mask(" ".join(str(error).split()))
    complain(
        f"edgeaudio: {library} cannot be imported ({problem}); install what that names, or edgeaudio with all that "
        "it needs again, by pip's --force-reinstall"
    )
    return EXIT_BAD_INPUT


_UNKNOWN = "unrecognized arguments:"


class _Parser(argparse.ArgumentParser):
    """Says what is wrong with a command in one line, without repeating a login that stands in it."""

    def error(self, message: str) -> NoReturn:
        if message.startswith(_UNKNOWN):  # an option that nobody knows may be followed by, or hold, a password
            names = re.findall(r"(?<!\S)--[a-z][a-z-]*", message)
            message = f"{_UNKNOWN} {' '.join(names)}" if names else "unrecognized arguments"
        message = one_line(re.sub(r"\S*:\S*@\S*", HIDDEN, mask(message)))
        complain(f"edgeaudio: {message}; see {self.prog} --help")
        raise SystemExit(EXIT_BAD_INPUT)

    def format_help(self) -> str:
        self.color = False  # of Python 3.14, whose escape sequences would be shown
        examples = EXAMPLES.get(self.prog, ())
        shown = "".join(f"  {line}\n" for line in examples)
        return super().format_help() + (f"\nexamples:\n{shown}" if shown else "")

    def _print_message(self, message: str, file: object = None) -> None:
        if file is sys.stderr and file is not None:
            complain(message, end="")
        else:
            say(message, end="", flush=True)


class _Printed(argparse.Action):
    """An option that prints something made from the whole command line, and ends."""

    def __call__(self, parser: argparse.ArgumentParser, _: object, values: object, __: object = None) -> None:
        from edgeaudio.commands.parser_description import describe

        if self.dest == "man":
            from edgeaudio.commands.man import man_page

            text = man_page(describe(parser))
        else:
            from edgeaudio.commands.completion import completion

            text = completion(str(values), describe(parser))
        say(text, end="", flush=True)
        parser.exit()


def parser() -> argparse.ArgumentParser:
    """Everything that can be written behind `edgeaudio`."""
    top: argparse.ArgumentParser = _Parser(
        prog="edgeaudio",
        description="Listens to cameras, streams and sound cards, recognises sounds, and tells an MQTT broker.",
        epilog="Exit status: 0 all is well, 2 something must be mended (one line each on standard error says what).",
    )
    top.add_argument("--version", action="version", version=f"edgeaudio {__version__}")
    top.add_argument(
        "--completion",
        action=_Printed,
        choices=("bash", "zsh", "fish"),
        help="print a script that completes commands and options in that shell",
    )
    top.add_argument("--man", action=_Printed, nargs=0, help="print the manual page, as for man -l -")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_setup(commands)
    _add_run(commands)
    _add_demo(commands)
    _add_check(commands)
    _add_health(commands)
    _add_test(commands)
    _add_probe(commands)
    _add_score(commands)
    add_model(commands)
    return top


if TYPE_CHECKING:
    _Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 (its only name)


def _add_setup(commands: _Commands) -> None:
    setup = commands.add_parser(
        "setup",
        help="ask for broker and cameras, try them, and write the settings file",
        description="Ask for the broker and for cameras, which are looked for on this network (ONVIF), try each of "
        "them, and write the settings file; passwords are not shown, and nobody else can read the file. Where a folder "
        "`credentials` stands beside it, passwords are written into that.",
    )
    setup.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="the file to write (default: the one that `run` would read, else edgeaudio.toml here)",
    )
    setup.set_defaults(command=_setup)


def _add_run(commands: _Commands) -> None:
    run = commands.add_parser(
        "run",
        help="listen to every source and report to the broker, until stopped",
        description="Listen to every source and report to the broker, until stopped by SIGTERM or Ctrl-C.",
    )
    _add_settings(run)
    run.set_defaults(command=_run)


def _add_demo(commands: _Commands) -> None:
    demo = commands.add_parser(
        "demo",
        help="hear it work: cameras, agent and broker on this machine",
        description="Push sounds over RTSP to a real agent, and show what a subscriber of a real broker receives. "
        "Exit status 0 if every sound that is played is detected, and nothing else is.",
    )
    demo.add_argument(
        "--broker",
        metavar="URL",
        help="another broker than the embedded one, as in mqtt://broker.local; a login is taken from "
        "EDGEAUDIO_MQTT__USERNAME and EDGEAUDIO_MQTT__PASSWORD",
    )
    demo.set_defaults(command=_demo)


def _add_check(commands: _Commands) -> None:
    check = commands.add_parser(
        "check",
        help="try settings, models, sources and broker, a line each",
        description="Read the settings, load the models, open every source, and do with the state directory and the "
        "broker what `run` does; say in a line each that it works, or why not and what to do. Beside a running agent "
        "nothing of it is touched. Exit status 0 if everything works, else 2.",
    )
    _add_settings(check)
    instead = check.add_mutually_exclusive_group()
    instead.add_argument(
        "--print",
        dest="print_settings",
        action="store_true",
        help="only print the settings in force, where each came from, secrets masked",
    )
    instead.add_argument(
        "--example", action="store_true", help="only print a settings file that explains every setting"
    )
    instead.add_argument("--schema", action="store_true", help="only print the JSON Schema of the settings")
    instead.add_argument(
        "--offline",
        action="store_true",
        help="only try settings, models and credentials: nothing is opened, asked or written",
    )
    check.set_defaults(command=_check)


def _add_health(commands: _Commands) -> None:
    health = commands.add_parser(
        "health",
        help="say whether the running agent moves",
        description="Ask the agent that runs on this machine how it is. Exit status 0 while all of its parts move, "
        "whatever cameras and broker do, else 2.",
    )
    _add_config(health)
    health.add_argument("--json", action="store_true", help="print the whole health report as a JSON object instead")
    health.set_defaults(command=_health)


def _add_test(commands: _Commands) -> None:
    test = commands.add_parser(
        "test",
        help="have the running agent send a detection that is marked as a test",
        description="Have the agent that runs on this machine send a detection, by its outbox and the broker, as if it "
        "had been heard: to see that a notification arrives. It is marked by `test`, and the sound ends after 2 s.",
    )
    test.add_argument("source", help="name of the source, as in the settings")
    test.add_argument("label", help="label or group of one of its models")
    _add_config(test)
    test.set_defaults(command=_test)


def _add_probe(commands: _Commands) -> None:
    probe = commands.add_parser(
        "probe",
        help="show what a stream, file or sound card holds",
        description="Open a source and show its tracks, codec, sample rate, channels and level, and a picture of its "
        "spectrum.",
    )
    _add_source(probe)
    _add_settings(probe)
    probe.add_argument(
        "--seconds",
        type=number(0.5, 60),
        metavar="S",
        help="how long to listen, 0.5 to 60 (default: 5, and to all of a recording)",
    )
    probe.add_argument("--json", action="store_true", help="print one JSON object instead")
    probe.set_defaults(command=_probe)


def _add_score(commands: _Commands) -> None:
    score = commands.add_parser(
        "score",
        help="say what a model hears in a recording or a stream",
        description="Run a model over a recording, as fast as it goes, or over a live stream, and print the best "
        "labels of every clip; or, with --events, what the agent would have reported.",
    )
    _add_source(score)
    _add_settings(score)
    score.add_argument(
        "--model",
        action="append",
        default=[],
        metavar="DIR",
        help="a model directory, or the name of a shipped model; may be repeated (default: those of the settings)",
    )
    score.add_argument(
        "--top", type=whole(1, 10_000), default=3, metavar="K", help="how many labels a clip (default: 3)"
    )
    score.add_argument("--events", action="store_true", help="print events, by the thresholds in force, not scores")
    score.add_argument("--json", action="store_true", help="print a JSON object a line instead of a table")
    score.set_defaults(command=_score)


def _add_config(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="the settings file (default: $EDGEAUDIO_CONFIG, else /etc/edgeaudio/edgeaudio.toml if it is there)",
    )


def _add_settings(command: argparse.ArgumentParser) -> None:
    _add_config(command)
    command.add_argument(
        "--set",
        dest="options",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="one setting, stronger than file and environment, as in --set health.interval_s=10; may be repeated",
    )


def _add_source(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "source",
        metavar="SOURCE",
        help="the name of a source in the settings, a file, alsa:DEVICE, or a URL without a login",
    )


def _setup(options: argparse.Namespace) -> int:
    from edgeaudio.agent import run_dry
    from edgeaudio.commands import setup
    from edgeaudio.health.machine import bounded_memory

    with bounded_memory():
        return setup.setup(options.config, partial(run_dry, as_device=False))


def _run(options: argparse.Namespace) -> int:
    from edgeaudio.agent import Agent
    from edgeaudio.logs import log_strays, setup_logging
    from edgeaudio.settings import Settings, load_settings
    from edgeaudio.settings.load import load_with_layers
    from edgeaudio.settings.sources import config_path
    from edgeaudio.stderr import Stderr

    def load() -> Settings:
        return load_settings(options.config, options.options)

    stderr = Stderr()
    ran = False
    status = 0
    try:
        settings, layers = load_with_layers(options.config, options.options)
        if config_path(options.config) or any(layer.table for layer in layers):
            setup_logging(settings.log_level, stderr)
            log_strays()
            agent = Agent(settings, reload=load, stderr=stderr)
            ran = True
            agent.run()
        else:
            complain(_NOTHING_SET)
            status = EXIT_BAD_INPUT
    except Exception as error:  # noqa: BLE001 (told as any other, before the process ends)
        status = _report(error)
    drained = stderr.drain(_LAST_LINES_S)
    if ran or not drained:
        # without Python's own ceremony: a thread that comes back from C code in the middle of that crashes the process,
        # and what is printed in it may wait for a reader
        os._exit(status)
    stderr.close()
    return status


def _demo(options: argparse.Namespace) -> int:
    from edgeaudio.demo.demo import run_demo

    return run_demo(options.broker)


def _check(options: argparse.Namespace) -> int:
    from edgeaudio.commands import check

    if options.example:
        return check.print_example()
    if options.schema:
        return check.print_schema()
    if options.print_settings:
        return check.print_settings(options.config, options.options)
    from edgeaudio.agent import run_dry, run_dry_offline
    from edgeaudio.health.machine import bounded_memory

    with bounded_memory():
        if options.offline:
            return check.check(options.config, options.options, run_dry_offline, offline=True)
        return check.check(options.config, options.options, run_dry)


def _health(options: argparse.Namespace) -> int:
    from edgeaudio.commands import health

    return health.health(lambda: _state_dir(options), as_json=options.json)


def _test(options: argparse.Namespace) -> int:
    from edgeaudio.commands import send_test

    return send_test.send_test(lambda: _state_dir(options), options.source, options.label)


def _state_dir(options: argparse.Namespace) -> Path:
    from edgeaudio.settings import load_settings

    return load_settings(options.config).state_dir


def _probe(options: argparse.Namespace) -> int:
    from edgeaudio.commands import probe
    from edgeaudio.health.machine import bounded_memory

    with bounded_memory():
        return probe.probe(options.source, options.config, options.options, options.seconds, as_json=options.json)


def _score(options: argparse.Namespace) -> int:
    from edgeaudio.commands import score
    from edgeaudio.health.machine import bounded_memory

    with bounded_memory():
        return score.score(
            options.source,
            options.config,
            options.options,
            score.Style(top=options.top, events=options.events, as_json=options.json),
            models=options.model,
        )
