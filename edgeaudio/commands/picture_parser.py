"""Options of `edgeaudio picture`."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING

from edgeaudio.commands.number_types import number, whole
from edgeaudio.commands.parser import add_settings, add_source

if TYPE_CHECKING:
    from edgeaudio.commands.parser import Commands

_POSITION = re.compile(r"(?:(?:(\d{1,6}):)?(\d{1,6}):)?(\d{1,9}(?:\.\d{1,9})?)")
_SIZE = re.compile(r"(\d{1,7})x(\d{1,7})")
_MARK = re.compile(r"(?s)(?P<label>.*)@(?P<begin>[\d:.]+)(?:-(?P<end>[\d:.]+))?")


def add_picture(commands: Commands) -> None:
    """Add `picture` to the command line."""
    picture = commands.add_parser(
        "picture",
        help="draw the spectrogram of a recording or a stream",
        description="Draw the spectrogram of a recording, or of 10 s of a live stream, as a JPEG, WebP or PNG file. "
        "The colours span each picture's own levels, so that a quiet recording is seen as well; the sound is not "
        "changed. Needs Pillow: pip install '.[pictures]' in edgeaudio's checkout.",
    )
    add_source(picture)
    add_settings(picture)
    picture.add_argument(
        "-o",
        "--out",
        type=Path,
        metavar="OUT",
        help="the file to write, whose name ends in .jpg, .webp or .png, or a directory (default: SOURCE's name with "
        ".jpg, here)",
    )
    picture.add_argument("--overwrite", action="store_true", help="replace the file if it exists")
    picture.add_argument(
        "--start", type=position, default=0.0, metavar="T", help="begin at T: seconds, M:SS or H:MM:SS"
    )
    picture.add_argument("--length", type=position, metavar="T", help="draw that much, seconds, M:SS or H:MM:SS")
    picture.add_argument(
        "--channel", type=whole(1, 64), metavar="N", help="draw one channel, from 1 (default: the mean power of all)"
    )
    picture.add_argument(
        "--mark",
        action="append",
        type=mark,
        default=[],
        metavar="LABEL@START-END",
        help="draw where a sound is and its label, as in dog@1:02-1:05.5; may be repeated",
    )
    picture.add_argument(
        "--palette", choices=("magma", "viridis", "inferno", "grey"), default="magma", help="colours (default: magma)"
    )
    picture.add_argument(
        "--scale", choices=("linear", "mel", "log"), default="linear", help="of the frequencies (default: linear)"
    )
    picture.add_argument(
        "--range",
        choices=("auto", "80", "100", "120"),
        default="auto",
        help="how many dB under the loudest the darkest colour is (default: auto, down to the noise)",
    )
    picture.add_argument(
        "--gain", type=number(-120, 120), default=0.0, metavar="DB", help="brighten the picture by DB (default: 0)"
    )
    picture.add_argument("--size", type=size, default=(960, 480), metavar="WxH", help="pixels (default: 960x480)")
    picture.examples = (
        "edgeaudio picture recording.flac",
        "edgeaudio picture recording.flac -o night.png --start 2:10:00 --length 60 --scale log",
        "edgeaudio picture recording.flac --mark dog@12.5-14 --palette grey",
        "edgeaudio picture --config edgeaudio.toml porch --length 30",
    )
    picture.set_defaults(command=_picture)


def position(text: str) -> float:
    """Return the seconds of a position that is written as seconds, M:SS or H:MM:SS."""
    found = _POSITION.fullmatch(text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text} is no time: seconds, M:SS or H:MM:SS")
    hours, minutes, seconds = (float(part or 0) for part in found.groups())
    return hours * 3600 + minutes * 60 + seconds


def size(text: str) -> tuple[int, int]:
    """Return width and height in pixels."""
    found = _SIZE.fullmatch(text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text} is no size: width and height in pixels, as in 960x480")
    return int(found[1]), int(found[2])


def mark(text: str) -> tuple[str, float, float | None]:
    """Return label, begin and end in seconds; None for an end that is not given."""
    found = _MARK.fullmatch(text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text} is no mark: LABEL@START-END, as in dog@1:02-1:05.5")
    begin_s = position(found["begin"])
    end_s = position(found["end"]) if found["end"] else None
    if end_s is not None and end_s < begin_s:
        raise argparse.ArgumentTypeError(f"{text} ends before it begins")
    return found["label"], begin_s, end_s


def _picture(options: argparse.Namespace) -> int:
    from edgeaudio.commands import picture
    from edgeaudio.health.machine import bounded_memory
    from edgeaudio.pictures.drawing import Mark

    request = picture.Request(
        out=options.out,
        overwrite=options.overwrite,
        start_s=options.start,
        length_s=options.length,
        channel=options.channel,
        marks=tuple(Mark(*given) for given in options.mark),
        size=options.size,
        palette=options.palette,
        scale=options.scale,
        range_db=None if options.range == "auto" else float(options.range),
        gain_db=options.gain,
    )
    with bounded_memory():
        return picture.picture(options.source, options.config, options.options, request)
