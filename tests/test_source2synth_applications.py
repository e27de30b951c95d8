"""Each application as a process with a served model, killed and resumed: tables, documents, both shipped recipes."""

from __future__ import annotations

import json
import random
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from upcycle.llm.model import Request
from upcycle.sources.documents import Document, Passage, make_document
from upcycle.testing import FakeServer
from upcycle.testing.questions import solve, write_question
from whole_runs import UPCYCLE, run, start

ROOT = Path(__file__).parent.parent
ROWS = 4
FUNCTION = "def f(table):\n    return max(v for v in table['meals'] if v is not None)"


def sheets(folder: Path) -> None:
    draw = random.Random(4)
    for number in range(24):
        rows = [f"beast-{draw.randint(1, 99)},{draw.randint(1, 900)}" for _ in range(6)]
        (folder / f"house-{number:02}.csv").write_text("Animal,Meals\n" + "\n".join(rows) + "\n")


def films(folder: Path) -> None:
    rows: list[dict[str, Any]] = []
    for number in range(40):
        film, person = f"The Silver Lake {number}", f"Mara Ellis {'abcdefghij'[number % 10].upper()}{number}"
        rows.append({"title": film, "text": f"{film} is a drama film directed by {person}.", "links": [person]})
        born = f"{person} (born 3 March {1900 + number}) was a film director. {person} kept bees in Quill."
        rows.append({"title": person, "text": born, "links": [film]})
    (folder / "films.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")


def handbook(folder: Path) -> None:
    for number in range(24):
        text = f"# Matter {number}\n\nClaims about matter {number} are settled within {number + 3} days of receipt.\n"
        (folder / f"matter-{number:02}.md").write_text(text)


def questions_of_tables(request: Request) -> str:
    prompt = request.messages[-1]["content"]
    if "<input>" in prompt:
        return f"SELECT MAX(meals) FROM t WHERE meals <= {re.findall(r'up to ([0-9]+)', prompt)[-1]}"
    if "generate an SQL statement" in prompt:
        return f"SELECT MAX(meals) FROM t WHERE meals <= {random.Random(prompt).randint(300, 900)}"
    if "SQL statement into a question" in prompt:
        return f"What is the largest number of meals up to {re.findall(r'<= ([0-9]+)', prompt)[0]}?"
    return f"Some have many meals ({random.Random(prompt).random()})."


def questions_of_documents(request: Request) -> str:
    prompt = request.messages[-1]["content"]
    if "<input>" not in prompt:
        return write_question(request)
    if (asked := re.search(r"Context: (.*)\nQuestion: (.*)\n</input>", prompt, re.DOTALL)) is None:
        # What is blanked in imputation: its prompt is one the scripted writer knows.
        return write_question(request)
    texts = [read_back(*part.split(": ", 1)) for part in asked[1].split("\n\n")]
    return f"Answer: {solve(asked[2], texts)}"


def read_back(title: str, text: str) -> Document:
    return make_document(title, title, [Passage(text)])


def functions(request: Request) -> str:
    prompt = request.messages[-1]["content"]
    if request.schema is not None:
        return json.dumps({"question": "Compute the maximum of the column meals.", "function": FUNCTION})
    return f"```python\n{FUNCTION}\n```" if "<input>" in prompt else "The maximum of meals is interesting."


def citations(request: Request) -> str:
    prompt = request.messages[-1]["content"]
    number, days = re.findall(r"matter (\d+) are settled within (\d+) days", prompt)[0]
    quote = f"Claims about matter {number} are settled within {days} days of receipt."
    if request.schema is not None:
        return json.dumps({"question": f"When is matter {number} settled?", "answer": f"{days} days", "quote": quote})
    if "<input>" in prompt:
        return f'Answer: {days} days\nSource: matter-{int(number):02}.md: "{quote}"'
    return f"When matter {number} is settled."


CASES: dict[str, tuple[str, Callable[[Path], None], Callable[[Request], str]]] = {
    "tables": ("tables", sheets, questions_of_tables),
    "documents": ("documents", films, questions_of_documents),
    "functions": (str(ROOT / "examples" / "spreadsheet_functions.yaml"), sheets, functions),
    "citations": (str(ROOT / "examples" / "cited_answers.yaml"), handbook, citations),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_killed_in_the_middle_it_goes_on_and_pays_nothing_twice(tmp_path: Path, name: str):
    application, fill, reply = CASES[name]
    source = tmp_path / "source"
    source.mkdir()
    fill(source)
    settings = {"application": application, "intermediate": "served", "slice": 8, "per_unit": 1, "tries": 2, "shots": 2}
    task = {"instruction": "Answer the question.", "methods": {"source2synth": settings}, "sources": [str(source)]}
    (tmp_path / "task.yaml").write_text(json.dumps({**task, "rows": ROWS}))
    with FakeServer(reply, latency=0.05) as server:
        asked = [
            UPCYCLE, "build", str(tmp_path / "task.yaml"), "--model", "openai/fake", "--base-url", server.url,
            "--concurrency", "2", "-o", str(tmp_path / "run"),
        ]  # fmt: skip
        with start(asked) as process:
            assert process.stderr is not None
            for line in process.stderr:
                if json.loads(line)["stage"] == "source2synth":
                    break
            process.kill()
        assert process.returncode == -signal.SIGKILL
        done = run(asked)
        assert done.returncode == 0, done.stdout + done.stderr
        assert server.stats()["paid_twice"] <= 4
        paid = server.stats()["paid"]
        assert run(asked).returncode == 0
        assert server.stats()["paid"] == paid
    rows = pq.read_table(tmp_path / "run" / "data").to_pylist()
    assert len({row["id"] for row in rows}) == ROWS
    assert all(row["input"].startswith("Context: ") for row in rows)
    assert "filter kept " in done.stdout
    assert ("imputation kept " in done.stdout) == (name == "documents")
