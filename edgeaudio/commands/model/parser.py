"""Subcommands and options of `edgeaudio model`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from edgeaudio.commands.number_types import number, whole

if TYPE_CHECKING:
    from edgeaudio.commands.parser import Commands


def add_model(commands: Commands) -> None:
    """Add `model` and its subcommands to the command line."""
    model = commands.add_parser(
        "model",
        help="describe a .tflite file, look into a model, prove that it runs here",
        description="A model is a directory with model.tflite and model.toml, its manifest.",
    )
    model.examples = ("edgeaudio model inspect home", "edgeaudio model verify home")
    actions = model.add_subparsers(title="actions", metavar="ACTION", required=True)
    _add_init(actions)
    inspect = actions.add_parser(
        "inspect",
        help="show everything about a model on a screen",
        description="Show a model's manifest, tensors and labels; of a .tflite file, its tensors and what is packed "
        "into it.",
    )
    inspect.add_argument(
        "model", metavar="DIR|FILE.tflite", help="a model directory, a bundled model, or a .tflite file"
    )
    inspect.examples = ("edgeaudio model inspect home", "edgeaudio model inspect birds.tflite")
    inspect.set_defaults(command=_inspect)
    verify = actions.add_parser(
        "verify",
        help="check hash, tensors and labels, run a clip, print the time",
        description="Load a model, compare its manifest with its tensors, run clips through it and print the time. "
        "Exit status 0 if all is well, else 2.",
    )
    verify.add_argument("model", metavar="DIR", help="a model directory, or the name of a bundled model")
    verify.examples = ("edgeaudio model verify home", "edgeaudio model verify ./birds")
    verify.set_defaults(command=_verify)


def _add_init(actions: Commands) -> None:
    init = actions.add_parser(
        "init",
        help="write a model directory for a .tflite file",
        description="Read a .tflite file's tensors and labels, write a directory with it and a manifest, and say what "
        "had to be guessed and must be checked.",
    )
    init.add_argument("file", type=Path, metavar="FILE.tflite")
    init.add_argument(
        "--out", type=Path, metavar="DIR", help="the directory to write (default: the model's name, here)"
    )
    init.add_argument("--name", default="", help="of a-z, 0-9 and hyphens (default: from the file's name)")
    init.add_argument(
        "--kind",
        default="",
        choices=("waveform", "spectrogram", "log_mel", "mfcc", "micro_frontend"),
        help="what the model's input is",
    )
    init.add_argument(
        "--preset",
        default="",
        metavar="NAME",
        help="whose features: librosa, torchaudio, tf-signal, yamnet, kaldi, psf (python_speech_features), "
        "tf-tutorial, teachable-machine, edge-impulse-mfe, edge-impulse-mfcc or microwakeword",
    )
    init.add_argument(
        "--sample-rate", type=whole(1000, 1_000_000), default=0, metavar="HZ", help="that the model was trained at"
    )
    init.add_argument(
        "--clip-s", type=number(0.01, 120), default=0.0, metavar="S", help="seconds of sound in one input"
    )
    init.add_argument(
        "--frontend",
        type=Path,
        metavar="FILE.tflite",
        help="another model, which makes this one's features of a waveform",
    )
    init.add_argument(
        "--labels", type=Path, metavar="FILE", help="labels, one a line, or a CSV file (default: those packed)"
    )
    init.add_argument(
        "--set",
        dest="options",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="anything of the manifest, as in --set features.n_fft=512; may be repeated",
    )
    init.examples = (
        "edgeaudio model init birds.tflite --kind waveform --sample-rate 48000 --labels labels.txt",
        "edgeaudio model init birds.tflite --preset librosa --set features.n_fft=512",
    )
    init.set_defaults(command=_init)


def _init(options: argparse.Namespace) -> int:
    from edgeaudio.commands.model import model
    from edgeaudio.commands.model.init_options import InitOptions

    wishes = InitOptions(
        name=options.name,
        kind=options.kind,
        preset=options.preset,
        sample_rate=options.sample_rate,
        clip_s=options.clip_s,
        labels=options.labels,
        frontend=options.frontend,
        settings=options.options,
    )
    return model.init(options.file, options.out, wishes)


def _inspect(options: argparse.Namespace) -> int:
    from edgeaudio.commands.model import model

    return model.inspect(options.model)


def _verify(options: argparse.Namespace) -> int:
    from edgeaudio.commands.model import model

    return model.verify(options.model)
