"""The TOML writer: what it writes is read back, and looks as people write it."""

import tomllib

from hypothesis import given
from hypothesis import strategies as st

from edgeaudio.toml_writer import dotted, dumps

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
SCALARS = TEXTS | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = SCALARS | st.lists(SCALARS)
TABLES = st.recursive(
    st.dictionaries(TEXTS, VALUES), lambda inner: st.dictionaries(TEXTS, VALUES | inner), max_leaves=20
)


@given(TABLES)
def test_a_table_is_read_back_as_it_was_written(table):
    assert tomllib.loads(dumps(table)) == table


def test_values_stand_before_tables_and_a_table_of_tables_has_no_header():
    table = {"sources": {"porch": {"url": "rtsp://a"}, "attic": {}}, "device": "pi", "levels": (1, 2.5)}
    assert (
        dumps(table)
        == """\
device = "pi"
levels = [1, 2.5]

[sources.porch]
url = "rtsp://a"

[sources.attic]
"""
    )


def test_tables_of_a_list_have_headings_of_their_own():
    table = {"name": "x", "fuse": [{"model": "a", "labels": {"dog": "Dog"}}, {"model": "b"}], "none": []}
    text = dumps(table)
    assert (
        text
        == """\
name = "x"
none = []

[[fuse]]
model = "a"

[fuse.labels]
dog = "Dog"

[[fuse]]
model = "b"
"""
    )
    assert tomllib.loads(text) == table


def test_a_comment_stands_behind_the_value_of_its_key():
    origins: dict[tuple[str, ...], str] = {("mqtt", "url"): "--set"}
    table = {"mqtt": {"url": "mqtt://a", "keepalive_s": 60}}
    assert (
        dumps(table, lambda key: origins.get(key, ""))
        == """\
[mqtt]
url = "mqtt://a"  # --set
keepalive_s = 60
"""
    )


def test_a_long_list_has_a_line_for_each_item():
    assert dumps({"mean": [1.0] * 30}).splitlines() == ["mean = [", *["  1.0,"] * 30, "]"]


def test_a_key_is_quoted_where_toml_wants_that():
    assert dotted(("thresholds", "a b", "c-d")) == 'thresholds."a b".c-d'
