"""The labels of home-plus: which member hears which.

Owns: that table. Does not know: models, scores, thresholds.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from edgeaudio.recognise.manifest import EntitySection


@dataclass(frozen=True, slots=True)
class Label:
    """One label: the members' labels or groups that it is by; empty where a member has no say.

    home_weight: Of home's logit, where that of YAMNet's is 1.
    """

    home: str = ""
    yamnet: str = ""
    home_weight: float = 1.0
    entity: EntitySection = field(default_factory=EntitySection)


# In the order in which Home Assistant shows them: warnings, then people, animals, the house, the weather.
# Home learnt the cadences of alarms and sirens, YAMNet recordings of them: each has labels of its own for what it
# knows. A mean would drag down whichever hears, and the higher of both rings falsely with either
# (docs/experiments/home.md).
LABELS: dict[str, Label] = {
    "smoke_alarm": Label("smoke_alarm"),
    "co_alarm": Label("co_alarm"),
    "fire_alarm": Label(yamnet="smoke_alarm", entity=EntitySection(device_class="smoke")),
    "glass_break": Label(yamnet="glass_break", entity=EntitySection(icon="mdi:glass-fragile")),
    "scream": Label(yamnet="scream", entity=EntitySection(icon="mdi:account-alert")),
    "gunshot": Label(yamnet="gunshot", entity=EntitySection(icon="mdi:pistol")),
    "siren": Label("siren"),
    "emergency_siren": Label(yamnet="emergency_siren", entity=EntitySection(icon="mdi:ambulance")),
    "baby_cry": Label("baby_cry", "Baby cry, infant cry"),
    "dog_bark": Label("dog_bark", "dog_bark"),
    "cat_meow": Label(yamnet="cat_meow", entity=EntitySection(icon="mdi:cat")),
    "doorbell_ring": Label(yamnet="doorbell_ring", entity=EntitySection(icon="mdi:doorbell")),
    "door_knock": Label(yamnet="door_knock", entity=EntitySection(icon="mdi:door")),
    "speech": Label("speech", "talking"),
    "coughing": Label(yamnet="coughing", entity=EntitySection(icon="mdi:emoticon-sick-outline")),
    "person_sneeze": Label("person_sneeze", "person_sneeze", home_weight=3.0),  # YAMNet hears few
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
# What YAMNet's own labels of warnings are right to say of an alarm or a siren that home has another label for.
ALSO = {"smoke_alarm": "fire_alarm", "co_alarm": "fire_alarm", "siren": "emergency_siren"}
