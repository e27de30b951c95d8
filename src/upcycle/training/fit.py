"""Train a student on examples: the one door, whatever the student is made of.

In: examples, settings, a seed. Out: a `Predictor`. The kind of student comes from the examples (`kinds.py`) and the
student from the kind, unless the settings name them; heavy libraries are imported by the student that needs them.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import orjson

from upcycle.config import Training
from upcycle.errors import ConfigError, StaleRunError, boundary
from upcycle.records import Example
from upcycle.training.bases import is_causal
from upcycle.training.chains import with_chains
from upcycle.training.kinds import kind_of
from upcycle.training.predictor import Predictor, Progress, Told, silent
from upcycle.training.saved import WORK, facts_of, load, write_facts
from upcycle.training.seen import write_seen
from upcycle.training.weights import check_real, dimp_weight, own_probabilities, weights_of

_DIGEST = "digest"
_LOCK = ".training"
_TURNS = 3  # after which DIMP's weights hardly move
_STRENGTH = 10.0  # how closely TF-IDF follows the training set; the value behind the known results on IMDb


def fit(
    examples: Sequence[Example],
    settings: Training | None = None,
    *,
    validation: Sequence[Example] = (),
    real: Sequence[Example] = (),
    folder: Path | None = None,
    seed: int = 0,
    told: Told | None = None,
) -> Predictor:
    """Train.

    Args:
        validation: what early stopping and the choice among a grid look at; never trained on.
        real: labelled examples nobody made, from which the DIMP weights are learned; needed for them alone.
        folder: where the student is written, and where training that was killed goes on; None keeps it in memory.
        told: hears how it goes.

    Raises:
        ConfigError: no examples, a student that cannot learn this kind, a library that is not installed.
        StaleRunError: the folder holds another student; nothing was overwritten.
    """
    settings = settings or Training()
    told = told or silent
    if not examples:
        raise ConfigError("there are no examples to train on; give at least one")
    if settings.teach == "chain":
        examples, validation = with_chains(examples), with_chains(validation)
    kind = kind_for(settings, examples)
    if settings.teach == "chain" and kind != "text":
        raise ConfigError(f"a student of {kind}s cannot say a chain; leave out teach: chain, or take kind: text")
    student = student_of(settings, kind)
    if settings.layers is not None and (student == "tfidf" or kind == "text"):
        raise ConfigError(f"layers is for encoders, and {student} is none; leave it out, or give --student minilm")
    digest = digest_of(settings, seed, examples, validation, real)
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="upcycle-train-") as work:
            return _fit(kind, student, examples, settings, validation, real, Path(work), seed, told)
    with _held(folder):
        if (done := _finished(folder, digest)) is not None:
            told(Progress(text=f"{folder} holds this very student already; nothing was trained"))
            return done
        work = folder / WORK
        with boundary(str(folder)):
            work.mkdir(exist_ok=True)
            (work / _DIGEST).write_text(digest, encoding="utf-8")
        predictor = _fit(kind, student, examples, settings, validation, real, work, seed, told)
        predictor.save(folder)
        write_seen(folder, examples)
        write_facts(folder, {**facts_of(folder), "digest": digest, "seed": seed, "task": kind})
        shutil.rmtree(work, ignore_errors=True)
        return predictor


def _fit(
    kind: str,
    student: str,
    examples: Sequence[Example],
    settings: Training,
    validation: Sequence[Example],
    real: Sequence[Example],
    work: Path,
    seed: int,
    told: Told,
) -> Predictor:
    if student == "tfidf":
        return _fit_tfidf(examples, kind, settings, real)
    if kind == "text":
        from upcycle.training.causal.sft import fit_text

        made = fit_text(
            examples, settings, student=student, validation=validation, work=work, seed=seed, told=told
        )  # fmt: skip
        made.facts["teach"] = settings.teach
        return made
    if kind == "span":
        from upcycle.training.encoders.span import fit_spans

        return fit_spans(
            examples, settings, student=student, validation=validation, work=work, seed=seed, told=told
        )  # fmt: skip
    from upcycle.training.encoders.classifier import fit_labels

    return fit_labels(
        examples, settings, student=student, validation=validation, real=real, work=work, seed=seed, told=told
    )  # fmt: skip


def kind_for(settings: Training, examples: Sequence[Example]) -> str:
    """What is learned: the kind that is named, text where a causal language model is, else what the outputs ask for."""
    if settings.kind != "auto":
        return settings.kind
    return "text" if settings.teach == "chain" or is_causal(settings.student) else kind_of(examples)


def student_of(settings: Training, kind: str) -> str:
    """The student that is trained: the named one, else the smallest that learns this kind."""
    if settings.student != "auto":
        return settings.student
    return {"label": "tfidf", "span": "minilm", "text": "smollm2"}[kind]


def digest_of(settings: Training, seed: int, *parts: Sequence[Example]) -> str:
    """What a student is made of, as 16 hex digits: the same digest, the same student."""
    digest = hashlib.sha256(orjson.dumps([settings.model_dump(mode="json"), seed]))
    for part in parts:
        digest.update(b"\x1e")
        for one in part:
            digest.update(repr((one.input, one.output, one.choices, one.weight)).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()[:16]


def _finished(folder: Path, digest: str) -> Predictor | None:
    """The student in a folder where it is this one; None where there is none yet.

    Raises:
        StaleRunError: another student is there, or training of another began there.
        ConfigError: something else is there.
    """
    found = facts_of(folder).get("digest")
    if found == digest:
        return load(folder)
    work = folder / WORK
    if found is None and not work.is_dir() and any(path.name != _LOCK for path in folder.iterdir()):
        raise ConfigError(f"{folder} holds other files; give a folder of its own for the student")
    begun = any(work.glob("**/trainer_state.json")) or any(work.glob("**/leg.json"))
    if found is not None or (begun and (work / _DIGEST).read_text(encoding="utf-8") != digest):
        raise StaleRunError(
            f"{folder} holds a student of other examples or settings; nothing was overwritten: give another folder"
        )
    return None


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Keep other processes from training into the same folder; one that was made for nothing is taken away again.

    Raises:
        StaleRunError: another process is at it.
        ConfigError: the path cannot be a folder.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError, PermissionError) as error:
        raise ConfigError(f"{folder} cannot be made a folder ({error.strerror}); give another place") from None
    with boundary(str(folder)), (folder / _LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StaleRunError(f"another process is training into {folder}; wait for it, or give another") from None
        try:
            yield
        finally:
            (folder / _LOCK).unlink(missing_ok=True)
            work = folder / WORK
            if work.is_dir() and not any(path.is_file() and path.name != _DIGEST for path in work.glob("**/*")):
                shutil.rmtree(work, ignore_errors=True)
            if not any(folder.iterdir()):
                folder.rmdir()


def _fit_tfidf(examples: Sequence[Example], kind: str, settings: Training, real: Sequence[Example]) -> Predictor:
    from upcycle.training.shallow import tfidf

    if kind == "text" and examples and all(one.choices for one in examples):
        from upcycle.training.shallow.choice import fit_choices

        return fit_choices(examples, strength=_STRENGTH)
    if kind != "label":
        raise ConfigError(
            f"tfidf learns labels, and these outputs are {'spans' if kind == 'span' else 'texts'};"
            " name another student, or training.kind: label if they are labels after all"
        )
    inputs, outputs = [one.input for one in examples], [one.output for one in examples]
    weights = weights_of([one.weight for one in examples], settings)
    if settings.weights != "dimp":
        return tfidf.fit(inputs, outputs, strength=_STRENGTH, weights=weights)
    check_real(real)
    checker = tfidf.fit([one.input for one in real], [one.output for one in real], strength=_STRENGTH)
    likely = own_probabilities(checker, inputs, outputs)
    # The weights are the real data's probabilities over the student's own, which change as it learns.
    for _ in range(_TURNS):
        student = tfidf.fit(inputs, outputs, strength=_STRENGTH, weights=weights)
        own = own_probabilities(student, inputs, outputs)
        weights = [dimp_weight(*both) for both in zip(likely, own, strict=True)]
    return tfidf.fit(inputs, outputs, strength=_STRENGTH, weights=weights)
