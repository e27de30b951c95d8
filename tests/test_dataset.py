import warnings
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from upcycle.config import BuildConfig
from upcycle.errors import DiskError, RowKind
from upcycle.records import Dropped, Example, Origin
from upcycle.report.card import write_card
from upcycle.report.dataset import EXAMPLE_COLUMNS, ORIGIN_COLUMNS, STAGE, write
from upcycle.report.summary import summarise
from upcycle.run import Run
from upcycle.task import make_task

TASK = make_task("Say what it is.")


def origin(n: int, **more) -> Origin:
    return Origin(
        "datatune", source="s", revision="r", config="default", split="train", record=str(n), plan="p", **more
    )


def fill(run: Run, kept: int, dropped: int = 0) -> None:
    for n in range(kept):
        example = Example(f"{n:016x}", f"in {n}", f"out {n}", origin(n, licences=("mit",)), choices=("a", f"out {n}"))
        run.journal.row(STAGE, example.id, state="kept", kind=RowKind.OK, value=example)
    for n in range(dropped):
        drop = Dropped(f"d{n}", origin(n), "curation", RowKind.CONTRACT, "too long", input="x", score=0.5, other="y")
        run.journal.row(STAGE, drop.id, state="dropped", kind=drop.kind, value=drop)
    run.journal.commit()


def finish(run: Run, rows: int, **settings):
    config = BuildConfig(rows=rows, **settings)
    written = write(run, split=config.split, seed=config.seed)
    report = summarise(TASK, config, run, written, None)
    write_card(TASK, config, run, report)
    return report


def test_the_columns_are_as_promised(tmp_path: Path):
    with Run(tmp_path / "x") as run:
        fill(run, 5, 2)
        finish(run, 5)
    data = pq.read_table(tmp_path / "x/data/train-00000-of-00001.parquet")
    assert tuple(data.column_names) == EXAMPLE_COLUMNS
    assert str(data.schema.field("choices").type).startswith("list")
    provenance = pq.read_table(tmp_path / "x/provenance/train-00000-of-00001.parquet")
    assert tuple(provenance.column_names) == ("id", *ORIGIN_COLUMNS)
    assert provenance["id"].to_pylist() == data["id"].to_pylist()
    dropped = pq.read_table(tmp_path / "x/dropped/train-00000-of-00001.parquet").to_pylist()
    assert {row["reason"] for row in dropped} == {"too long"}
    assert {row["other"] for row in dropped} == {"y"}


def test_the_order_is_shuffled_with_the_seed_and_the_same_every_time(tmp_path: Path):
    orders = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        with Run(tmp_path / name) as run:
            fill(run, 50)
            finish(run, 50, seed=seed)
        orders.append(pq.read_table(tmp_path / name / "data")["id"].to_pylist())
    assert orders[0] == orders[1] != orders[2]
    assert orders[0] != sorted(orders[0])
    assert sorted(orders[0]) == sorted(orders[2])


def test_splits_share_the_rows_and_old_files_go(tmp_path: Path):
    with Run(tmp_path / "x") as run:
        fill(run, 100)
        finish(run, 100, split={"train": 80, "validation": 10, "test": 10})
        assert {p.name.split("-")[0] for p in (run.path / "data").iterdir()} == {"train", "validation", "test"}
        report = finish(run, 100)
        assert [p.name for p in (run.path / "data").iterdir()] == ["train-00000-of-00001.parquet"]
    assert report.splits == {"train": 100}


def test_a_full_disk_leaves_the_earlier_dataset_whole(tmp_path: Path):
    import resource

    with Run(tmp_path / "x") as run:
        fill(run, 20)
        finish(run, 20)
        before = {p: p.read_bytes() for p in (run.path / "data").iterdir()}
        fill(run, 300)
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_500, hard))
        try:
            with pytest.raises(DiskError, match="free some space and run again"):
                write(run, split={"train": 1.0}, seed=0)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert {p: p.read_bytes() for p in (run.path / "data").iterdir()} == before
        assert finish(run, 300).kept == 300


def test_the_folder_loads_as_it_is(tmp_path: Path):
    datasets = pytest.importorskip("datasets")
    with Run(tmp_path / "x") as run:
        fill(run, 30, 3)
        report = finish(run, 30, split={"train": 2, "test": 1})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loaded = datasets.load_dataset(str(tmp_path / "x"), cache_dir=str(tmp_path / "cache"))
        assert {name: len(split) for name, split in loaded.items()} == {"train": 20, "test": 10}
        assert loaded["train"].column_names == list(EXAMPLE_COLUMNS)
        for config, rows in (("provenance", 20), ("dropped", 3)):
            part = datasets.load_dataset(str(tmp_path / "x"), config, cache_dir=str(tmp_path / "cache"))
            assert len(part["train"]) == rows
    assert "30 of 30 examples" in repr(report)
    assert "<table>" in report._repr_html_()
    assert len(report.to_pandas()) == 30
