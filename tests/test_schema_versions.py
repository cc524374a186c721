"""Old names are read, newer versions refused, whatever the table."""

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeaudio.schema_versions import Rename, Schema, SchemaError, rename_keys, upgraded

SCHEMA = Schema(3, (Rename(("mqtt", "topic"), "base_topic"), Rename(("sources", "*", "pauses"), "dtx")))


def test_old_names_become_new_ones_where_they_stand() -> None:
    table = {"schema_version": 1, "mqtt": {"topic": "x"}, "sources": {"a": {"pauses": True, "url": "y"}, "b": {}}}
    renamed, found = rename_keys(table, SCHEMA)
    assert renamed == {
        "schema_version": 1,
        "mqtt": {"base_topic": "x"},
        "sources": {"a": {"dtx": True, "url": "y"}, "b": {}},
    }
    assert list(renamed["sources"]["a"]) == ["dtx", "url"]  # in its place
    assert found == [(("mqtt", "topic"), "base_topic"), (("sources", "a", "pauses"), "dtx")]


def test_each_old_name_is_warned_of_once_for_each_origin(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    for origin in ("one.toml", "one.toml", "two.toml"):
        upgraded({"mqtt": {"topic": "x"}}, SCHEMA, origin)
    sentence = (
        "mqtt.topic is called base_topic now, and the earlier name is read for two more releases; rename it "
        "(in a file, `edgeaudio config migrate` does)"
    )
    assert [record.getMessage() for record in caplog.records] == [f"one.toml: {sentence}", f"two.toml: {sentence}"]


def test_both_names_are_refused() -> None:
    with pytest.raises(SchemaError, match=r"^mqtt\.topic: is the earlier name of base_topic, which is there too"):
        rename_keys({"mqtt": {"topic": "x", "base_topic": "y"}}, SCHEMA)


def test_a_newer_version_is_refused_before_its_names_are_read() -> None:
    with pytest.raises(SchemaError, match=r"^schema_version: is 4, and this edgeaudio reads up to 3: upgrade"):
        rename_keys({"schema_version": 4, "mqtt": {"topic": 1, "base_topic": 2}}, SCHEMA)


NAMES = st.sampled_from(["mqtt", "topic", "base_topic", "sources", "pauses", "dtx", "a", "*"])
TABLES = st.recursive(
    st.integers() | st.text(max_size=3) | st.lists(st.integers(), max_size=2),
    lambda inner: st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(NAMES, TABLES, max_size=4))
def test_any_table_keeps_its_values(table: dict[str, object]) -> None:
    try:
        renamed, _ = rename_keys(table, SCHEMA)
    except SchemaError:  # a key by both of its names
        return
    assert list(leaves(renamed)) == list(leaves(table))
    assert rename_keys(renamed, SCHEMA) == (renamed, [])


def leaves(value: object):
    if isinstance(value, dict):
        for inner in value.values():
            yield from leaves(inner)
    else:
        yield value
