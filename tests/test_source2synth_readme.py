"""The README's commands for both applications and both recipes, as written, on real files and a served model."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from upcycle.testing import FakeServer
from upcycle.testing.writers import write
from whole_runs import UPCYCLE, run

ROOT = Path(__file__).parent.parent
_COMMAND = re.compile(r"^upcycle build (?:.*\\\n)*.*$", re.MULTILINE)
COMMANDS = [
    command.replace("\\\n", " ")
    for command in _COMMAND.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    if "--method source2synth" in command
]


def fill(folder: Path) -> None:
    """The sources that the commands name: a handbook whose pages link to each other, and sheets."""
    (folder / "examples").symlink_to(ROOT / "examples")
    (folder / "sheets").mkdir()
    (folder / "handbook").mkdir()
    for number in range(24):
        rows = [f"House {number}-{at},{1900 + 7 * number + at},{(number * 37 + at * 91) % 500}" for at in range(6)]
        (folder / "sheets" / f"street_{number:02}.csv").write_text("House,Built,Visitors\n" + "\n".join(rows) + "\n")
    for number in range(40):
        name = f"Mara Ellis {'ABCDEFGHIJ'[number % 10]}{number}"
        film = f"The Silver Lake {number} is a drama film directed by [{name}](person-{number}.md)."
        (folder / "handbook" / f"film-{number}.md").write_text(f"# The Silver Lake {number}\n\n{film}\n")
        born = f"{name} (born 3 March {1900 + number}) was a film director. She kept bees in Quill."
        (folder / "handbook" / f"person-{number}.md").write_text(f"# {name}\n\n{born}\n")


def test_the_readme_names_both_applications_and_both_recipes():
    named = [command.partition("--application ")[2].split()[0] for command in COMMANDS]
    assert named == ["tables", "documents", "examples/spreadsheet_functions.yaml", "examples/cited_answers.yaml"]


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.partition("--application ")[2].split()[0])
def test_a_command_of_the_readme_makes_grounded_examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str):
    fill(tmp_path)
    monkeypatch.chdir(tmp_path)
    asked = [UPCYCLE, *shlex.split(command)[1:]]
    with FakeServer(write) as server:
        # Later flags win: as written, on another model, without training, and smaller.
        more = ["--model", "openai/fake", "--base-url", server.url, "--intermediate", "served", "-n", "6", "-o", "run"]
        done = run([*asked, *more, "--json"])
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["methods"] == {"source2synth": 6}
    rows = pq.read_table(tmp_path / "run" / "data").to_pylist()
    assert all(row["input"].startswith("Context: ") and row["output"] for row in rows)


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS[:2], ids=["tables", "documents"])
def test_both_applications_run_for_free_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str):
    fill(tmp_path)
    monkeypatch.chdir(tmp_path)
    asked = [UPCYCLE, *shlex.split(command)[1:], "--model", "none", "--intermediate", "none", "-n", "6", "-o", "run"]
    done = run([*asked, "--json"])
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["calls"] == 0
