"""To resume is to run again: what is finished is never paid again, whatever ended the process before."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from upcycle.testing import FakeServer
from whole_runs import (
    command,
    kept,
    notes_of,
    run,
    start,
    wait_for_kept,
    write_inputs,
)

ROWS = 120


def test_after_kill_9_the_same_command_completes_the_rows_each_once(tmp_path: Path):
    write_inputs(tmp_path, ROWS)
    with FakeServer(latency=0.03) as server:
        asked = command(tmp_path, server.url, ROWS, "--concurrency", "8")
        with start(asked) as process:
            wait_for_kept(process, 20)
            process.kill()
        assert process.returncode == -signal.SIGKILL
        assert server.stats()["distinct"] < ROWS
        done = run(asked)
        counted = server.stats()
    assert done.returncode == 0, done.stderr
    assert notes_of(kept(tmp_path)) == list(range(ROWS))
    assert len({row["id"] for row in kept(tmp_path)}) == ROWS
    assert counted["distinct"] == ROWS
    assert counted["paid_twice"] <= 8


def test_a_run_goes_on_with_another_concurrency(tmp_path: Path):
    write_inputs(tmp_path, ROWS)
    with FakeServer(latency=0.03) as server:
        with start(command(tmp_path, server.url, ROWS, "--concurrency", "4")) as process:
            wait_for_kept(process, 10)
            process.kill()
        done = run(command(tmp_path, server.url, ROWS, "--concurrency", "32"))
        assert server.stats()["paid_twice"] <= 4
    assert done.returncode == 0, done.stderr
    assert notes_of(kept(tmp_path)) == list(range(ROWS))


def test_ctrl_c_is_exit_code_130_and_the_run_goes_on(tmp_path: Path):
    write_inputs(tmp_path, ROWS)
    with FakeServer(latency=0.03) as server:
        asked = command(tmp_path, server.url, ROWS, "--concurrency", "8")
        with start(asked) as process:
            wait_for_kept(process, 20)
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=30)
        assert process.returncode == 130
        assert said.splitlines()[-1] == "upcycle: interrupted; the same command goes on where it stopped"
        assert "Traceback" not in said
        done = run(asked)
        assert server.stats()["paid_twice"] <= 8
    assert done.returncode == 0, done.stderr
    assert notes_of(kept(tmp_path)) == list(range(ROWS))


def test_more_rows_go_on_and_pay_only_for_those(tmp_path: Path):
    write_inputs(tmp_path, 40)
    with FakeServer() as server:
        assert run(command(tmp_path, server.url, 15)).returncode == 0
        assert server.stats()["paid"] == 15
        first = notes_of(kept(tmp_path))
        done = run(command(tmp_path, server.url, 40, "--json"))
        assert server.stats()["paid"] == 40
    assert done.returncode == 0, done.stderr
    assert set(first) < set(notes_of(kept(tmp_path)))
    assert json.loads(done.stdout)["kept"] == 40


def test_a_finished_run_asks_nothing_again_and_writes_the_same_dataset(tmp_path: Path):
    write_inputs(tmp_path, 20)
    with FakeServer() as server:
        asked = command(tmp_path, server.url, 20, "--json")
        facts = json.loads(run(asked).stdout)
        before = kept(tmp_path)
        again = json.loads(run(asked).stdout)
        assert server.stats()["requests"] == 20
    assert kept(tmp_path) == before
    assert {**again, "stages": []} == {**facts, "stages": []}
    assert (facts["kept"], facts["wanted"], facts["reached"], facts["calls"]) == (20, 20, True, 20)


def test_another_task_in_the_same_folder_is_refused_with_what_changed(tmp_path: Path):
    write_inputs(tmp_path, 20)
    with FakeServer() as server:
        assert run(command(tmp_path, server.url, 5)).returncode == 0
        before = kept(tmp_path)
        other = run(command(tmp_path, server.url, 5, instruction="Write a long title for a note"))
        assert server.stats()["requests"] == 5
    assert other.returncode == 2
    assert "made with other settings" in other.stderr
    assert "long title" in other.stderr
    assert len(other.stderr.splitlines()) == 1
    assert kept(tmp_path) == before


@pytest.mark.slow
@pytest.mark.parametrize("after", range(5, 100, 30))
def test_killed_again_and_again_it_still_ends_whole(tmp_path: Path, after: int):
    write_inputs(tmp_path, ROWS)
    with FakeServer(latency=0.02) as server:
        asked = command(tmp_path, server.url, ROWS, "--concurrency", "8")
        for count in (after // 2, after):
            with start(asked) as process:
                wait_for_kept(process, count)
                process.kill()
        assert run(asked).returncode == 0
        assert server.stats()["paid_twice"] <= 16
    assert notes_of(kept(tmp_path)) == list(range(ROWS))
