"""Free recordings of backgrounds, by kind: `../shared/data` and Debian's packages, fetched into a folder of their own.

Owns: which packages, which of their files belong to which kind, and which half of a kind may be trained on.
Does not know: what is made of them. Nothing of them goes into the project.

Licences are in each package's /usr/share/doc: asterisk-core-sounds and asterisk-moh-opsound CC BY-SA 3.0,
sonic-pi-samples CC0, gcompris-qt and tuxpaint-stamps GPL, CC BY-SA and CC0, file by file.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from edgeaudio.errors import EdgeaudioError
from tools.training.corpus import HALF

PACKAGES = (
    "asterisk-core-sounds-en-g722",
    "asterisk-core-sounds-es-g722",
    "asterisk-core-sounds-fr-g722",
    "asterisk-core-sounds-it-g722",
    "asterisk-core-sounds-ru-g722",
    "asterisk-moh-opsound-g722",
    "gcompris-qt-data",
    "sonic-pi-samples",
    "tuxpaint-stamps-default",
)
LIMIT_S = 600  # of one package's download

Side = Literal["train", "held_out"]

# A language has one speaker here: they are parted whole.
LANGUAGES = {"train": ("en", "fr"), "held_out": ("es", "it", "ru")}
SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".g722", ".mp3", ".oga"})
ANIMALS = ("gcompris-qt-data", "tuxpaint-stamps-default")
# of those packages, what a household model has a label for (a hen is no rooster, a wolf is no dog)
LABELLED = ("dog", "puppy", "cock", "rooster", "baby", "cat", "kitten")


def fetch(cache: Path, packages: tuple[str, ...] = PACKAGES) -> dict[str, Path]:
    """Return the folder of each package's files; what is not there yet is downloaded and unpacked.

    Raises:
        EdgeaudioError: A package is not to be had, or the programs are missing.
    """
    cache.mkdir(parents=True, exist_ok=True)
    found = {}
    for package in packages:
        folder = found[package] = cache / package
        if not folder.is_dir():
            _unpack(package, folder, cache)
    return found


def sources(data: Path, packages: Mapping[str, Path], side: Side) -> dict[str, list[Path]]:
    """Return recordings by kind: those of one side, so that what is judged was not trained on."""
    half = HALF[side]
    kinds = {
        "animals": [path for name in ANIMALS for path in _files(packages[name]) if _is_animal(path)],
        "engines": _files(data / "drone"),
        "music": _files(packages["asterisk-moh-opsound-g722"]) + _loops(packages["sonic-pi-samples"]),
        "ships": _files(data / "hydrophone"),
    }
    parted = {kind: paths[half] for kind, paths in kinds.items()}
    for language in LANGUAGES[side]:
        parted[f"speech_{language}"] = _files(packages[f"asterisk-core-sounds-{language}-g722"])
    return parted


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix in SUFFIXES and path.is_file())


def _loops(folder: Path) -> list[Path]:
    return [
        path for path in _files(folder) if path.name.startswith(("loop_", "ambi_", "bass_", "guit_", "drum_", "tabla_"))
    ]


def _is_animal(path: Path) -> bool:
    parts = "/".join(path.parts[-5:]).lower()
    return "animal" in parts and not any(word in path.stem.lower() for word in LABELLED) and "_desc" not in path.stem


def _unpack(package: str, folder: Path, cache: Path) -> None:
    for program in ("apt-get", "dpkg-deb"):
        if shutil.which(program) is None:
            raise EdgeaudioError(f"{program} is not installed: the backgrounds come from Debian's packages")
    with tempfile.TemporaryDirectory(dir=cache) as work:
        _run("apt-get", "download", package, cwd=work)
        (archive,) = Path(work).glob("*.deb")
        unpacked = Path(work) / "files"
        _run("dpkg-deb", "--extract", str(archive), str(unpacked), cwd=work)
        unpacked.rename(folder)


def _run(*command: str, cwd: str) -> None:
    try:
        subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True, timeout=LIMIT_S)  # noqa: S603 - ours
    except subprocess.CalledProcessError as error:
        said = (error.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise EdgeaudioError(f"{' '.join(command)}: {said}") from None
    except subprocess.TimeoutExpired:
        raise EdgeaudioError(f"{' '.join(command)}: not done after {LIMIT_S} s") from None
