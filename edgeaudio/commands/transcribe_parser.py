"""Options of `edgeaudio transcribe`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from edgeaudio.commands.number_types import number
from edgeaudio.commands.parser import add_settings, add_source

if TYPE_CHECKING:
    from edgeaudio.commands.parser import Commands


def add_transcribe(commands: Commands) -> None:
    """Add `transcribe` to the command line."""
    transcribe = commands.add_parser(
        "transcribe",
        help="write down what is said in a recording or a stream",
        description="Find the speech in a recording or a live stream, send each utterance to a speech recogniser, and "
        "print its text as it comes, or write captions. A live stream is opened again whenever it ends, until Ctrl-C. "
        "A recogniser that does not answer is asked again. Wyoming and FunASR need a library: "
        "pip install '.[speech]' in edgeaudio's checkout.",
    )
    add_source(transcribe)
    add_settings(transcribe)
    transcribe.add_argument(
        "--recogniser",
        metavar="URL",
        help="wyoming://HOST:10300, http(s)://HOST:PORT/v1 (OpenAI's interface) or funasr+ws(s)://HOST:10095 "
        "(default: transcripts.recogniser of the settings, and the same for the next three)",
    )
    transcribe.add_argument("--language", metavar="CODE", help="of the speech, as de; else the recogniser guesses")
    transcribe.add_argument("--model", metavar="NAME", help="of the recogniser; else its own")
    transcribe.add_argument(
        "--timeout", type=number(1, 600), metavar="S", help="seconds that the recogniser may take for an utterance"
    )
    transcribe.add_argument(
        "--format",
        choices=("text", "srt", "vtt", "json"),
        help="text or a JSON object for each utterance, or captions (default: what OUT's name ends in, else text)",
    )
    transcribe.add_argument(
        "-o", "--out", type=Path, metavar="OUT", help="a file to write, which grows as texts come (default: print)"
    )
    transcribe.add_argument("--overwrite", action="store_true", help="replace the file if it exists")
    transcribe.examples = (
        "edgeaudio transcribe --recogniser wyoming://whisper.local:10300 --language en meeting.flac",
        "edgeaudio transcribe --recogniser http://localhost:8000/v1 -o meeting.srt meeting.mp4",
        "edgeaudio transcribe --recogniser wyoming://localhost:10300 --config edgeaudio.toml porch",
    )
    transcribe.set_defaults(command=_transcribe)


def _transcribe(options: argparse.Namespace) -> int:
    from edgeaudio.commands import transcribe
    from edgeaudio.health.machine import bounded_memory

    request = transcribe.Request(
        recogniser=options.recogniser,
        language=options.language,
        model=options.model,
        timeout_s=options.timeout,
        form=options.format,
        out=options.out,
        overwrite=options.overwrite,
    )
    with bounded_memory():
        return transcribe.transcribe(options.source, options.config, options.options, request)
