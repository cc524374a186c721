"""docs/manifest.md names every key of the manifest with its default, and no other, and its examples are read."""

import dataclasses
import json
import re
import tomllib
from pathlib import Path

import pytest

from edgeaudio.commands.model.frames import PRESETS
from edgeaudio.recognise.feature_config import FeatureConfig
from edgeaudio.recognise.manifest import (
    ClipSection,
    DetectorSection,
    EntitySection,
    FuseSection,
    InputSection,
    Manifest,
    OutputSection,
)
from edgeaudio.recognise.manifest_file import parse_manifest

TEXT = (Path(__file__).parents[1] / "docs" / "manifest.md").read_text()
SECTIONS = {part.partition("\n")[0]: part for part in re.split(r"^## ", TEXT, flags=re.MULTILINE)}
ROW = re.compile(r"^\| `(\w+)` \| (needed|none|`.*?`) \|", re.MULTILINE)


def default_of(item):
    if item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING:
        return "needed"
    value = item.default_factory() if item.default_factory is not dataclasses.MISSING else item.default
    return "none" if value is None else f"`{json.dumps(value)}`"


@pytest.mark.parametrize(
    ("heading", "cls", "elsewhere"),
    [
        (
            "At the top",
            Manifest,
            {"clip", "input", "output", "features", "fuse", "detector", "groups", "thresholds", "entities"},
        ),
        ("`[clip]`", ClipSection, set()),
        ("`[input]`", InputSection, set()),
        ("Fused models", FuseSection, set()),
        ("`[output]`", OutputSection, set()),
        ("`[features]`", FeatureConfig, {"kind", "sample_rate"}),
        ("`[detector]`", DetectorSection, set()),
        ("`[entities.LABEL]`", EntitySection, set()),
    ],
)
def test_every_key_and_its_default(heading, cls, elsewhere):
    (section,) = (part for title, part in SECTIONS.items() if title.startswith(heading))
    documented = dict(ROW.findall(section.partition("###")[0]))
    actual = {item.name: default_of(item) for item in dataclasses.fields(cls) if item.name not in elsewhere}
    assert documented == actual


def test_every_preset():
    table = SECTIONS[next(title for title in SECTIONS if title.startswith("`[features]`"))].partition("###")[2]
    assert re.findall(r"^\| `([\w-]+)` \|", table, re.MULTILINE) == list(PRESETS)


def test_the_examples_are_read():
    first, streaming, fused, second, words = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
    manifest = parse_manifest(tomllib.loads(first), Path("model.toml"))
    assert manifest.name == "doorbell"
    whole = tomllib.loads(first) | tomllib.loads(streaming)
    assert parse_manifest(whole, Path("model.toml")).period_s == 0.03
    assert parse_manifest(tomllib.loads(fused), Path("model.toml")).fuse[1].labels["dog_bark"] == "Dog"
    whole = tomllib.loads(first) | tomllib.loads(second) | {"labels": ["smoke alarm", "siren"]}
    assert parse_manifest(whole, Path("model.toml")).threshold("any alarm").on == 0.8
    whole = tomllib.loads(first) | tomllib.loads(words) | {"labels": ["yes", "unknown"]}
    assert parse_manifest(whole, Path("model.toml")).threshold("unknown").is_never
