"""The site of docs/: its pages, its links to the rest of the repository, and the picture of the architecture."""

from __future__ import annotations

import logging
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from edgeaudio.shards import owner_of
from tools.maintenance import centre_picture
from tools.maintenance.architecture_picture import ARROWS, BOXES, HEIGHT, PICTURE, WIDTH, draw
from tools.maintenance.docs_links import translate

ROOT = Path(__file__).parents[1]
HOST = "https://host/edgeaudio/"


def pages(nav: object) -> Iterator[str]:
    """The pages of a `nav` of mkdocs."""
    if isinstance(nav, str):
        yield nav
    elif isinstance(nav, dict | list):
        for each in nav.values() if isinstance(nav, dict) else nav:
            yield from pages(each)


def test_each_document_is_a_page_of_the_site() -> None:
    listed = list(pages(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]))
    assert sorted(listed) == sorted(path.name for path in (ROOT / "docs").glob("*.md"))


@pytest.mark.parametrize(
    ("written", "page", "led_to"),
    [
        ("[x](../README.md)", "index.md", "[x](https://host/edgeaudio/blob/main/README.md)"),
        ("[x](../README.md#try-it)", "index.md", "[x](https://host/edgeaudio/blob/main/README.md#try-it)"),
        ("[x](../models/home)", "models.md", "[x](https://host/edgeaudio/tree/main/models/home)"),
        ("[x](../../README.md)", "experiments/a.md", "[x](https://host/edgeaudio/blob/main/README.md)"),
        ("[x](../settings.md)", "experiments/a.md", "[x](../settings.md)"),
        ("[x](settings.md#secrets)", "index.md", "[x](settings.md#secrets)"),
        ("[x](https://elsewhere/)", "index.md", "[x](https://elsewhere/)"),
    ],
)
def test_a_link_out_of_the_documents_leads_to_the_repository(
    written: str, page: str, led_to: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert translate(written, page, HOST) == led_to
    assert not caplog.records


def test_a_link_to_nothing_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "mkdocs"):
        translate("[x](../no-such-file.md)", "index.md", HOST)
    assert "index.md links to ../no-such-file.md, which is not there" in caplog.text


def test_the_picture_is_what_its_script_draws() -> None:
    assert PICTURE.read_text() == draw(), "run make picture"
    ET.fromstring(draw())  # noqa: S314 (our own)


def test_all_of_the_picture_is_in_its_frame_and_no_box_on_another() -> None:
    for box in BOXES:
        assert 0 < box.x < box.x + box.width < WIDTH
        assert 0 < box.y < box.y + box.height < HEIGHT
        # the last line of a box is in it
        assert 52 + 18 * (len(box.lines) - 1) < box.height - 6
    for arrow in ARROWS:
        assert all(0 < x < WIDTH and 0 < y < HEIGHT for x, y in arrow.points)
    for number, one in enumerate(BOXES):
        for other in BOXES[number + 1 :]:
            beside = one.x + one.width < other.x or other.x + other.width < one.x
            assert beside or one.y + one.height < other.y or other.y + other.height < one.y


def test_the_picture_of_a_centre_is_what_its_script_draws() -> None:
    assert centre_picture.PICTURE.read_text() == centre_picture.draw(), "run make picture"
    drawn = ET.fromstring(centre_picture.draw())  # noqa: S314 (our own)
    circles = list(drawn.iter("{http://www.w3.org/2000/svg}circle"))
    assert len(circles) == 2 * len(centre_picture.CAMERAS)
    assert {owner_of(name, centre_picture.AFTER) for name in centre_picture.moved()} == {centre_picture.BEFORE}
    box_end = centre_picture.TOP + centre_picture.BOX_HEIGHT
    assert all(float(each.attrib["cy"]) + centre_picture.RADIUS < box_end for each in circles)
