"""What CI does is in the Makefile: workflows and Jenkinsfile call it; actions are pinned, rights are few."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
TARGETS = set(re.findall(r"^([a-z][a-z0-9-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
# what no Makefile can do: bring the tree and Python, hand files to the next job, publish without a token
ACTIONS = {
    "actions/checkout",
    "actions/setup-python",
    "actions/upload-artifact",
    "actions/download-artifact",
    "pypa/gh-action-pypi-publish",
}


def jobs(path: Path) -> dict[str, dict[str, Any]]:
    loaded: dict[str, dict[str, Any]] = yaml.safe_load(path.read_text())["jobs"]
    return loaded


def steps(path: Path) -> list[dict[str, Any]]:
    return [step for job in jobs(path).values() for step in job.get("steps", [])]


def targets(command: str) -> set[str]:
    """The targets of a command that is nothing but `make` with variables and targets."""
    words = command.split()
    assert words[0] == "make"
    asked = {word for word in words[1:] if "=" not in word}
    assert asked <= TARGETS, command
    return asked


def test_there_are_workflows() -> None:
    assert [path.name for path in WORKFLOWS] == ["ci.yml", "release.yml"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_step_is_make_or_one_of_a_few_actions_at_a_commit(path: Path) -> None:
    assert steps(path)
    for step in steps(path):
        if "run" in step:
            targets(step["run"])
        else:
            name, _, commit = step["uses"].partition("@")
            assert name in ACTIONS
            assert re.fullmatch(r"[0-9a-f]{40}", commit)
    # a commit says nothing to people
    assert re.findall(r"uses: \w\S+$", path.read_text(), re.MULTILINE) == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_no_job_may_more_than_it_must(path: Path) -> None:
    workflow = yaml.safe_load(path.read_text())
    assert workflow["permissions"] == {}
    for name, job in jobs(path).items():
        assert job["permissions"] == ({"id-token": "write"} if name == "publish" else {"contents": "read"})
    assert "secrets." not in path.read_text()
    for step in steps(path):
        if step.get("uses", "").startswith("actions/checkout"):
            assert step["with"]["persist-credentials"] is False


def test_the_job_that_publishes_runs_nothing_of_the_tree() -> None:
    publish = jobs(GITHUB / "workflows" / "release.yml")["publish"]
    assert [step["uses"].partition("@")[0] for step in publish["steps"]] == [
        "actions/download-artifact",
        "pypa/gh-action-pypi-publish",
    ]


def test_each_python_is_tried() -> None:
    pythons = re.findall(r"Python :: (3\.\d+)", (ROOT / "pyproject.toml").read_text())
    assert jobs(GITHUB / "workflows" / "ci.yml")["test"]["strategy"]["matrix"]["python"] == pythons
    assert re.findall(r"stage\('Python (3\.\d+)'\)", (ROOT / "Jenkinsfile").read_text()) == pythons


def test_jenkins_does_what_the_workflow_does() -> None:
    here = {
        target for step in steps(GITHUB / "workflows" / "ci.yml") if "run" in step for target in targets(step["run"])
    }
    commands = re.findall(r"\bsh '([^']+)'", (ROOT / "Jenkinsfile").read_text())
    assert {target for command in commands for target in targets(command)} == here
    text = (ROOT / "Jenkinsfile").read_text()
    assert text.count("{") == text.count("}")


@pytest.mark.parametrize("name", ["bug", "camera", "feature"])
def test_a_form_has_names_for_all_that_it_asks(name: str) -> None:
    form = yaml.safe_load((GITHUB / "ISSUE_TEMPLATE" / f"{name}.yml").read_text())
    asked = [field for field in form["body"] if field["type"] != "markdown"]
    assert len({field["id"] for field in asked}) == len(asked)
    assert all(field["attributes"]["label"] for field in asked)


def test_dependabot_looks_where_there_is_something() -> None:
    updates = yaml.safe_load((GITHUB / "dependabot.yml").read_text())["updates"]
    assert {update["package-ecosystem"] for update in updates} == {"pip", "github-actions", "docker"}
    for update in updates:
        assert (ROOT / update["directory"].lstrip("/")).is_dir()
