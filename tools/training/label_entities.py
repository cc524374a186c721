"""How Home Assistant shows the labels of the models that ship: those that matter most come first."""

from __future__ import annotations

from edgeaudio.recognise.manifest import EntitySection

ENTITIES = {
    "smoke_alarm": EntitySection(device_class="smoke"),
    "co_alarm": EntitySection("Carbon monoxide alarm", "carbon_monoxide"),
    "siren": EntitySection(icon="mdi:car-emergency"),
    "baby_cry": EntitySection(icon="mdi:emoticon-cry-outline"),
    "dog_bark": EntitySection(icon="mdi:dog"),
    "speech": EntitySection(icon="mdi:account-voice"),
    "person_sneeze": EntitySection(icon="mdi:emoticon-sick-outline"),
    "rooster": EntitySection(icon="mdi:bird"),
    "clock_tick": EntitySection(icon="mdi:clock-outline"),
    "fire_crackling": EntitySection(icon="mdi:campfire"),
    "chainsaw": EntitySection(icon="mdi:saw-blade"),
    "helicopter": EntitySection(icon="mdi:helicopter"),
    "rain": EntitySection(icon="mdi:weather-rainy"),
    "sea_waves": EntitySection(icon="mdi:waves"),
}
