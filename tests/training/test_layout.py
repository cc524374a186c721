"""The tools know each other one way: recipes and doors use the libraries, no library uses a recipe."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOORS = ("train_model", "convert_model", "evaluate_model", "evaluate_speech", "bench")


def imports_of(file: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{name.name}" for name in node.names}
    return found


def files_under(*folders: str) -> list[Path]:
    return [file for folder in folders for file in sorted((ROOT / folder).glob("*.py"))]


@pytest.mark.parametrize("file", files_under("tools", "tools/training", "tools/synth"), ids=lambda file: file.stem)
def test_no_library_and_no_door_knows_a_recipe(file):
    assert not [name for name in imports_of(file) if name.startswith("models.")]


@pytest.mark.parametrize("file", files_under("tools/training"), ids=lambda file: file.stem)
def test_training_knows_neither_doors_nor_synthesis(file):
    tools = [name for name in imports_of(file) if name.startswith("tools.")]
    assert [name for name in tools if not name.startswith("tools.training")] == []


@pytest.mark.parametrize("file", files_under("tools/synth"), ids=lambda file: file.stem)
def test_synthesis_knows_no_door(file):
    tools = [name for name in imports_of(file) if name.startswith("tools.")]
    assert [name for name in tools if not name.startswith(("tools.training", "tools.synth"))] == []


def test_the_agent_knows_no_tool():
    files = sorted((ROOT / "edgeaudio").rglob("*.py"))
    assert [file for file in files if any(n.startswith(("tools.", "models.")) for n in imports_of(file))] == []


def test_tools_holds_the_doors_and_nothing_else():
    assert {file.stem for file in files_under("tools")} == set(DOORS)


@pytest.mark.parametrize(
    "module",
    [
        *(f"tools.{door}" for door in ("evaluate_model", "evaluate_speech", "bench")),
        *("models.alarms.train.evaluate_alarms", "models.alarms.train.plain_alarms"),
        *("models.home.train.evaluate_home", "models.home.train.home_recordings", "tools.maintenance.onset_errors"),
        *("models.home.train.evaluate_ears", "models.home.train.house_backgrounds"),
    ],
)
def test_a_command_explains_itself(module):
    done = subprocess.run(
        [sys.executable, "-m", module, "--help"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: ")
