"""The wheel is the same bytes wherever and whenever it is built, and lists what it is made of (PEP 770)."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from edgeaudio import __version__

ROOT = Path(__file__).parents[1]
DIST_INFO = f"edgeaudio-{__version__}.dist-info"


def build(tree: Path, out: Path, *targets: str, **environment: str) -> list[Path]:
    """Build what is asked for of that tree, as `make wheel` does; return the files."""
    command = [sys.executable, "-m", "hatchling", "build", "--directory", str(out)]
    command += [word for target in targets for word in ("--target", target)]
    done = subprocess.run(
        command, cwd=tree, env={**os.environ, **environment}, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return sorted(out.iterdir())


def copy(tree: Path, files: list[str], *, age_s: float, mode: int) -> Path:
    """Copy those files of the project to `tree`, in that order, with another time and other permissions."""
    for name in files:
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, path)
        path.chmod(mode)
        os.utime(path, (path.stat().st_mtime - age_s,) * 2)
    return tree


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def files() -> list[str]:
    """What is in the repository, or would be if everything were committed."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.splitlines()
    if not listed:
        pytest.skip("not a git checkout")
    return [name for name in listed if (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def wheel(files: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("one")
    (built,) = build(copy(folder / "tree", files, age_s=0, mode=0o644), folder / "dist", "wheel")
    return built


@pytest.fixture(scope="module")
def bom(wheel: Path) -> dict[str, Any]:
    with zipfile.ZipFile(wheel) as archive:
        loaded = json.loads(archive.read(f"{DIST_INFO}/sboms/edgeaudio.cdx.json"))
    assert isinstance(loaded, dict)
    return loaded


def test_the_same_tree_gives_the_same_bytes(wheel: Path, files: list[str], tmp_path: Path) -> None:
    other = copy(tmp_path / "a longer path" / "tree", files[::-1], age_s=1e8, mode=0o600)
    surroundings = {"TZ": "Asia/Kathmandu", "PYTHONHASHSEED": "7", "LC_ALL": "C", "HOME": str(tmp_path)}
    again, sdist = build(other, tmp_path / "dist", "wheel", "sdist", **surroundings)
    assert (again.name, sha256(again)) == (wheel.name, sha256(wheel))
    # and what is built of the source distribution is that wheel too
    with tarfile.open(sdist) as archive:
        # Python 3.11.2, Debian 12's, has no filters yet
        if hasattr(tarfile, "data_filter"):
            archive.extraction_filter = tarfile.data_filter
        archive.extractall(tmp_path / "sdist")  # noqa: S202 (built a moment ago)
    (unpacked,) = (tmp_path / "sdist").iterdir()
    (third,) = build(unpacked, tmp_path / "third", "wheel")
    assert sha256(third) == sha256(wheel)


def test_nothing_but_the_package_is_in_it(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.split("/")[0] for name in names} == {"edgeaudio", DIST_INFO}
    assert not [name for name in names if "__pycache__" in name or "/train/" in name]


def test_a_model_of_ones_own_in_the_checkout_is_not_handed_on(wheel: Path, files: list[str], tmp_path: Path) -> None:
    tree = copy(tmp_path / "tree", files, age_s=0, mode=0o644)
    mine = tree / "models" / "mine"  # where docs/models.md has it; convert_model writes neither description nor licence
    mine.mkdir()
    shutil.copyfile(ROOT / "models" / "home" / "model.tflite", mine / "model.tflite")
    (mine / "model.toml").write_text(f'name = "mine"\nversion = "1"\nsha256 = "{sha256(mine / "model.tflite")}"\n')
    (built,) = build(tree, tmp_path / "dist", "wheel")
    assert sha256(built) == sha256(wheel)


def test_the_sbom_names_edgeaudio_and_each_package_that_it_needs(bom: dict[str, Any]) -> None:
    assert (bom["bomFormat"], bom["specVersion"]) == ("CycloneDX", "1.6")
    itself = bom["metadata"]["component"]
    assert (itself["name"], itself["version"]) == ("edgeaudio", __version__)
    assert itself["licenses"] == [{"license": {"id": "MIT"}}]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    libraries = [each for each in bom["components"] if each["type"] == "library"]
    listed = sorted(entry["value"] for each in libraries for entry in each["properties"])
    assert listed == sorted(str(Requirement(line)) for line in project["dependencies"])
    (pinned,) = [each for each in libraries if each["name"] == "tflite-runtime"]
    assert pinned["purl"] == "pkg:pypi/tflite-runtime@2.14.0"


def test_the_sbom_names_each_model_its_licence_and_its_hash(bom: dict[str, Any], wheel: Path) -> None:
    models = {each["name"]: each for each in bom["components"] if each["type"] == "machine-learning-model"}
    listed = subprocess.run(["git", "ls-files", "models"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert set(models) == {Path(name).parent.name for name in listed.split() if name.endswith("/model.toml")}
    with zipfile.ZipFile(wheel) as archive:
        for name, model in models.items():
            manifest = tomllib.loads((ROOT / "models" / name / "model.toml").read_text())
            (path,) = (entry["value"] for entry in model["properties"])
            content = hashlib.sha256(archive.read(path)).hexdigest()
            assert model["hashes"] == [{"alg": "SHA-256", "content": content}]
            (licence,) = model["licenses"]
            text = licence.get("expression") or licence["license"].get("id") or licence["license"]["name"]
            assert text == manifest["license"]
            datasets = model["modelCard"]["modelParameters"]["datasets"]
            assert [each["name"] for each in datasets] == manifest["training_data"]


def test_all_that_the_sbom_refers_to_is_in_it_once(bom: dict[str, Any]) -> None:
    refs = [each["bom-ref"] for each in bom["components"]]
    assert len(refs) == len(set(refs))
    assert bom["dependencies"] == [{"ref": "edgeaudio", "dependsOn": refs}]


def test_a_model_that_is_not_its_manifest_s_is_not_packed(files: list[str], tmp_path: Path) -> None:
    tree = copy(tmp_path / "tree", files, age_s=0, mode=0o644)
    with (tree / "models" / "home" / "model.tflite").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(AssertionError, match=r"model\.toml says another"):
        build(tree, tmp_path / "dist", "wheel")
