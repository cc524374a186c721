"""Node-RED's flow: what is in its file, and what its function node does, by plain Node.js.

tests/with_node_red runs the whole flow in Node-RED itself.
"""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from support.programs import require_program

from edgeaudio.sinks.mqtt import messages
from edgeaudio.sinks.mqtt.topics import Topics
from edgeaudio.types import Event
from tools.maintenance import node_red_flow

ROOT = Path(__file__).parents[2]
NODES: list[dict[str, Any]] = json.loads(node_red_flow.FLOW.read_text())
CORE = {"tab", "mqtt in", "function", "link out", "debug", "mqtt-broker"}
ENV = {"COOLDOWN_S": 300, "TELL_TESTS": False}
NOW_S = 1_796_000_000.0
TOPIC = "edgeaudio/attic/porch/detection"
# what Node-RED gives a function node, as far as it is used; each step is a message at a time
HARNESS = """
const { func, steps, env } = JSON.parse(require("fs").readFileSync(0));
const run = new Function("msg", "node", "global", "env", func);
const kept = {};
const global = { get: (key) => kept[key], set: (key, value) => { kept[key] = JSON.parse(JSON.stringify(value)); } };
const node = { status() {} };
const outputs = steps.map(({ msg, now }) => {
  Date.now = () => now * 1000;
  return run(msg, node, global, { get: (name) => env[name] }) ?? null;
});
console.log(JSON.stringify({ outputs, kept }));
"""


def detection(number: int = 1, kind: str = "onset", label: str = "dog_bark", **changes: Any) -> dict[str, Any]:
    """A detection as the agent publishes it, with changes."""
    event = Event(f"id-{number}", "onset", "porch", "home", label, 0.91, datetime.fromtimestamp(NOW_S, UTC), 0.5)
    message = messages.detection(Topics("edgeaudio", "attic"), event, seq_epoch="a1", seq=number)
    payload: dict[str, Any] = json.loads(message.payload)
    return payload | {"kind": kind} | changes


def step(payload: object, at_s: float = 0.0, topic: str = TOPIC, **changes: Any) -> dict[str, Any]:
    text = payload if isinstance(payload, str) else json.dumps(payload)
    return {"msg": {"topic": topic, "payload": text, "qos": 1, "retain": False, **changes}, "now": NOW_S + at_s}


