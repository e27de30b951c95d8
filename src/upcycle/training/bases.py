"""The models a student starts from: the two that are fetched by name, or any Hugging Face folder of the user's.

In: "minilm", "smollm2" or a path. Out: a folder that transformers loads with no network. The decision: the embedded
language model exists as a GGUF file only, so it is de-quantised once into the user's cache and is a normal folder from
then on (its weights carry the rounding of Q4_1).
"""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import Any

import orjson

from upcycle.cache import cache_dir
from upcycle.errors import ConfigError, boundary
from upcycle.llm import weights

_NEEDS = ("torch", "transformers", "peft", "trl", "accelerate")
_WHOLE = "smollm2-whole"
CAUSAL = ("ForCausalLM", "LMHeadModel")
"""What stands in the names of causal language models' architectures."""


def need_torch() -> None:
    """Check that the libraries of the `train` extra are there, and have torch's threads sleep while they wait.

    Raises:
        ConfigError: one of them is not.
    """
    # Read when torch is first imported. Threads that spin while they wait cost tenfold where another process is busy.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if missing := [name for name in _NEEDS if find_spec(name) is None]:
        raise ConfigError(
            f"this student needs {', '.join(missing)}; run `pip install torch 'upcycle[train]'`"
            " (student tfidf needs nothing more)"
        )


def base_folder(student: str) -> Path:
    """Where the weights of a student's base model lie.

    Raises:
        ConfigError: weights that were not fetched, a path that is no model, a library that is missing.
    """
    need_torch()
    if student in weights.WEIGHTS:
        if not weights.installed(student):
            raise ConfigError(
                f"the weights of student {student!r} are not on this machine; run `upcycle models fetch {student}`"
            )
        return _smollm2() if student == "smollm2" else weights.path(student)
    folder = Path(student).expanduser()
    if (folder / "config.json").is_file():
        return folder
    if (folder / "adapter_config.json").is_file():
        raise ConfigError(f"student {student!r} is an adapter; train it again with --merged, and start from that")
    known = ", ".join(("tfidf", *weights.WEIGHTS))
    what = "is a folder without config.json" if folder.is_dir() else "is not there"
    raise ConfigError(f"student {student!r} {what}; give {known}, or the folder of a Hugging Face model")


def is_causal(student: str) -> bool | None:
    """Whether a student's base is a causal language model; None where its folder does not say."""
    if student in ("smollm2", "minilm"):
        return student == "smollm2"
    try:
        config: Any = orjson.loads((Path(student).expanduser() / "config.json").read_bytes())
        names = " ".join(config["architectures"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return any(ending in names for ending in CAUSAL) if names else None


def _smollm2() -> Path:
    """The embedded language model as a folder of whole weights; made on first use, in about half a minute."""
    folder = cache_dir() / "models" / _WHOLE
    if (folder / "config.json").is_file():
        return folder
    file = weights.path("smollm2")
    if find_spec("gguf") is None:
        raise ConfigError("reading the embedded model needs gguf; run `pip install 'upcycle[train]'`")
    with boundary(f"the weights of {_WHOLE}"), tempfile.TemporaryDirectory(dir=folder.parent, prefix=".whole-") as new:
        _dequantise(file, Path(new) / "whole")
        try:
            (Path(new) / "whole").rename(folder)
        except OSError:
            # Another process put the same weights there meanwhile.
            if not folder.is_dir():
                raise
    return folder


def _dequantise(file: Path, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with quiet(), redirect_stderr(StringIO()):  # its bar cannot be turned off
        tokenizer: Any = AutoTokenizer.from_pretrained(str(file.parent), gguf_file=file.name)
        model = AutoModelForCausalLM.from_pretrained(str(file.parent), gguf_file=file.name, dtype=torch.float32)
        # What still says "quantised" refuses to be saved.
        if hasattr(model, "hf_quantizer"):
            del model.hf_quantizer
        del model.config.quantization_config
        tokenizer.save_pretrained(folder)
        model.save_pretrained(folder)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep these libraries' own bars, and their warnings to their own developers, off the terminal."""
    from transformers.utils import logging

    before, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"(torch|transformers|trl|peft|accelerate)\b.*")
            yield
    finally:
        logging.set_verbosity(before)
        if bars:
            logging.enable_progress_bar()
