"""Build hook of the wheel: an SBOM, a list of what edgeaudio is made of, in CycloneDX JSON and where PEP 770 has it.

Owns: what the list says of edgeaudio, of the packages that it needs and of the models that are in the wheel.
Does not know: what else is in a wheel. The same tree gives the same list, byte for byte: no time, nothing random.
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
import tomllib
import uuid
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

SPEC_VERSION = "1.6"  # https://cyclonedx.org/docs/1.6/json/
NAME = "edgeaudio.cdx.json"
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "edgeaudio")
SPDX_ID = re.compile(r"[A-Za-z0-9.+-]+")
SPDX_EXPRESSION = re.compile(rf"\(*{SPDX_ID.pattern}\)*( (AND|OR|WITH) \(*{SPDX_ID.pattern}\)*)+")

Json = dict[str, Any]  # an object of CycloneDX


class SbomBuildHook(BuildHookInterface[Any]):
    """Adds `.dist-info/sboms/edgeaudio.cdx.json` to a wheel."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 (hatchling's signature)
        """Write the SBOM and have it packed. hatchling calls this before it makes the wheel."""
        self._folder = tempfile.TemporaryDirectory(prefix="edgeaudio-sbom-")
        path = Path(self._folder.name) / NAME
        path.write_text(sbom(Path(self.root), self.metadata.version))
        build_data["sbom_files"].append(str(path))

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002 (as above)
        """Remove what `initialize` wrote. hatchling calls this when the wheel is there."""
        self._folder.cleanup()


def sbom(root: Path, version: str) -> str:
    """The SBOM of the tree at `root`: CycloneDX as JSON, in UTF-8, with a final line feed."""
    settings = tomllib.loads((root / "pyproject.toml").read_text())
    project = settings["project"]
    itself: Json = {
        "type": "application",
        "bom-ref": "edgeaudio",
        "name": project["name"],
        "version": version,
        "description": project["description"],
        "licenses": licenses(project["license"]),
        "purl": f"pkg:pypi/edgeaudio@{version}",
    }
    packages = dependencies(project["dependencies"])
    packed = settings["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"]
    models = [model(root / folder) for folder in sorted(packed) if folder.startswith("models/")]
    components = [*packages, *models]
    bom: Json = {
        "bomFormat": "CycloneDX",
        "specVersion": SPEC_VERSION,
        "version": 1,
        "metadata": {"component": itself},
        "components": components,
        "dependencies": [{"ref": "edgeaudio", "dependsOn": [each["bom-ref"] for each in components]}],
    }
    bom["serialNumber"] = uuid.uuid5(NAMESPACE, json.dumps(bom, sort_keys=True)).urn
    return json.dumps(bom, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def dependencies(lines: list[str]) -> list[Json]:
    """A component for each package that pyproject.toml requires.

    A package has a version here only where exactly one is allowed; its property `edgeaudio:requirement`, which may
    be there more than once, is what pyproject.toml says.
    """
    by_name: dict[str, list[Requirement]] = {}
    for requirement in map(Requirement, lines):
        by_name.setdefault(canonicalize_name(requirement.name), []).append(requirement)
    return [dependency(name, by_name[name]) for name in sorted(by_name)]


def dependency(name: str, requirements: list[Requirement]) -> Json:
    """The component of one package."""
    found: Json = {
        "type": "library",
        "bom-ref": name,
        "name": name,
        "purl": f"pkg:pypi/{name}",
        "scope": "required"
        if any(each.marker is None for each in requirements) or len(requirements) > 1
        else "optional",
        "properties": [{"name": "edgeaudio:requirement", "value": str(each)} for each in requirements],
    }
    exact = {each.version for one in requirements for each in one.specifier if each.operator == "=="}
    if len(exact) == 1 == len(requirements):
        found["version"] = exact.pop()
        found["purl"] += f"@{found['version']}"
    return found


def model(folder: Path) -> Json:
    """The component of a model in the wheel. Raises ValueError where its file is not its manifest's."""
    manifest = tomllib.loads((folder / "model.toml").read_text())
    sha256 = hashlib.sha256((folder / "model.tflite").read_bytes()).hexdigest()
    if manifest["sha256"] != sha256:
        raise ValueError(f"{folder / 'model.tflite'} has the SHA-256 {sha256}, and model.toml says another")
    datasets = [{"type": "dataset", "name": each} for each in manifest.get("training_data", [])]
    return {
        "type": "machine-learning-model",
        "bom-ref": f"model:{manifest['name']}",
        "name": manifest["name"],
        "version": manifest["version"],
        "description": manifest["description"],
        "licenses": licenses(manifest["license"]),
        "hashes": [{"alg": "SHA-256", "content": sha256}],
        "modelCard": {"modelParameters": {"datasets": datasets}},
        "properties": [{"name": "edgeaudio:path", "value": f"edgeaudio/models/{folder.name}/model.tflite"}],
    }


def licenses(text: str) -> list[Json]:
    """A licence as CycloneDX has it: an SPDX identifier, an SPDX expression, or words."""
    if SPDX_EXPRESSION.fullmatch(text):
        return [{"expression": text}]
    return [{"license": {"id" if SPDX_ID.fullmatch(text) else "name": text}}]
