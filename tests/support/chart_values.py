"""Values files that the tests render: what a centre may be."""

from __future__ import annotations

from typing import Any

SOURCES = {f"camera-{number}": {"url": f"rtsp://10.1.{number // 200}.{number % 200}/stream2"} for number in range(3000)}

DEFAULTS: dict[str, Any] = {}
ONE: dict[str, Any] = {"sources": {"porch": {"url": "rtsp://192.168.1.20/stream2"}}}
LARGE: dict[str, Any] = {
    "device": "hall-7",
    "shards": 30,
    "sources": SOURCES,
    "settings": {
        "log_format": "ecs",
        "mqtt": {"url": "mqtts://broker.example", "rate_per_s": 60},
        "models": {"home": {"path": "home", "thresholds": {'Dog "Rex"\nbark': {"on": 0.8}}}},
    },
    "credentials": ["broker-login", "camera-logins"],
    "tls": {"secret": "broker-ca", "clientCertificate": True},
    "imagePullSecrets": ["registry"],
    "image": {"repository": "registry.example:5000/sound/edgeaudio", "tag": "0.1.0"},
    "storage": {"size": "4Gi", "storageClassName": "fast"},
    "spread": "DoNotSchedule",
    "nodeSelector": {"kubernetes.io/arch": "amd64"},
    "tolerations": [{"key": "sound", "operator": "Exists", "effect": "NoSchedule"}],
    "priorityClassName": "listening",
    "networkPolicy": {"enabled": True, "egress": [{"to": [{"ipBlock": {"cidr": "10.1.0.0/16"}}]}]},
}
COLLECT: dict[str, Any] = {
    **ONE,
    "settings": {"mqtt": {"url": "mqtts://broker.example"}},
    "collect": {"enabled": True, "databaseSecret": "database", "credentials": ["collect-login"]},
    "tls": {"secret": "broker-ca"},
    "networkPolicy": {"enabled": True},
}
DASHBOARD: dict[str, Any] = {**ONE, "dashboard": {"enabled": True}, "networkPolicy": {"enabled": True}}
OF_FLEET: dict[str, Any] = {**COLLECT, "dashboard": {"enabled": True, "databaseSecret": "page-database"}}
EXPOSED: dict[str, Any] = {
    **ONE,
    "settings": {"dashboard": {"url": "https://sounds.example", "users": {"anna": {"role": "owner"}}}},
    "dashboard": {"enabled": True, "expose": True, "credentials": ["dashboard-logins"]},
    "networkPolicy": {"enabled": True},
}
OWN: dict[str, Any] = {
    "existingConfigMap": "cameras",
    "sizing": {"streams": 40, "codec": "g711"},
    "resources": {"requests": {"cpu": "2", "memory": "1Gi"}, "limits": {"memory": "2Gi"}},
    "collect": {"enabled": True, "databaseSecret": "database"},
    "dashboard": {"enabled": True},
}

FILES = {
    "defaults": DEFAULTS,
    "one shard": ONE,
    "30 shards with TLS": LARGE,
    "collect": COLLECT,
    "dashboard": DASHBOARD,
    "dashboard with a Service": EXPOSED,
    "dashboard of a fleet": OF_FLEET,
    "a ConfigMap of one's own": OWN,
}
