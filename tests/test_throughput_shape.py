"""What makes a build fast, held without a clock: as many requests as rows, all slots in use, little loaded."""

from __future__ import annotations

import sys
from pathlib import Path

from upcycle.testing import FakeServer
from whole_runs import command, kept, run, write_inputs


def test_one_call_a_row_is_one_request_a_row_and_every_slot_is_used(tmp_path: Path):
    write_inputs(tmp_path, 200)
    with FakeServer(latency=0.05) as server:
        done = run(command(tmp_path, server.url, 150, "--concurrency", "32"))
        counted = server.stats()
    assert done.returncode == 0, done.stderr
    assert len(kept(tmp_path)) == 150
    assert (counted["requests"], counted["distinct"], counted["peak_in_flight"]) == (150, 150, 32)


def test_a_build_at_a_server_of_this_machine_loads_nothing_it_does_not_use(tmp_path: Path):
    write_inputs(tmp_path, 3)
    unwanted = (
        "pandas",
        "datasets",
        "torch",
        "genai_prices",
        "tantivy",
        "py3langid",
        "rich",
        "upcycle.sources.catalog",
    )
    code = (
        "import sys; from upcycle.cli import main; code = main(sys.argv[1:]);"
        f" print('loaded', *(name for name in {unwanted!r} if name in sys.modules)); sys.exit(code)"
    )
    with FakeServer() as server:
        _, *flags = command(tmp_path, server.url, 3)
        done = run([sys.executable, "-c", code, *flags])
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "loaded"
