"""The command line: `edgeaudio COMMAND`.

Owns: the order of the commands, and what ends the process: a status, an error, a signal, a reader that is gone.
Does not know: the options of a command (commands/NAME_parser.py), or its work (commands/NAME.py), which is imported
only when it runs, so that help comes at once on a slow board.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import cast

from edgeaudio.commands.archive.parser import add_archive
from edgeaudio.commands.calibrate_parser import add_calibrate
from edgeaudio.commands.check_parser import add_check
from edgeaudio.commands.clips.parser import add_clips
from edgeaudio.commands.collect_parser import add_collect
from edgeaudio.commands.config_parser import add_config_command
from edgeaudio.commands.dashboard_parser import add_dashboard
from edgeaudio.commands.demo_parser import add_demo
from edgeaudio.commands.exit_status import EXIT_BAD_INPUT, EXIT_BROKEN_PIPE, EXIT_INTERRUPTED, report
from edgeaudio.commands.film_parser import add_film
from edgeaudio.commands.health_parser import add_health
from edgeaudio.commands.model.parser import add_model
from edgeaudio.commands.parser import Parser
from edgeaudio.commands.picture_parser import add_picture
from edgeaudio.commands.probe_parser import add_probe
from edgeaudio.commands.run_parser import add_run
from edgeaudio.commands.score_parser import add_score
from edgeaudio.commands.send_test_parser import add_test
from edgeaudio.commands.setup_parser import add_setup
from edgeaudio.commands.transcribe_parser import add_transcribe
from edgeaudio.terminal import OutputError, discard_output, flush_output, occupy_descriptors, print_error, print_out
from edgeaudio.version import __version__

Command = Callable[[argparse.Namespace], int]

# in the order of the help
_COMMANDS = (
    add_setup,
    add_run,
    add_dashboard,
    add_collect,
    add_demo,
    add_check,
    add_health,
    add_test,
    add_probe,
    add_score,
    add_calibrate,
    add_transcribe,
    add_picture,
    add_film,
    add_model,
    add_clips,
    add_archive,
    add_config_command,
)

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
        discard_output()  # the reader has closed the pipe, as in `edgeaudio score FILE | head`
        return EXIT_BROKEN_PIPE
    except OutputError as error:
        discard_output()
        print_error(f"edgeaudio: {error}")
        return EXIT_BAD_INPUT
    except Exception as error:  # noqa: BLE001 (nothing is swallowed: it is reported, and ends the process)
        return report(error)
    return status


def _use_one_blas_thread() -> None:
    """Keep NumPy's BLAS from making workers, which spin between products and burn a fifth of a core each.

    What the user has set holds. BLAS reads the variables as NumPy is imported, so afterwards it is too late.
    """
    if "numpy" not in sys.modules:
        for name in _BLAS_THREADS:
            os.environ[name] = os.environ.get(name) or "1"


class _Printed(argparse.Action):
    """An option that prints a text made from the whole command line, and ends the process."""

    def __call__(self, parser: argparse.ArgumentParser, _: object, values: object, __: object = None) -> None:
        from edgeaudio.commands.parser_description import describe

        description = describe(cast("Parser", parser))
        if self.dest == "man":
            from edgeaudio.commands.man import man_page

            text = man_page(description)
        else:
            from edgeaudio.commands.completion import completion

            text = completion(str(values), description)
        print_out(text, end="", flush=True)
        parser.exit()


def parser() -> Parser:
    """Return the parser of everything that can be written behind `edgeaudio`."""
    top = Parser(
        prog="edgeaudio",
        description="Listens to cameras, streams and sound cards, recognises sounds, and publishes them over MQTT.",
        epilog="Exit status: 0 all is well, 2 something must be mended (one line each on standard error says what).",
    )
    top.examples = (
        "edgeaudio setup",
        "edgeaudio check --config edgeaudio.toml",
        "edgeaudio run --config edgeaudio.toml",
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
    for add_command in _COMMANDS:
        add_command(commands)
    return top
