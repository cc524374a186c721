"""Sunrise, sunset, dawn and dusk, against almanacs."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeaudio.archive.sun import CIVIL_DEG, SUNRISE_DEG, Passage, Place, passage

LONDON = Place(51.5, -0.1167)
TROMSO = Place(69.65, 18.96)

# of timeanddate.com for London: dawn, sunrise, sunset and dusk of days
TIME_AND_DATE = [
    ("2015-12-01", "07:04", "07:43", "15:55", "16:34"),
    ("2015-12-02", "07:05", "07:45", "15:54", "16:34"),
    ("2015-12-12", "07:16", "07:56", "15:51", "16:31"),
    ("2015-12-25", "07:25", "08:05", "15:55", "16:36"),
    ("2019-08-29", "04:32", "05:08", "18:54", "19:30"),
]


def about(found: datetime, wanted: datetime, minutes: float = 1.5) -> bool:
    return abs(found - wanted) <= timedelta(minutes=minutes)


def passing(day: date, place: Place, elevation_deg: float = SUNRISE_DEG) -> Passage:
    found = passage(day, place, elevation_deg)
    assert isinstance(found, Passage)
    return found


@pytest.mark.parametrize(("day", "dawn", "sunrise", "sunset", "dusk"), TIME_AND_DATE)
def test_times_agree_with_the_almanac_of_london(day, dawn, sunrise, sunset, dusk) -> None:
    def at(clock: str) -> datetime:
        return datetime.fromisoformat(f"{day}T{clock}Z")

    on = date.fromisoformat(day)
    sun, twilight = passing(on, LONDON), passing(on, LONDON, CIVIL_DEG)
    assert about(sun.rises, at(sunrise))
    assert about(sun.sets, at(sunset))
    assert about(twilight.rises, at(dawn))
    assert about(twilight.sets, at(dusk))


def test_times_agree_with_the_example_of_nrels_solar_position_algorithm() -> None:
    # Reda and Andreas, NREL/TP-560-34302, table A5.1: at 39.742476 N, 105.1786 W, on 17 October 2003 of UTC, on which
    # the sunset of the 16th there is
    place = Place(39.742476, -105.1786)
    sunrise, sunset = datetime(2003, 10, 17, 13, 12, 43, tzinfo=UTC), datetime(2003, 10, 17, 0, 20, 19, tzinfo=UTC)
    assert about(passing(date(2003, 10, 17), place).rises, sunrise, 0.5)
    assert about(passing(date(2003, 10, 16), place).sets, sunset, 0.5)


def test_times_agree_south_of_the_equator_and_far_east() -> None:
    zone = ZoneInfo("Pacific/Auckland")
    found = passing(date(2020, 2, 11), Place(-41.2865, 174.7762))  # Wellington
    assert about(found.rises, datetime(2020, 2, 11, 6, 38, 42, tzinfo=zone))
    assert about(found.sets, datetime(2020, 2, 11, 20, 31, 0, tzinfo=zone))


def test_there_are_polar_day_and_polar_night() -> None:
    assert passage(date(2019, 6, 5), TROMSO) == "above"
    assert passage(date(2019, 12, 21), TROMSO) == "below"
    assert isinstance(passage(date(2019, 12, 21), TROMSO, CIVIL_DEG), Passage)  # its noon is twilight
    assert passage(date(2019, 12, 21), Place(90, 0), CIVIL_DEG) == "below"
    assert passage(date(2019, 6, 21), Place(90, 0)) == "above"
    assert passage(date(2019, 12, 21), Place(-90, 0)) == "above"


@given(
    st.dates(date(1950, 1, 1), date(2100, 1, 1)),
    st.floats(-90, 90),
    st.floats(-180, 180),
    st.sampled_from([SUNRISE_DEG, CIVIL_DEG, -18.0]),
)
def test_it_rises_before_it_sets_anywhere(day, latitude, longitude, elevation_deg) -> None:
    found = passage(day, Place(latitude, longitude), elevation_deg)
    if isinstance(found, Passage):
        # the equation of time and, near the poles, the sun's own way move noon within the day
        assert found.rises <= found.sets <= found.rises + timedelta(hours=24.5)
