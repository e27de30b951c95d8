"""What goes wrong at the server or on the disk costs time or stops the run in a sentence; it never costs rows."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import pytest

from upcycle.testing import FakeServer
from whole_runs import command, kept, notes_of, run, write_inputs


def test_a_server_that_refuses_fails_and_talks_nonsense_costs_no_row(tmp_path: Path):
    write_inputs(tmp_path, 300)
    faults = {"rate_limited": 0.05, "retry_after": 0.2, "failing": 0.05, "invalid": 0.03, "torn": 0.01}
    with FakeServer(latency=0.01, **faults) as server:
        done = run(command(tmp_path, server.url, 300))
        answers = server.stats()["statuses"]
    assert done.returncode == 0, done.stderr
    assert notes_of(kept(tmp_path)) == list(range(300))
    assert answers["429"] > 0
    assert answers["500"] > 0


def test_a_wrong_key_stops_at_once_in_the_servers_words(tmp_path: Path):
    write_inputs(tmp_path, 200)
    with FakeServer(key="right") as server:
        done = run(command(tmp_path, server.url, 200, "--concurrency", "4"), OPENAI_API_KEY="sk-wrong")
        asked = sum(server.stats()["statuses"].values())
    assert done.returncode in (1, 2)
    assert "Incorrect API key provided" in done.stderr
    assert "sk-wrong" not in done.stderr + done.stdout
    assert asked <= 4
    assert not [path for path in (tmp_path / "run").rglob("*") if path.is_file() and b"sk-wrong" in path.read_bytes()]


def test_an_unknown_model_stops_at_once_in_the_servers_words(tmp_path: Path):
    write_inputs(tmp_path, 200)
    with FakeServer() as server:
        done = run(command(tmp_path, server.url, 200, "--model", "openai/nobody", "--concurrency", "4"))
        asked = sum(server.stats()["statuses"].values())
    assert done.returncode in (1, 2)
    assert "The model `nobody` does not exist" in done.stderr
    assert asked <= 4


def test_no_server_at_the_address_is_one_sentence(tmp_path: Path):
    write_inputs(tmp_path, 20)
    with FakeServer() as server:
        gone = server.url
    done = run(command(tmp_path, gone, 20))
    assert done.returncode in (1, 2)
    assert "cannot be reached" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_server_that_goes_away_in_the_middle_stops_the_run_and_the_rest_is_paid_later(tmp_path: Path):
    write_inputs(tmp_path, 60)
    with FakeServer() as server:
        port = int(server.url.rpartition(":")[2].removesuffix("/v1"))
        assert run(command(tmp_path, server.url, 30)).returncode == 0
    asked = command(tmp_path, f"http://127.0.0.1:{port}/v1", 60)
    stopped = run(asked)
    assert stopped.returncode == 1
    assert "cannot be reached" in stopped.stderr + stopped.stdout
    assert len(kept(tmp_path)) == 30
    with FakeServer(port=port) as server:
        assert run(asked).returncode == 0
        assert server.stats()["paid"] == 30
    assert notes_of(kept(tmp_path)) == list(range(60))


@pytest.mark.parametrize("room", [100_000, 400_000])
def test_a_full_disk_is_one_sentence_and_with_more_room_the_run_goes_on(tmp_path: Path, room: int):
    write_inputs(tmp_path, 300)
    with FakeServer() as server:
        asked = command(tmp_path, server.url, 300, "--concurrency", "8")
        limits = f"import os, resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, ({room}, {room}))"
        stopped = run([sys.executable, "-c", f"{limits}; os.execv(sys.argv[1], sys.argv[1:])", *asked])
        assert stopped.returncode == 1, stopped.stderr
        assert "no room left while writing" in stopped.stderr
        assert "Traceback" not in stopped.stderr
        paid = server.stats()["paid"]
        assert paid < 300
        done = run(asked)
        assert server.stats()["paid"] <= 300 + 8
    assert done.returncode == 0, done.stderr
    assert notes_of(kept(tmp_path)) == list(range(300))
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
