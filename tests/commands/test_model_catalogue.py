"""The catalogue: every entry is whole, and what it says of its model holds."""

import hashlib
import json
import re
from pathlib import Path

import pytest

from edgeaudio.commands.model.catalogue import FOLDER, Entry, catalogue
from edgeaudio.commands.model.labels import read_labels
from edgeaudio.errors import EdgeaudioError
from edgeaudio.recognise.bundled_models import bundled_models
from edgeaudio.recognise.manifest import Manifest
from edgeaudio.recognise.manifest_file import parse_manifest
from edgeaudio.recognise.tflite_file import packed_files
from edgeaudio.slugs import slugs
from edgeaudio.toml_reader import loads

ENTRIES = catalogue()
WITH_FILES = [name for name, entry in ENTRIES.items() if entry.has_file]
YAMNET = Path(__file__).parents[3] / "shared" / "models" / "yamnet_audio_classifier_with_metadata.tflite"


def manifest_in(entry: Entry) -> Manifest:
    table = loads(entry.manifest)
    if entry.fields.labels_file:
        table["labels"] = ["of the file"]
    return parse_manifest(table, FOLDER / entry.name / "model.toml")


def test_the_catalogue_has_what_the_docs_promise():
    assert {"yamnet", "birdnet", "alexa", "hey-jarvis", "hey-mycroft", "okay-nabu"} <= ENTRIES.keys()
    assert not ENTRIES.keys() & bundled_models().keys()


@pytest.mark.parametrize("name", WITH_FILES)
def test_an_entry_is_whole(name):
    entry = ENTRIES[name]
    fields, manifest = entry.fields, manifest_in(entry)
    assert manifest.name == name
    assert manifest.license == fields.license
    slugs(manifest.reported, name)
    assert 0 < fields.n_bytes < 100_000_000
    assert bool(fields.url) != bool(fields.package)
    assert fields.url.startswith("https://") or (fields.file and re.fullmatch(r"[\w-]+==[\d.]+", fields.package))
    assert bool(fields.labels_file) == bool(fields.labels_sha256)
    # a licence that asks more than to be named is shown, and asked for
    assert bool(fields.terms) == (fields.license not in {"Apache-2.0", "MIT"})
    assert entry.sha256 in entry.card


@pytest.mark.parametrize("name", ENTRIES)
def test_what_an_entry_is_made_of_is_in_the_catalogue(name):
    assert ENTRIES.keys() >= set(ENTRIES[name].fields.requires)


def test_the_manifest_of_yamnet_has_the_labels_of_its_file():
    if not YAMNET.exists():
        pytest.skip("YAMNet's file is not beside the checkout")
    content, entry = YAMNET.read_bytes(), ENTRIES["yamnet"]
    assert (len(content), hashlib.sha256(content).hexdigest()) == (entry.fields.n_bytes, entry.sha256)
    ((name, packed),) = packed_files(content).items()
    assert manifest_in(entry).labels == tuple(read_labels(name, packed).names)


def test_the_words_are_those_of_their_package():
    models = pytest.importorskip("pymicro_wakeword", reason="pymicro-wakeword is not installed").__file__
    for name in ("alexa", "hey-jarvis", "hey-mycroft", "okay-nabu"):
        entry = ENTRIES[name]
        file = Path(models).parents[1] / entry.fields.file
        content = file.read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (entry.fields.n_bytes, entry.sha256)
        rule = json.loads(file.with_suffix(".json").read_text())
        manifest = manifest_in(entry)
        assert manifest.labels == (rule["wake_word"],)
        assert manifest.detector.on == rule["micro"]["probability_cutoff"]
        assert manifest.detector.mean_of == rule["micro"]["sliding_window_size"]


@pytest.mark.parametrize("damage", ['summary = "x"', "license = 1", "= ", 'summary = "x"\nlicense = "MIT"\nmore = 1'])
def test_a_damaged_catalogue_is_one_line(tmp_path, damage):
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "entry.toml").write_text(damage)
    (tmp_path / "x" / "model.toml").write_text("")
    with pytest.raises(EdgeaudioError, match=r"x: the catalogue is damaged: .*; install edgeaudio again$"):
        catalogue(tmp_path)
