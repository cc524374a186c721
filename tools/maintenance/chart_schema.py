"""Write the settings into deploy/kubernetes/edgeaudio/values.schema.json, so that Helm refuses a wrong one by its name.

    python tools/maintenance/chart_schema.py

The file's own part is written by hand: all but the definitions that do not begin with "chart". These come from the
schema of the settings (`edgeaudio check --schema`), without what the chart itself sets, and without passwords, which
have no place in a ConfigMap. (Logins in addresses are refused by the templates, which do not print them.) Run it after
a change of the settings; a test compares the two.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from edgeaudio.settings.schema import Settings

SCHEMA = Path(__file__).parents[2] / "deploy" / "kubernetes" / "edgeaudio" / "values.schema.json"
BY_HAND = "chart"  # begins the names of definitions that are not the settings'
# what the chart sets, and `sources`, which are values of their own
SET_BY_CHART = ("device", "reload_interval_s", "shard", "sources", "state_dir")
# secrets, and files that only a Secret of the chart could bring
LEFT_OUT = {
    "DashboardSettings": ("clips_dir", "database", "listen", "metrics_token", "metrics_token_file"),
    "DashboardUserSettings": ("password",),
    "MqttSettings": ("ca_file", "cert_file", "key_file", "password", "password_file"),
    "SourceSettings": ("password", "password_file"),
    "TranscriptsSettings": ("api_key", "api_key_file"),
}


def with_settings(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of the values with the definitions of today's settings."""
    by_hand = {name: each for name, each in schema["$defs"].items() if name.startswith(BY_HAND)}
    return {**schema, "$defs": by_hand | dict(sorted(_definitions().items()))}


def written(schema: dict[str, Any]) -> str:
    """Return the schema as the text of a file."""
    return json.dumps(schema, indent=2) + "\n"


def _definitions() -> dict[str, Any]:
    whole = Settings.model_json_schema()
    definitions: dict[str, Any] = whole.pop("$defs")
    whole["properties"] = {name: each for name, each in whole["properties"].items() if name not in SET_BY_CHART}
    for name, left_out in LEFT_OUT.items():
        for setting in left_out:
            del definitions[name]["properties"][setting]
    kept: dict[str, Any] = _plain({"Settings": whole, **definitions})
    return kept


def _plain(node: Any) -> Any:  # noqa: ANN401 (JSON of any shape)
    """Return a schema for all validators: bounds by their standard names; no defaults, which are the settings' own."""
    if isinstance(node, list):
        return [_plain(each) for each in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:  # beside it an older draft reads nothing
        return {"$ref": node["$ref"]}
    names = {"ge": "minimum", "le": "maximum"}
    return {names.get(key, key): _plain(each) for key, each in node.items() if key not in {"default", "title"}}


if __name__ == "__main__":
    SCHEMA.write_text(written(with_settings(json.loads(SCHEMA.read_text()))))
