"""The labels of home-plus: which member hears which, and how both become one.

Owns: that table. Does not know: models, scores, thresholds.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from edgeaudio.recognise.manifest import Combine, EntitySection


@dataclass(frozen=True, slots=True)
class Label:
    """One label: the member's label or group that it is by, and how both become one.

    home, yamnet: Empty where that member has no say.
    """

    home: str = ""
    yamnet: str = ""
    combine: Combine = "mean_logit"
    entity: EntitySection = field(default_factory=EntitySection)


# In the order in which Home Assistant shows them: warnings, then people, animals, the house, the weather.
# YAMNet knows no carbon-monoxide alarms, and of sirens and smoke alarms recorded ones, where home learnt the cadences:
# a mean would drag down whichever hears (docs/experiments/home.md).
LABELS: dict[str, Label] = {
    "smoke_alarm": Label("smoke_alarm", "smoke_alarm", "max"),
    "co_alarm": Label("co_alarm"),
    "glass_break": Label(yamnet="glass_break", entity=EntitySection(icon="mdi:glass-fragile")),
    "scream": Label(yamnet="scream", entity=EntitySection(icon="mdi:account-alert")),
    "gunshot": Label(yamnet="gunshot", entity=EntitySection(icon="mdi:pistol")),
    "siren": Label("siren", "emergency_siren", "max"),
    "baby_cry": Label("baby_cry", "Baby cry, infant cry"),
    "dog_bark": Label("dog_bark", "dog_bark"),
    "cat_meow": Label(yamnet="cat_meow", entity=EntitySection(icon="mdi:cat")),
    "doorbell_ring": Label(yamnet="doorbell_ring", entity=EntitySection(icon="mdi:doorbell")),
    "door_knock": Label(yamnet="door_knock", entity=EntitySection(icon="mdi:door")),
    "speech": Label("speech", "talking"),
    "coughing": Label(yamnet="coughing", entity=EntitySection(icon="mdi:emoticon-sick-outline")),
    "person_sneeze": Label("person_sneeze", "person_sneeze"),
    "snore": Label(yamnet="snore", entity=EntitySection(icon="mdi:sleep")),
    "vehicle_horn": Label(yamnet="vehicle_horn", entity=EntitySection(icon="mdi:bugle")),
    "music_playing": Label(yamnet="music_playing", entity=EntitySection(icon="mdi:music")),
    "running_water": Label(yamnet="running_water", entity=EntitySection(icon="mdi:water-pump")),
    "rooster": Label("rooster", "rooster"),
    "clock_tick": Label("clock_tick", "clock_tick"),
    "fire_crackling": Label("fire_crackling", "fire_crackling"),
    "chainsaw": Label("chainsaw", "Chainsaw"),
    "helicopter": Label("helicopter", "Helicopter"),
    "rain": Label("rain", "rainfall"),
    "sea_waves": Label("sea_waves", "sea_waves"),
}
