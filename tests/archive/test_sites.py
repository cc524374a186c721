"""The CSV of sites: which one a recording is from, and that each wrong line is named."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.archive_results import BEGIN, Heard, put_result

from edgeaudio.archive.sites import Site, SitesError, read_sites

GOOD = """prefix,site,recorder,depth_m,latitude,longitude
jetty/SM4-01,jetty,SM4-01,,53.891,9.138
jetty/SM4-02,jetty,SM4-02,12.5,53.891,9.139
pier/,pier,,,,
"""


@pytest.fixture
def table(tmp_path):
    return tmp_path / "sites.csv"


def test_the_longest_prefix_that_ends_where_a_name_does_counts(table) -> None:
    table.write_text(GOOD + "pier/a/b,deep,,30,,\n")
    sites = read_sites(table)
    assert sites.of("jetty/SM4-02/x.wav") == Site("jetty", "SM4-02", 12.5, 53.891, 9.139)
    assert sites.of("jetty/SM4-01_20260301_000000.wav") == Site("jetty", "SM4-01", None, 53.891, 9.138)
    assert sites.of("jetty/SM4-011/x.wav") is None
    assert sites.of("pier/a/b/x.wav") == Site("deep", depth_m=30.0)
    assert sites.of("pier/a/bc.wav") == Site("pier")
    assert sites.of("elsewhere/x.wav") is None


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("a,,,,,", "site is empty"),
        ("a,s,,deep,,", "depth_m is 'deep', and must be a number from -9000 to 12000"),
        ("a,s,,nan,,", "depth_m is 'nan'"),
        ("a,s,,,91,9", "latitude is '91', and must be a number from -90 to 90"),
        ("a,s,,,53,", "latitude and longitude are given together, or neither"),
        ("a,s", "has 2 cells, and the first line 6"),
        ("pier,again,,,,", "the prefix 'pier' is in an earlier line"),
        ("a," + "s" * 501 + ",,,,", "site is longer than 500 characters"),
        ("a,s\x1b[2J,,,,", "or holds one that is not printable"),
    ],
)
def test_each_wrong_line_is_named(table, line, says) -> None:
    table.write_text(f"{GOOD}{line}\nb,t,,x,,\n")
    with pytest.raises(SitesError) as raised:
        read_sites(table)
    first, second = str(raised.value).split("\n")
    assert first.startswith(f"{table}:5: ")
    assert says in first
    assert second.startswith(f"{table}:6: depth_m is 'x'")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "must have one column prefix"),
        (b"prefix,site\n", "names no site"),
        (b"prefix,place\na,b\n", "has a column 'place'"),
        (b"prefix,site,site\na,b,c\n", "must have one column site"),
        (b"prefix,site\n\xff,b\n", "is not CSV in UTF-8"),
        (b'prefix,site\n"a,b\n', "is not CSV in UTF-8"),
        (b"prefix,site\n" + b"a,b\n" * 1_100_000, "is larger than 4 MiB"),
    ],
)
def test_what_is_no_table_of_sites_is_one_line(table, content, says) -> None:
    table.write_bytes(content)
    with pytest.raises(SitesError, match=says):
        read_sites(table)


@given(st.binary(max_size=200))
def test_no_bytes_raise_another_error(tmp_path_factory, content) -> None:
    file = tmp_path_factory.getbasetemp() / "any.csv"
    file.write_bytes(b"prefix,site,depth_m\n" + content)
    with suppress(SitesError):
        read_sites(file)


def test_a_query_by_sites_tells_what_is_left_out(place, out, archive, table) -> None:
    table.write_text(GOOD)
    put_result(place, "jetty/SM4-01/a.wav", BEGIN, [Heard("dog", 1)])
    put_result(place, "jetty/SM4-02/a.wav", BEGIN, [Heard("dog", 1)])
    put_result(place, "other/a.wav", BEGIN)
    status, lines, errors = archive("query", out, "--sites", table, "--by", "site", "--csv")
    assert (status, lines) == (1, ["site,events,hours", "(no site),0,1.0", "jetty,2,2.0"])
    assert len(errors) == 1
    assert "1 recording of no site in the CSV: under the site (no site)" in errors[0]
    status, _, errors = archive("query", out, "--sites", table, "--site", "reef")
    assert (status, errors) == (2, ["edgeaudio: no recording is from the site reef; there are (no site), jetty"])
    table.write_text(GOOD + "a,,,,,\nb,,,,,\n")
    status, _, errors = archive("query", out, "--sites", table)
    assert (status, len(errors)) == (2, 2)
