"""When the sun rises and sets, and when dawn and dusk are, by the equations of NOAA's Solar Calculator.

Owns: the equations, which are good to a minute or two up to the polar circles, and what a polar day is.
Does not know: zones of clocks, pictures.

https://gml.noaa.gov/grad/solcalc/calcdetails.html; they are those of J. Meeus, Astronomical Algorithms.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from math import acos, asin, cos, degrees, radians, sin, tan
from typing import Final, Literal

SUNRISE_DEG: Final = -0.833  # of the sun's centre: refraction, and half of its disc
CIVIL_DEG: Final = -6.0  # dawn and dusk of civil twilight
_J2000 = datetime(2000, 1, 1, 12, tzinfo=UTC)
_ROUNDS = 3  # the sun moves on between noon and its setting


@dataclass(frozen=True, slots=True)
class Place:
    """A place on Earth, in degrees, north and east positive."""

    latitude: float
    longitude: float


@dataclass(frozen=True, slots=True)
class Passage:
    """When the sun comes up to an elevation and goes down from it around one noon, UTC."""

    rises: datetime
    sets: datetime


def passage(day: date, place: Place, elevation_deg: float = SUNRISE_DEG) -> Passage | Literal["above", "below"]:
    """Return when the sun passes an elevation around the noon of a day at a place.

    "above" and "below": it stays so from one midnight to the next, as in polar day and polar night.
    """
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC) - timedelta(minutes=4 * place.longitude)
    rises = sets = noon
    for _ in range(_ROUNDS):
        risen, setting = _hour_angle(rises, place, elevation_deg), _hour_angle(sets, place, elevation_deg)
        if isinstance(risen, str):
            return risen
        if isinstance(setting, str):
            return setting
        rises = noon - timedelta(minutes=_equation_of_time_min(rises) + 4 * risen)
        sets = noon - timedelta(minutes=_equation_of_time_min(sets) - 4 * setting)
    return Passage(rises, sets)


def _hour_angle(at: datetime, place: Place, elevation_deg: float) -> float | Literal["above", "below"]:
    """Return the degrees that Earth turns between noon and the elevation, with the sun's declination of then."""
    declination, latitude = _declination(at), radians(place.latitude)
    # at a pole itself the sun circles at one height
    across = max(cos(latitude), 1e-9) * cos(declination)
    cosine = (sin(radians(elevation_deg)) - sin(latitude) * sin(declination)) / across
    if abs(cosine) > 1:
        return "above" if cosine < 0 else "below"
    return degrees(acos(cosine))


def _centuries(at: datetime) -> float:
    return (at - _J2000) / timedelta(days=36_525)


def _mean_longitude(t: float) -> float:
    return radians((280.46646 + t * (36_000.76983 + t * 0.0003032)) % 360)


def _anomaly(t: float) -> float:
    return radians(357.52911 + t * (35_999.05029 - 0.0001537 * t))


def _node(t: float) -> float:
    """Return the longitude of the Moon's ascending node, for nutation."""
    return radians(125.04 - 1934.136 * t)


def _obliquity(t: float) -> float:
    seconds = 21.448 - t * (46.815 + t * (0.00059 - t * 0.001813))
    return radians(23 + (26 + seconds / 60) / 60 + 0.00256 * cos(_node(t)))


def _declination(at: datetime) -> float:
    """Return the sun's declination in radians."""
    t = _centuries(at)
    anomaly = _anomaly(t)
    centre = (
        sin(anomaly) * (1.914602 - t * (0.004817 + 0.000014 * t))
        + sin(2 * anomaly) * (0.019993 - 0.000101 * t)
        + sin(3 * anomaly) * 0.000289
    )
    apparent = _mean_longitude(t) + radians(centre - 0.00569 - 0.00478 * sin(_node(t)))
    return asin(sin(_obliquity(t)) * sin(apparent))


def _equation_of_time_min(at: datetime) -> float:
    """Return by how many minutes a sundial is ahead of a clock."""
    t = _centuries(at)
    eccentricity = 0.016708634 - t * (0.000042037 + 0.0000001267 * t)
    longitude, anomaly, y = _mean_longitude(t), _anomaly(t), tan(_obliquity(t) / 2) ** 2
    angle = (
        y * sin(2 * longitude)
        - 2 * eccentricity * sin(anomaly)
        + 4 * eccentricity * y * sin(anomaly) * cos(2 * longitude)
        - 0.5 * y * y * sin(4 * longitude)
        - 1.25 * eccentricity * eccentricity * sin(2 * anomaly)
    )
    return 4 * degrees(angle)