def run(*steps: dict[str, Any], **env: object) -> dict[str, Any]:
    """What the function node returns for each message, and what it keeps."""
    work = {"func": node_red_flow.FUNCTION.read_text(), "steps": steps, "env": ENV | env}
    done = subprocess.run(
        [require_program("node"), "-e", HARNESS],
        input=json.dumps(work),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def notified(*steps: dict[str, Any], **env: object) -> list[bool]:
    return [output is not None for output in run(*steps, **env)["outputs"]]


def test_the_flow_has_the_function_of_its_file() -> None:
    flow = node_red_flow.FLOW.read_text()
    written = node_red_flow.with_function(flow, node_red_flow.FUNCTION.read_text())
    assert flow == written, "run: python -m tools.maintenance.node_red_flow"


def test_the_flow_has_only_core_nodes_and_no_credentials() -> None:
    assert {node["type"] for node in NODES} == CORE
    assert [node for node in NODES if {"credentials", "user", "password"} & set(node)] == []
    (broker,) = (node for node in NODES if node["type"] == "mqtt-broker")
    assert "@" not in json.dumps(broker)
    assert broker["clientid"] == ""  # two copies of one id would end each other's connection


def test_every_wire_and_configuration_node_leads_somewhere() -> None:
    ids = [node["id"] for node in NODES]
    assert len(set(ids)) == len(ids)
    for node in NODES:
        assert {target for output in node.get("wires", []) for target in output} <= set(ids)
        assert node.get("broker", ids[0]) in {*ids, "localhost"}
        assert node.get("z", ids[0]) == ids[0]


def test_the_subscription_is_to_the_topics_of_detections() -> None:
    (tab,) = (node for node in NODES if node["type"] == "tab")
    values = {variable["name"]: variable["value"] for variable in tab["env"]}
    topic = values["DETECTIONS"].replace("${BASE_TOPIC}", "base").replace("${DEVICE}", "attic")
    assert topic == Topics("base", "attic").detection("+")


def test_a_notification_says_what_was_heard_where_and_when() -> None:
    (output,) = run(step(detection(), topic="my/base/attic/porch/detection"))["outputs"]
    assert output["topic"] == "dog bark (porch)"
    assert output["payload"].startswith("dog bark was heard by porch of attic at 20")
    assert output["payload"].endswith(", score 0.91")
    assert output["detection"] == detection()


def test_a_detection_that_comes_twice_is_notified_once() -> None:
    steps = (step(detection()), step(detection(), 1), step(detection(), 1_000_000), step(detection(), -1_000_000))
    assert notified(*steps, COOLDOWN_S=0) == [True, False, False, False]


def test_the_end_of_a_sound_is_not_notified() -> None:
    assert notified(step(detection(kind="offset")), step(detection())) == [False, True]


def test_a_cooldown_holds_for_a_label_of_a_source_of_a_device() -> None:
    steps = (
        step(detection(1)),
        step(detection(2), 299),
        step(detection(3, label="glass"), 299),
        step(detection(4), 299, "edgeaudio/attic/gate/detection"),
        step(detection(5), 299, "edgeaudio/barn/porch/detection"),
        step(detection(6), 300),
        step(detection(7), 599),
    )
    assert notified(*steps) == [True, False, True, True, True, True, False]


def test_a_detection_within_the_cooldown_is_not_notified_when_it_comes_again_later() -> None:
    assert notified(step(detection(1)), step(detection(2), 10), step(detection(2), 1000)) == [True, False, False]


def test_a_clock_that_was_set_back_silences_nothing_for_long() -> None:
    assert notified(step(detection(1)), step(detection(2), -3600)) == [True, True]


def test_test_detections_are_notified_only_when_asked_for_and_have_no_cooldown() -> None:
    tests = [step(detection(number, test=True), number) for number in (1, 2, 2, 4)]
    steps = (*tests[:3], step(detection(3), 3), tests[3])
    assert notified(*steps) == [False, False, False, True, False]
    outputs = run(*steps, TELL_TESTS=True)["outputs"]
    assert outputs[0]["topic"] == "Test: dog bark (porch)"
    assert [output is not None for output in outputs] == [True, True, False, True, True]


@pytest.mark.parametrize(
    "bad",
    [
        step("{"),
        step("null"),
        step("[]"),
        step("5"),
        step(""),
        step(detection() | {"junk": "x" * 20_000}),
        step(detection(), retain=True),
        step(detection(), topic="detection"),
        step(detection() | {"kind": "check"}),
        step(detection() | {"kind": ["onset"]}),
        step(detection() | {"id": 5}),
        step(detection() | {"id": "x" * 201}),
        step(detection() | {"label": None}),
        step(detection() | {"at": "yesterday"}),
        step(detection() | {"score": "0.9"}),
        step(messages.check(Topics("edgeaudio", "attic"), "porch").payload.decode()),
        {"msg": {"topic": TOPIC, "payload": {"kind": "onset"}}, "now": NOW_S},
    ],
    ids=range(17),
)
def test_what_is_no_detection_is_ignored_and_what_follows_is_not(bad: dict[str, Any]) -> None:
    assert notified(bad, step(detection())) == [False, True]


def test_a_label_brings_no_control_characters_and_no_key_of_its_own() -> None:
    hostile = "__proto__\u202e\u001b[2J<img src=x>"
    outputs = run(step(detection(label=hostile)), step(detection(2, label="__proto__", id="__proto__")))["outputs"]
    assert outputs[0]["topic"] == " proto [2J<img src=x> (porch)"
    assert outputs[1]["topic"] == " proto  (porch)"


def test_what_is_kept_is_bounded() -> None:
    steps = [step(detection(number, label=f"label {number}")) for number in range(1100)]
    result = run(*steps)
    assert all(output is not None for output in result["outputs"])
    assert {name: len(pairs) for name, pairs in result["kept"].items()} == {
        "edgeaudio_detections": 1000,
        "edgeaudio_cooldowns": 1000,
    }
    assert result["kept"]["edgeaudio_detections"][-1][0] == "id-1099 onset"
