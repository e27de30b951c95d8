"""The documentation holds: marked blocks run, commands and flags exist, links lead somewhere, pages stay short.

A block whose first line is `# runs in the tests` is run; the blocks of one page share a folder, in their order.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from upcycle.cli import parser

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LESSONS = [page for page in PAGES if page.name not in ("README.md", "command-line.md", "six-tasks.md")]
MARK = "# runs in the tests"
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\[[^\]]+\]\(([^)#]+)[^)]*\)")
_INLINE = re.compile(r"`(upcycle [^`]+)`")


class Block(NamedTuple):
    """A fenced block of a page."""

    language: str
    text: str


def blocks(page: Path) -> list[Block]:
    return [Block(language, text) for language, text in _FENCE.findall(page.read_text(encoding="utf-8"))]


def runnable(page: Path) -> list[Block]:
    return [block for block in blocks(page) if block.text.startswith(MARK)]


def commands(page: Path) -> Iterator[str]:
    """Every `upcycle ...` command the page names, in blocks and in sentences."""
    for block in blocks(page):
        if block.language == "bash":
            for line in block.text.replace("\\\n", " ").splitlines():
                if line.strip().startswith("upcycle "):
                    yield line.strip()
    yield from _INLINE.findall(_FENCE.sub("", page.read_text(encoding="utf-8")))


@pytest.mark.parametrize("page", [page for page in PAGES if runnable(page)], ids=lambda page: page.name)
def test_what_a_page_says_runs(page: Path, tmp_path: Path):
    environment = {name: value for name, value in os.environ.items() if not name.endswith(("_API_KEY", "_BASE_URL"))}
    environment |= {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}",
        "UPCYCLE_LOCAL_PORTS": "",
        "UPCYCLE_CACHE": str(tmp_path / "cache"),
        "HF_HOME": str(tmp_path / "hub"),
        "HF_HUB_OFFLINE": "1",
    }
    work = tmp_path / "work"
    work.mkdir()
    (work / "examples").symlink_to(ROOT / "examples")
    for block in runnable(page):
        program = ["bash", "-euo", "pipefail", "-c"] if block.language == "bash" else [sys.executable, "-c"]
        if "from datasets import" in block.text:
            pytest.importorskip("datasets")
        done = subprocess.run(
            [*program, block.text], cwd=work, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{block.text}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr


def verbs() -> dict[str, argparse.ArgumentParser]:
    found = next(action for action in parser()._actions if isinstance(action, argparse._SubParsersAction))
    return dict(found.choices)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_flags_a_page_names_exist(page: Path):
    known = verbs()
    for command in commands(page):
        words = shlex.split(command, comments=True)
        flags = {flag for flag in words if flag.startswith("-")}
        if words[1].startswith("-"):
            assert flags <= {"--help", "--version"}, command
            continue
        assert words[1] in known, f"{page.name}: {command}"
        unknown = flags - set(known[words[1]]._option_string_actions)
        assert not unknown, f"{page.name}: {command} has no {unknown}"


@pytest.mark.parametrize("page", LESSONS, ids=lambda page: page.name)
def test_flags_in_sentences_belong_to_some_verb(page: Path):
    known = {flag for verb in verbs().values() for flag in verb._option_string_actions}
    # Some flags are of `python -m upcycle.testing serve`.
    served = {
        "--latency",
        "--failing",
        "--rate-limited",
        "--invalid",
        "--model",
    }
    prose = _FENCE.sub("", page.read_text(encoding="utf-8"))
    named = {flag for code in re.findall(r"`([^`]+)`", prose) for flag in re.findall(r"(?<![\w-])--[a-z][\w-]*", code)}
    assert named <= known | served


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_that_are_there(page: Path):
    for target in _LINK.findall(page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_lesson_is_listed_on_the_first_page():
    listed = set(_LINK.findall((ROOT / "docs" / "index.md").read_text(encoding="utf-8")))
    assert {page.name for page in LESSONS} - {"index.md"} <= listed


@pytest.mark.parametrize("page", LESSONS, ids=lambda page: page.name)
def test_a_lesson_is_short_and_has_one_title(page: Path):
    text = page.read_text(encoding="utf-8")
    assert text.count("\n") <= 130
    assert len(re.findall(r"^# ", _FENCE.sub("", text), re.MULTILINE)) == 1


def test_the_task_files_page_names_every_key():
    from upcycle.config import Datatune, Generate
    from upcycle.taskfile import TaskFile

    page = (ROOT / "docs" / "task-file.md").read_text(encoding="utf-8")
    for key in (*TaskFile.model_fields, *Datatune.model_fields, *Generate.model_fields):
        assert f"`{key}`" in page, f"{key} is not explained"


def test_the_plans_page_names_every_step():
    from upcycle.methods.datatune.plans.plan import Plan

    page = (ROOT / "docs" / "plans.md").read_text(encoding="utf-8")
    known = {
        definition["properties"]["do"]["const"]
        for definition in Plan.model_json_schema()["$defs"].values()
        if "do" in definition.get("properties", {})
    }
    assert known
    for step in known:
        assert f"`{step}`" in page, f"{step} is not explained"


def test_the_run_directorys_page_names_every_column_kind_and_table():
    from upcycle.errors import RowKind
    from upcycle.report.dataset import EXAMPLE_COLUMNS, ORIGIN_COLUMNS

    page = (ROOT / "docs" / "run-directory.md").read_text(encoding="utf-8")
    for name in (*EXAMPLE_COLUMNS, *ORIGIN_COLUMNS, *RowKind):
        assert f"`{name}`" in page, f"{name} is not explained"
