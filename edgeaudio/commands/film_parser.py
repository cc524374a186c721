"""Options of `edgeaudio film`."""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING

from edgeaudio.commands.number_types import number, whole
from edgeaudio.commands.parser import add_settings, add_source
from edgeaudio.commands.picture_parser import position, size

if TYPE_CHECKING:
    from edgeaudio.commands.parser import Commands

_ASPECT = re.compile(r"(\d{1,4}(?:\.\d{1,4})?):(\d{1,4}(?:\.\d{1,4})?)")


def add_film(commands: Commands) -> None:
    """Add `film` to the command line."""
    film = commands.add_parser(
        "film",
        help="make a film of what is heard: a spectrogram that scrolls, with its sound",
        description="Make a film of a recording, as fast as it goes, or of a live source until Ctrl-C: its "
        "spectrogram, scrolling, with what models detect in it, and its sound. It goes into a file (H.264 with FLAC "
        "or AAC in Matroska or MP4), or to an RTSP or RTMP server (H.264 with AAC). A lost source is a gap in it; "
        "source and server are tried again for ever. Needs Pillow: pip install '.[pictures]' in edgeaudio's checkout.",
    )
    add_source(film)
    add_settings(film)
    film.add_argument(
        "-o",
        "--out",
        metavar="OUT",
        help="a file whose name ends in .mkv or .mp4, a directory, rtsp://HOST/PATH or rtmp://HOST/APP/KEY; @FILE: the "
        "address in the first line of FILE, for one with a login or a key (default: SOURCE's name with .mkv, here)",
    )
    film.add_argument("--overwrite", action="store_true", help="replace the file if it exists")
    film.add_argument(
        "--start", type=position, default=0.0, metavar="T", help="of a recording: begin at T: seconds, M:SS or H:MM:SS"
    )
    film.add_argument("--length", type=position, metavar="T", help="make that much, seconds, M:SS or H:MM:SS")
    film.add_argument(
        "--channel", type=whole(1, 64), metavar="N", help="show and play one channel, from 1 (default: all)"
    )
    film.add_argument(
        "--model",
        action="append",
        default=[],
        metavar="DIR",
        help="detect with a model directory, or a bundled model of that name; may be repeated (default: those of the "
        "settings)",
    )
    film.add_argument("--no-detections", action="store_true", help="run no model, and show no detections")
    film.add_argument("--size", type=size, default=(1280, 720), metavar="WxH", help="pixels (default: 1280x720)")
    film.add_argument(
        "--aspect", type=aspect, metavar="W:H", help="the picture in that form, between black bars (default: all of it)"
    )
    film.add_argument(
        "--fps", type=whole(15, 60), default=30, metavar="N", help="pictures a second, 15 to 60 (default: 30)"
    )
    film.add_argument(
        "--seconds", type=number(1, 3600), default=10.0, metavar="S", help="of time across the picture (default: 10)"
    )
    film.add_argument(
        "--palette", choices=("magma", "viridis", "inferno", "grey"), default="magma", help="colours (default: magma)"
    )
    film.add_argument(
        "--scale", choices=("linear", "mel", "log"), default="linear", help="of the frequencies (default: linear)"
    )
    film.add_argument(
        "--low-hz", type=number(0, 500_000), metavar="HZ", help="the lowest frequency (default: 0; 50 with --scale log)"
    )
    film.add_argument(
        "--high-hz", type=number(1, 500_000), metavar="HZ", help="the highest frequency (default: half the sample rate)"
    )
    film.add_argument(
        "--range",
        choices=("auto", "80", "100", "120"),
        default="auto",
        help="how many dB under full scale the darkest colour is (default: auto, from the noise to the loudest of the "
        "last seconds)",
    )
    film.add_argument(
        "--gain", type=number(-120, 120), default=0.0, metavar="DB", help="brighten the picture by DB (default: 0)"
    )
    film.add_argument(
        "--audio", choices=("flac", "aac"), help="how the sound is encoded (default: flac in .mkv, else aac)"
    )
    film.add_argument(
        "--bit-rate",
        type=whole(50_000, 100_000_000),
        metavar="BITS",
        help="of the picture, a second (default: as many as it needs)",
    )
    film.examples = (
        "edgeaudio film recording.flac",
        "edgeaudio film hydrophone.wav -o reef.mp4 --scale log --seconds 30 --palette viridis",
        "edgeaudio film --config edgeaudio.toml porch -o rtsp://192.168.1.2:8554/porch --size 854x480 --fps 15",
        "edgeaudio film --config edgeaudio.toml porch -o @key.txt --no-detections",
    )
    film.set_defaults(command=_film)


def aspect(text: str) -> float:
    """Return width by height."""
    found = _ASPECT.fullmatch(text)
    if found is None or not float(found[1]) or not float(found[2]):
        raise argparse.ArgumentTypeError(f"{text} is no form: width and height, as in 16:9")
    return float(found[1]) / float(found[2])


def _film(options: argparse.Namespace) -> int:
    from edgeaudio.commands import film
    from edgeaudio.health.machine import bounded_memory, limit_arenas
    from edgeaudio.pictures.film_options import FilmLook

    width, height = options.size
    look = FilmLook(
        width=width,
        height=height,
        frame_rate=options.fps,
        seconds=options.seconds,
        palette=options.palette,
        scale=options.scale,
        low_hz=options.low_hz,
        high_hz=options.high_hz,
        range_db=None if options.range == "auto" else float(options.range),
        gain_db=options.gain,
        aspect=options.aspect,
        has_marks=not options.no_detections,
    )
    request = film.Request(
        out=options.out,
        overwrite=options.overwrite,
        start_s=options.start,
        length_s=options.length,
        channel=options.channel,
        models=None if options.no_detections else tuple(options.model),
        look=look,
        audio=options.audio,
        bit_rate=options.bit_rate,
    )
    limit_arenas()
    with bounded_memory():
        return film.film(options.source, options.config, options.options, request)
