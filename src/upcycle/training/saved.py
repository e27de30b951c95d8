"""A trained student in a folder: `load` opens whatever `save`, `upcycle train` or Hugging Face wrote.

The folder's `upcycle-model.json` says which kind of student lies beside it. It is written last, so a folder that has
it is a whole one. Where it is missing, the folder is read as Hugging Face's: its `config.json` names the architecture.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from upcycle.errors import ConfigError, boundary
from upcycle.training.predictor import Predictor

NAME = "upcycle-model.json"

WORK = "training"
"""Folder inside a student's folder where unfinished training lies."""

_ENDINGS = {
    "ForCausalLM": "causal",
    "LMHeadModel": "causal",
    "ForSequenceClassification": "classifier",
    "ForQuestionAnswering": "span",
}
"""What stands in the name of an architecture, and the kind of student that it is."""


def load(folder: Path | str) -> Predictor:
    """Open a trained student.

    Raises:
        ConfigError: nothing there, or nothing that is a student; a library that it needs is not installed.
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise ConfigError(f"there is no folder {str(folder)!r}; give the folder of a trained model")
    if (folder / "model" / NAME).is_file() and not (folder / NAME).is_file():
        folder = folder / "model"  # a run keeps its student in here
    match kind := str(facts_of(folder).get("kind", "")) or _architecture(folder):
        case "tfidf":
            from upcycle.training.shallow.tfidf import TextClassifier

            return TextClassifier.load(folder)
        case "tfidf-choice":
            from upcycle.training.shallow.choice import ChoiceClassifier

            return ChoiceClassifier.load(folder)
        case "tfidf-nearest":
            from upcycle.training.shallow.nearest import NearestInput

            return NearestInput.load(folder)
        case "causal":
            from upcycle.training.causal.model import CausalPredictor

            return CausalPredictor.load(folder)
        case "classifier":
            from upcycle.training.encoders.classifier import Classifier

            return Classifier.load(folder)
        case "span":
            from upcycle.training.encoders.span import SpanFinder

            return SpanFinder.load(folder)
        case _:
            raise ConfigError(f"{folder} holds a model of an unknown kind ({kind}); it was made by a newer upcycle")


def facts_of(folder: Path) -> dict[str, Any]:
    """What `write_facts` wrote into a folder; empty where it wrote nothing.

    Raises:
        ConfigError: the file is broken.
    """
    try:
        facts = orjson.loads((folder / NAME).read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, orjson.JSONDecodeError) as error:
        raise ConfigError(f"{folder / NAME} cannot be read ({error}); train again into another folder") from None
    if not isinstance(facts, dict):
        raise ConfigError(f"{folder / NAME} is not an object; train again into another folder")
    return facts


def write_facts(folder: Path, facts: Mapping[str, Any]) -> None:
    """Say what the folder holds; called last, so that its presence means the rest is there."""
    with boundary(str(folder / NAME)):
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / f"{NAME}.part"
        part.write_bytes(orjson.dumps(dict(facts), option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS))
        part.replace(folder / NAME)


def _architecture(folder: Path) -> str:
    """The kind of a folder of Hugging Face, by the architecture its config names."""
    if (folder / "adapter_config.json").is_file():
        return "causal"
    try:
        config = orjson.loads((folder / "config.json").read_bytes())
        names = " ".join(config.get("architectures") or ())
    except FileNotFoundError:
        names = ""
    except (OSError, orjson.JSONDecodeError, AttributeError) as error:
        raise ConfigError(f"{folder / 'config.json'} cannot be read ({error}); give another folder") from None
    for ending, kind in _ENDINGS.items():
        if ending in names:
            return kind
    if not names and (folder / WORK).is_dir():
        raise ConfigError(
            f"the training in {folder} is not finished; run the same `upcycle train` again, and it goes on"
        )
    what = f"holds {names}" if names else "holds no model"
    raise ConfigError(
        f"{folder} {what}; give a folder that `upcycle train` wrote, or one of a Hugging Face causal language model,"
        " sequence classifier or question answerer"
    )
