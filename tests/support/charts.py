"""The Helm chart of deploy/kubernetes/, rendered by Helm's own library, without a cluster."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from support.programs import missing

CHART = Path(__file__).parents[2] / "deploy" / "kubernetes" / "edgeaudio"
RELEASE, NAMESPACE = "hall", "sound"


class RefusedError(Exception):
    """What Helm says of values that the chart does not take."""


@dataclass(frozen=True)
class Rendered:
    """The manifests of a release, and the notes that Helm prints."""

    manifests: tuple[dict[str, Any], ...]
    notes: str

    def one(self, kind: str, name: str = "hall-edgeaudio") -> dict[str, Any]:
        (found,) = (each for each in self.manifests if (each["kind"], each["metadata"]["name"]) == (kind, name))
        return found

    def container(self, name: str = "hall-edgeaudio", kind: str = "StatefulSet") -> dict[str, Any]:
        (container,) = self.one(kind, name)["spec"]["template"]["spec"]["containers"]
        assert isinstance(container, dict)
        return container

    def variables(self, name: str = "hall-edgeaudio", kind: str = "StatefulSet") -> dict[str, str]:
        return {each["name"]: each["value"] for each in self.container(name, kind)["env"]}

    def toml(self, name: str = "hall-edgeaudio") -> str:
        text = self.one("ConfigMap", name)["data"]["edgeaudio.toml"]
        assert isinstance(text, str)
        return text


class _Unique(yaml.CSafeLoader):  # type: ignore[misc]  # PyYAML has no types
    """Refuses a key that stands twice, as Kubernetes does."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        assert len(keys) == len(set(keys)), keys
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping


def require_helm() -> Any:
    """Return Helm's library; skip the test without it."""
    try:
        import helm_python  # noqa: PLC0415 (of an extra, and with wheels for few machines)
    except ImportError:
        missing("Helm's library, which the extra kubernetes-test brings on x86_64 and aarch64")
    return helm_python


@functools.cache
def _chart() -> Any:
    return require_helm().Chart.load(CHART)


def documents(text: str) -> list[dict[str, Any]]:
    """Return the manifests in a text."""
    return [each for each in yaml.load_all(text, _Unique) if each is not None]


def rendered(values: dict[str, Any] | None = None, *, release: str = RELEASE) -> Rendered:
    """Render the chart. Raises RefusedError."""
    helm = require_helm()
    try:
        texts = _chart().render(values or {}, name=release, namespace=NAMESPACE)
    except helm.HelmError as error:
        raise RefusedError(str(error)) from None
    notes = texts.pop("edgeaudio/templates/NOTES.txt")
    return Rendered(tuple(each for text in texts.values() for each in documents(text)), notes)


def linted(values: dict[str, Any]) -> list[str]:
    """Return what `helm lint --strict` complains of with these values."""
    report = require_helm().lint(CHART, values, strict=True, namespace=NAMESPACE)
    complaints = [f"{each['path']}: {each['error']}" for each in report["messages"] if each["severity"] > 1]
    return [*complaints, *report["errors"]]
