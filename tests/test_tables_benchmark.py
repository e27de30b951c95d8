"""The benchmark of tables measures what it says, on a few tables that a test made."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARK = Path(__file__).parent.parent / "benchmarks" / "tables.py"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Tables with something to ask about."""
    folder = tmp_path / "tables"
    folder.mkdir()
    for number in range(8):
        lines = [f"n{number}-{row},g{row % 3},{(row * 37 + number) % 90},{1990 + row}" for row in range(12)]
        (folder / f"{number}.csv").write_text("name,group,amount,year\n" + "\n".join(lines) + "\n")
    return folder


def part(name: str, data: Path, *flags: str) -> dict[str, Any]:
    command = [sys.executable, str(BENCHMARK), "--part", name, "--data", str(data), *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_every_answer_of_a_built_dataset_is_reproduced(data: Path):
    facts = part("examples", data, "--rows", "30")
    assert facts["examples"] == 30
    assert facts["answers_reproduced"] == 1.0
    assert facts["s_1000"] > 0


@pytest.mark.slow
def test_executions_are_counted_as_results(data: Path):
    facts = part("executions", data, "--seconds", "0.2")
    assert facts["sql_executed"] > 0
    assert facts["sql_per_s"] <= facts["sql_executed"] / 0.2
