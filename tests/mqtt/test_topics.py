from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeaudio.errors import EdgeaudioError
from edgeaudio.sinks.mqtt.topics import Topics
from edgeaudio.slugs import is_slug, require_slug, slugify, slugs


@given(st.text())
def test_every_text_has_a_slug_and_a_slug_is_its_own(text: str) -> None:
    slug = slugify(text)
    assert is_slug(slug)
    assert slugify(slug) == slug


@pytest.mark.parametrize(
    ("label", "slug"),
    [
        ("Dog bark, yip", "dog-bark-yip"),
        ("smoke_alarm", "smoke-alarm"),
        ("Säge/Rüttler #1 +", "sage-ruttler-1"),
        ("犬", "1e82f9b0"),
        ("a" * 70, "a" * 55 + "-6bd5e503"),
    ],
)
def test_slugs_of_labels(label: str, slug: str) -> None:
    # the digits, of `printf LABEL | sha256sum`, are part of the contract: users subscribe to such topics
    assert slugify(label) == slug


def test_labels_that_meet_in_one_slug_are_both_named() -> None:
    assert slugs(["Dog", "cat"], "model m") == {"Dog": "dog", "cat": "cat"}
    with pytest.raises(EdgeaudioError, match=r"^model m: the labels 'Dog bark' and 'dog_bark' would share the topic"):
        slugs(["Dog bark", "dog_bark"], "model m")


@pytest.mark.parametrize("name", ["", "Porch", "front_door", "a/b", "#", "a\n", "ä", "a" * 65])
def test_a_name_that_is_no_slug_is_refused_with_a_proposal(name: str) -> None:
    assert not is_slug(name)
    with pytest.raises(EdgeaudioError, match=r"source name .* is not allowed: use 1 to 64 of a-z"):
        require_slug(name, "source name")


@pytest.mark.parametrize("base", ["", "/", "a/", "/a", "a//b", "a/#", "+", "$SYS\n", "a b", "a" * 129])
def test_a_base_that_is_no_topic_is_refused(base: str) -> None:
    with pytest.raises(EdgeaudioError, match="MQTT base topic"):
        Topics(base, "dock")


def test_topics() -> None:
    topics = Topics("site/edgeaudio", "dock")
    assert topics.availability == "site/edgeaudio/dock/availability"
    assert topics.label("porch", "Dog bark") == "site/edgeaudio/dock/porch/label/dog-bark"
    assert topics.threshold_set("porch", "Dog bark") == "site/edgeaudio/dock/porch/threshold/dog-bark/set"
    assert topics.snooze_set("porch", "Dog bark") == "site/edgeaudio/dock/porch/snooze/dog-bark/set"
    assert topics.cooldown_set("porch", "Dog bark") == "site/edgeaudio/dock/porch/cooldown/dog-bark/set"
    assert topics.enabled_set("porch") == "site/edgeaudio/dock/porch/enabled/set"
    assert topics.live_set("porch") == "site/edgeaudio/dock/porch/live/set"
    assert topics.live_audio_set("porch") == "site/edgeaudio/dock/porch/live/audio/set"
    assert topics.scores("porch") == "site/edgeaudio/dock/porch/scores"
