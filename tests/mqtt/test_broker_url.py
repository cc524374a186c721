"""The URL of a broker, and what is shown of it."""

from __future__ import annotations

import pytest

from edgeaudio.errors import EdgeaudioError
from edgeaudio.sinks.mqtt.broker import MqttConfig, parse_broker_url

SECRET = "pa55-w0rd"


@pytest.mark.parametrize(
    ("url", "host", "port", "tls", "username", "password"),
    [
        ("mqtt://broker", "broker", 1883, False, None, None),
        ("mqtts://broker/", "broker", 8883, True, None, None),
        ("mqtt://me:p%40ss@10.0.0.1:11883", "10.0.0.1", 11883, False, "me", "p@ss"),
        ("mqtts://me@[::1]", "::1", 8883, True, "me", None),
    ],
)
def test_broker_urls(url: str, host: str, port: int, tls: bool, username: str | None, password: str | None) -> None:
    address = parse_broker_url(url)
    assert (address.host, address.port, address.tls) == (host, port, tls)
    assert (address.username, address.password) == (username, password)
    assert "p@ss" not in repr(address)


@pytest.mark.parametrize(
    "url",
    [
        *(
            "",
            "broker",
            "http://broker",
            "mqtt://",
            "mqtt://:1883",
            "mqtt://b:0",
            "mqtt://b:70000",
            "mqtt://b:x",
            "mqtt://b/t",
        ),
        *(
            "mqtt://b?a=b",
            "mqtt://[::1",
            f"mqtt://me:{SECRET}#@b",
            f"mqtt://me:{SECRET}/x@b:1",
            f"mqtt://me:{SECRET}[@b",
        ),
        *(f"me:{SECRET}@b", f"mqtt://me:{SECRET}@", f"mqtt://me:{SECRET}@b:port"),
    ],
)
def test_an_error_about_a_broker_url_leaves_out_the_secret(url: str) -> None:
    with pytest.raises(EdgeaudioError, match="MQTT URL") as caught:
        parse_broker_url(url)
    assert SECRET not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_where_names_the_broker_without_the_login() -> None:
    assert MqttConfig("127.0.0.1", 1883, "x", username="me", password=SECRET).where == "mqtt://127.0.0.1:1883"
    assert MqttConfig("::1", 8883, "x", tls=True).where == "mqtts://[::1]:8883"
