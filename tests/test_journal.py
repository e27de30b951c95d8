import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from upcycle.errors import ConfigError, DiskError, StaleRunError
from upcycle.run import Journal, Run
from upcycle.run.journal import connect

KEY = b"k" * 32


async def begin(journal: Journal, key: bytes = KEY, *, micro: int = 7, tokens: int = 11) -> None:
    await journal.begin(key, stage="s", model="m", request=b"{}", held_micro=micro, held_tokens=tokens)


async def test_a_finished_call_is_answered_after_reopening(tmp_path: Path):
    journal = Journal(tmp_path / "run.db")
    await begin(journal)
    journal.finish(KEY, response=b"hello", usage=(3, 2, 1), cost_micro=5, attempts=1)
    journal.close()
    journal = Journal(tmp_path / "run.db")
    assert journal.finished(KEY) == (b"hello", (3, 2, 1), 5)
    assert journal.spent() == (5, 5, 1)
    journal.close()


async def test_a_call_in_flight_at_a_kill_counts_at_its_bound_and_is_owed(tmp_path: Path):
    journal = Journal(tmp_path / "run.db")
    await begin(journal)
    reader = Journal(tmp_path / "copy.db")
    reader.close()
    # The begin is on disk before the request is sent: a second connection sees it.
    with connect(tmp_path / "run.db", read_only=True) as seen:
        assert seen.execute("SELECT state, held_micro FROM calls").fetchall() == [("in-flight", 7)]
    seen.close()
    journal.close()
    journal = Journal(tmp_path / "run.db")
    assert journal.finished(KEY) is None
    assert journal.spent()[:2] == (7, 11)
    await begin(journal)
    journal.finish(KEY, response=b"x", usage=(1, 1, 0), cost_micro=2, attempts=1)
    assert journal.spent()[:2] == (9, 13), "the lost attempt stays spent beside the new one"
    journal.close()


async def test_a_failed_call_is_not_answered_from_the_journal(tmp_path: Path):
    journal = Journal(tmp_path / "run.db")
    await begin(journal)
    journal.fail(KEY, error="no", cost_micro=1, tokens=2, attempts=3)
    assert journal.finished(KEY) is None
    assert journal.spent() == (1, 2, 3)
    journal.close()


async def test_many_calls_of_one_turn_are_committed_together_and_all_awaited(tmp_path: Path):
    journal = Journal(tmp_path / "run.db")
    keys = [bytes([n]) * 32 for n in range(200)]
    await asyncio.gather(*(begin(journal, key) for key in keys))
    with connect(tmp_path / "run.db", read_only=True) as seen:
        assert seen.execute("SELECT count(*) FROM calls").fetchone() == (200,)
    seen.close()
    journal.close()


async def test_one_cancelled_call_does_not_cancel_the_others(tmp_path: Path):
    journal = Journal(tmp_path / "run.db")
    tasks = [asyncio.ensure_future(begin(journal, bytes([n]) * 32)) for n in range(3)]
    await asyncio.sleep(0)
    tasks[1].cancel()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in done] == [type(None), asyncio.CancelledError, type(None)]
    journal.close()


def test_a_journal_of_another_release_is_refused_in_a_sentence(tmp_path: Path):
    journal = Journal(tmp_path / "run.db")
    journal.set_meta("schema_version", "999")
    journal.close()
    with pytest.raises(StaleRunError, match="written by another release"):
        Journal(tmp_path / "run.db")


def test_a_run_made_with_other_settings_is_refused_with_what_changed(tmp_path: Path):
    with Run.open(tmp_path / "x", {"task": {"instruction": "a"}, "seed": 0}) as run:
        run.journal.row("transform", "first", state="kept", kind="ok", value={"a": 1})
    with pytest.raises(StaleRunError, match=r"seed: 0 -> 1; task.instruction: a -> b"):
        Run.open(tmp_path / "x", {"task": {"instruction": "b"}, "seed": 1})
    Run.open(tmp_path / "x", {"task": {"instruction": "a"}, "seed": 0}).close()


def test_a_run_in_which_nothing_was_made_takes_other_settings(tmp_path: Path):
    Run.open(tmp_path / "x", {"sources": ["tpyo"]}).close()
    with Run.open(tmp_path / "x", {"sources": ["typo"]}) as run:
        run.journal.row("transform", "first", state="kept", kind="ok", value={"a": 1})
    with pytest.raises(StaleRunError, match="tpyo"):
        Run.open(tmp_path / "x", {"sources": ["tpyo"]})


def test_a_folder_that_is_no_run_is_not_written_into(tmp_path: Path):
    (tmp_path / "thesis.doc").write_text("precious")
    with pytest.raises(ConfigError, match="is not a run"):
        Run.open(tmp_path, {})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["thesis.doc"]


def test_two_processes_do_not_write_one_run(tmp_path: Path):
    with Run(tmp_path / "x"):
        code = f"from pathlib import Path; from upcycle.run import Run; Run(Path({str(tmp_path / 'x')!r}))"
        other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert f"being written by process {os.getpid()}" in other.stderr


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path):
    code = (
        "import time; from pathlib import Path; from upcycle.run import Run;"
        f" run = Run(Path({str(tmp_path / 'x')!r})); print('open', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        process.send_signal(signal.SIGKILL)
        process.wait()
    Run(tmp_path / "x").close()


def test_a_full_disk_is_one_sentence_and_what_was_committed_stays(tmp_path: Path):
    code = f"""
import resource
from pathlib import Path
from upcycle.errors import DiskError
from upcycle.run import Run
run = Run(Path({str(tmp_path / "x")!r}))
run.journal.row("transform", "first", state="kept", kind="ok", value={{"a": 1}})
run.journal.commit()
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))
try:
    for n in range(10_000):
        run.journal.row("transform", str(n), state="kept", kind="ok", value="x" * 1000)
except DiskError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("no room left while writing the journal")
    with Run(tmp_path / "x") as run:
        assert "first" in run.journal.row_names("transform", "kept")


def test_disk_errors_are_one_kind():
    assert DiskError.exit_code == 1


async def test_replies_are_on_disk_before_the_next_request_is_sent(tmp_path: Path):
    journal = Journal(tmp_path / "run.db")
    await begin(journal)
    journal.finish(KEY, response=b"x", usage=(1, 1, 0), cost_micro=2, attempts=1)
    await begin(journal, b"l" * 32)
    with connect(tmp_path / "run.db", read_only=True) as seen:
        states = seen.execute("SELECT state FROM calls ORDER BY key").fetchall()
    assert states == [("done",), ("in-flight",)]
    seen.close()
    journal.close()


async def test_a_reply_no_request_follows_is_on_disk_soon(tmp_path: Path):
    journal = Journal(tmp_path / "run.db")
    await begin(journal)
    journal.finish(KEY, response=b"x", usage=(1, 1, 0), cost_micro=2, attempts=1)
    with connect(tmp_path / "run.db", read_only=True) as seen:
        while seen.execute("SELECT state FROM calls").fetchall() != [("done",)]:  # noqa: ASYNC110 - another connection is what is waited for
            await asyncio.sleep(0.001)
    seen.close()
    journal.close()
