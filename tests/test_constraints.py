"""The constraints files hold a release of all that is asked for, on each Python: nobody forgot `make constraints`."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = PROJECT["project"]["optional-dependencies"]
PYTHONS = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["project"]["classifiers"]))
NEWEST = [
    (python, extra)
    for python in PYTHONS
    for extra in (
        *("", "pictures", "demo", "dashboard", "speech", "browser", "test", "lint", "train", "fleet", "docs", "bench"),
        *("archive", "collect", "archive-test", "kubernetes-test"),
    )
]
NEWEST.remove(("3.14", "train"))  # TensorFlow has no release for it yet


def held(name: str, python: str) -> dict[str, str]:
    """Package -> the release that the file holds for that Python."""
    releases: dict[str, str] = {}
    for line in (ROOT / name).read_text().splitlines():
        if line.startswith("#"):
            continue
        pin = Requirement(line)
        assert pin.url is None
        if pin.marker is None or pin.marker.evaluate(machine(python)):
            (specifier,) = pin.specifier
            assert specifier.operator == "=="
            assert releases.setdefault(canonicalize_name(pin.name), specifier.version) == specifier.version
    return releases


def machine(python: str) -> dict[str, str]:
    return {"python_version": python, "python_full_version": f"{python}.0", "platform_machine": "x86_64"}


def assert_held(asked: list[str], name: str, python: str) -> None:
    releases = held(name, python)
    for requirement in map(Requirement, asked):
        if requirement.marker is None or requirement.marker.evaluate(machine(python)):
            release = releases.get(canonicalize_name(requirement.name))
            assert release is not None, f"{requirement.name}: run make constraints"
            assert requirement.specifier.contains(release), f"{requirement}: {release}; run make constraints"


@pytest.mark.parametrize(("python", "extra"), NEWEST)
def test_all_that_is_asked_for_is_held(python: str, extra: str) -> None:
    asked = EXTRAS[extra] if extra else [*PROJECT["project"]["dependencies"], *PROJECT["build-system"]["requires"]]
    assert_held(asked, "constraints.txt", python)


@pytest.mark.parametrize("extra", ["demo", "test", "tflite-runtime"])
def test_the_older_runtime_s_file_holds_all_too(extra: str) -> None:
    assert_held([*PROJECT["project"]["dependencies"], *EXTRAS[extra]], "constraints-tflite-runtime.txt", "3.11")


@pytest.mark.parametrize("name", ["constraints.txt", "constraints-tflite-runtime.txt"])
def test_no_host_and_no_option_stands_in_it(name: str) -> None:
    for line in (ROOT / name).read_text().splitlines()[1:]:
        assert re.fullmatch(
            r"[a-z0-9.-]+==[0-9a-z.]+( ; python_version [<>]= '3\.\d+'( and python_version <= '3\.\d+')?)?", line
        )
