"""The lists in deploy/requirements/ hold all that a device installs: nobody forgot `make requirements`."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "deploy" / "requirements"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PYTHONS = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
MACHINES = {"amd64": "x86_64", "arm64": "aarch64", "armhf": "armv7l"}
LISTS = [(architecture, python) for architecture in ("amd64", "arm64") for python in PYTHONS] + [("armhf", "3.11")]


def pins(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if not line.startswith("#")]


def held(architecture: str, python: str) -> dict[str, str]:
    """Package -> the release that is installed there."""
    lines = pins(FOLDER / f"{architecture}-{python}.txt")
    unhashed = FOLDER / f"{architecture}-{python}-unhashed.txt"
    lines += pins(unhashed) if unhashed.exists() else []
    return dict(line.split()[0].split("==") for line in lines)


def wanted(requirement: Requirement, architecture: str, python: str) -> bool:
    environment = {"python_version": python, "python_full_version": f"{python}.0", "extra": ""}
    environment["platform_machine"] = MACHINES[architecture]
    return requirement.marker is None or requirement.marker.evaluate(environment)


def test_there_is_a_list_for_each_device_that_is_served() -> None:
    names = {path.stem for path in FOLDER.glob("*.txt") if not path.stem.endswith("-unhashed")}
    assert names == {f"{architecture}-{python}" for architecture, python in LISTS}


@pytest.mark.parametrize(("architecture", "python"), LISTS)
def test_all_that_pyproject_asks_for_is_in_it(architecture: str, python: str) -> None:
    releases = held(architecture, python)
    pictures = [] if architecture == "armhf" else PROJECT["optional-dependencies"]["pictures"]
    for requirement in map(Requirement, [*PROJECT["dependencies"], *pictures]):
        if wanted(requirement, architecture, python):
            release = releases.get(canonicalize_name(requirement.name))
            assert release is not None, f"{requirement.name}: run make requirements"
            assert requirement.specifier.contains(release), f"{requirement}: {release}; run make requirements"


@pytest.mark.parametrize(("architecture", "python"), LISTS)
def test_its_releases_are_those_that_the_tests_run_with(architecture: str, python: str) -> None:
    name = "constraints-tflite-runtime.txt" if architecture == "armhf" else "constraints.txt"
    tried = {
        (canonicalize_name(pin.name), str(pin.specifier).removeprefix("=="))
        for pin in map(Requirement, pins(ROOT / name))
        if wanted(pin, architecture, python)
    }
    assert set(held(architecture, python).items()) <= tried, "run make requirements"


@pytest.mark.parametrize(("architecture", "python"), LISTS)
def test_each_line_is_a_pin_and_a_hash_and_names_no_host(architecture: str, python: str) -> None:
    lines = pins(FOLDER / f"{architecture}-{python}.txt")
    assert lines
    for line in lines:
        assert re.fullmatch(r"[a-z0-9-]+==[0-9a-z.]+ --hash=sha256:[0-9a-f]{64}", line)


def test_no_host_and_no_option_stands_in_any_of_them() -> None:
    for path in FOLDER.iterdir():
        assert not re.search(r"://|\.(org|com|io)\b", path.read_text()), path
        assert all(re.match(r"[a-z0-9]", line) for line in pins(path)), path


def test_only_numpy_on_32_bit_arm_goes_without_a_hash() -> None:
    (unhashed,) = FOLDER.glob("*-unhashed.txt")
    assert unhashed.name == "armhf-3.11-unhashed.txt"
    assert [line.partition("==")[0] for line in pins(unhashed)] == ["numpy"]
