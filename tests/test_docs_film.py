"""docs/film.md says what `edgeaudio film` takes, and within which bounds."""

from __future__ import annotations

import re
from pathlib import Path

from edgeaudio.commands import film_parser
from edgeaudio.commands.parser import Parser
from edgeaudio.film import live
from edgeaudio.film.time_line import DRIFT_S
from edgeaudio.pictures import film_options

PAGE = (Path(__file__).parents[1] / "docs" / "film.md").read_text()
TEXT = " ".join(PAGE.split())


def options() -> set[str]:
    """Return the long options of `edgeaudio film`."""
    commands = Parser().add_subparsers()
    film_parser.add_film(commands)
    names = (name for action in commands.choices["film"]._actions for name in action.option_strings)
    return {name for name in names if name.startswith("--")}


def test_every_option_is_in_the_table_and_no_other() -> None:
    rows = re.findall(r"^\| (`-.*?) \|", PAGE, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"--[a-z-]+|-o", row)}
    assert named | {"--config", "--set", "--help"} == {*options(), "-o"} - {"--out"}


def test_the_bounds_are_those_of_the_program() -> None:
    look, sides = film_options.FilmLook(), (film_options.MIN_SIDE, film_options.MAX_SIDE)
    assert f"(default: {look.width}x{look.height}); a side has {sides[0]} to {sides[1]}" in TEXT
    assert f"{film_options.MIN_RATE} to {film_options.MAX_RATE} (default: {look.frame_rate})" in TEXT
    assert f"{film_options.MIN_SECONDS:g} to {film_options.MAX_SECONDS:g} (default: {look.seconds:g})" in TEXT
    assert f"Sound that is late is waited for: {live.LEAST_PATIENCE_S:g} s" in TEXT
    assert f"at most {live.MOST_PATIENCE_S:g} s; then its time is a gap" in TEXT
    assert f"followed in steps of {DRIFT_S:g} s" in TEXT
