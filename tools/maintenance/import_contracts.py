"""A kind of contract for import-linter: packages from outside that only some modules may import."""

from __future__ import annotations

from typing import Any

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output


class SoleImporters(Contract):
    """Only `importers`, and what is in them, import any of `packages` directly; `within`: of the modules in there."""

    type_name = "sole_importers"

    packages: Any = fields.ListField(subfield=fields.StringField())
    importers: Any = fields.ListField(subfield=fields.StringField())
    within: Any = fields.StringField(required=False)

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:  # noqa: ARG002 (import-linter's signature)
        within = self.within or "edgeaudio"
        broken = [
            (importer, package)
            for package in self.packages
            if package in graph.modules
            for importer in sorted(graph.find_modules_that_directly_import(package))
            if _is_in(importer, within) and not any(_is_in(importer, allowed) for allowed in self.importers)
        ]
        return ContractCheck(kept=not broken, metadata={"broken": broken})

    def render_broken_contract(self, check: ContractCheck) -> None:
        for importer, package in check.metadata["broken"]:
            output.print_error(f"{importer} must not import {package}")


def _is_in(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")
