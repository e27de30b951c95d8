"""Flags that several verbs share, and how they become the arguments of the Python functions."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from upcycle.errors import ConfigError


def task_arguments(verb: argparse.ArgumentParser) -> None:
    """The task and its parts."""
    verb.add_argument("task", metavar="TASK", help='a task file (YAML or JSON), or "what the model must do"')
    verb.add_argument(
        "-e", "--examples", metavar="FILE", help="demonstrations: JSONL, JSON, CSV or TSV of input, output"
    )
    verb.add_argument("--language", metavar="CODE", help="language of the examples, e.g. en")
    verb.add_argument("--labels", metavar="A,B", help="the closed label set of the outputs")
    verb.add_argument(
        "--contract", metavar="KEY=VALUE", action="append", default=[], help="edit the contract, e.g. max_chars=200"
    )
    verb.add_argument(
        "--gold", metavar="FILE", help="labelled items kept for evaluation; rows that repeat them are dropped"
    )


def source_arguments(verb: argparse.ArgumentParser) -> None:
    """Where records may come from."""
    verb.add_argument(
        "--source", metavar="DIR|hub|stdlib", action="append", default=[],
        help="a dataset, a folder of datasets, hub, hub:OWNER/NAME, stdlib or python:NAME; may be repeated"
        " (default: stdlib)",
    )  # fmt: skip
    verb.add_argument("--licence", choices=("permissive", "any"), help="which licences sources may have (default: any)")


def build_arguments(verb: argparse.ArgumentParser) -> None:
    """Everything that decides a build."""
    task_arguments(verb)
    source_arguments(verb)
    verb.add_argument(
        "-n", "--rows", type=int, metavar="N", help="examples to keep, all splits together (default: 3000)"
    )
    verb.add_argument("-o", "--out", metavar="DIR", help="the run's folder (default: runs/<task name>)")
    model_arguments(verb)
    verb.add_argument("--budget", metavar="LIMIT", help="the most to spend: 5usd, 200ktok, 1000calls")
    verb.add_argument("--prices", metavar="FILE", help="a prices.yaml for models nobody lists")
    verb.add_argument("--concurrency", "--workers", type=int, metavar="N", help="most calls in flight (default: 32)")
    verb.add_argument("--rpm", type=int, metavar="N", help="most requests a minute")
    verb.add_argument("--tpm", type=int, metavar="N", help="most tokens a minute")
    verb.add_argument("--seed", type=int, metavar="N", help="random seed (default: 0)")
    verb.add_argument("--split", metavar="SHARES", help="e.g. train=90,validation=10 (default: all train)")
    verb.add_argument(
        "--method", metavar="NAMES", help="datatune, generate, source2synth, s3, joined by commas (default: datatune)"
    )
    verb.add_argument(
        "--mix", metavar="SHARES", help="shares of the methods, in their order (default: alike), e.g. 50:50"
    )
    verb.add_argument(
        "--application", metavar="NAME", help="what source2synth grounds: tables, documents, or a recipe's file"
    )
    verb.add_argument(
        "--intermediate", choices=("trained", "served", "none"),
        help="source2synth: who answers the second half: a model trained on the first (default), the served one, or"
        " nobody",
    )  # fmt: skip
    s3_arguments(verb)
    verb.add_argument("--plan", metavar="FILE", help="use this plan as it is instead of searching and planning")
    verb.add_argument("--max-sources", type=int, metavar="N", help="most sources used")
    verb.add_argument(
        "--max-share", type=float, metavar="X", help="most of the dataset one source may give while others can (0 to 1)"
    )
    verb.add_argument("--batch", type=int, metavar="N", help="most records in one call (default: 64; 1 if embedded)")
    verb.add_argument("-y", "--yes", action="store_true", help="do not ask before a paid model is used")


def s3_arguments(verb: argparse.ArgumentParser) -> None:
    """The switches of S3's ablations."""
    verb.add_argument("--preset", choices=("imdb", "qnli", "rte", "adqa"), help="s3: the paper's settings of a task")
    verb.add_argument("--rounds", type=int, metavar="N", help="s3: most rounds of mining errors (default: 2)")
    verb.add_argument(
        "--extrapolate", choices=("errors", "patterns", "random", "gold", "off"),
        help="s3: what rows are written from (default: errors); gold is GoldGen, off ZeroGen",
    )  # fmt: skip
    verb.add_argument(
        "--rationales", metavar="N|off", help="s3: reasons each row of the first set is given (default: 3)"
    )
    verb.add_argument("--reset", choices=("on", "off"), help="s3: train the student anew each round (default: on)")
    verb.add_argument(
        "--student", metavar="NAME",
        help="s3: the small model: tfidf (default for labels), minilm, smollm2, a Hugging Face folder, or served: the"
        " judge, shown rows",
    )  # fmt: skip


def model_arguments(verb: argparse.ArgumentParser) -> None:
    """Which model."""
    verb.add_argument(
        "--model", metavar="M", help="openai/NAME, anthropic/NAME, embedded/NAME, a path to a .gguf, or none"
    )
    verb.add_argument("--base-url", metavar="URL", help="address of an OpenAI-compatible server")


def columns_argument(verb: argparse.ArgumentParser) -> None:
    """Which columns of a dataset are what, where their names do not say it."""
    verb.add_argument(
        "--columns", metavar="ROLE=NAME", help="columns, e.g. input=question,output=answer; input=a+b joins two"
    )


def columns_of(text: str | None) -> dict[str, str] | None:
    """Role to column behind `--columns`; None where it was not given."""
    if text is None:
        return None
    columns: dict[str, str] = {}
    for pair in text.split(","):
        role, found, name = pair.partition("=")
        if not found or not name.strip():
            raise ConfigError(f"--columns {text!r} is not like input=question,output=answer")
        columns[role.strip()] = name.strip()
    return columns


def build_settings(args: argparse.Namespace) -> dict[str, Any]:
    """The keyword arguments of `upcycle.build` behind parsed flags."""
    settings: dict[str, Any] = {
        key: getattr(args, key) for key in ("rows", "licence", "budget", "prices", "concurrency", "rpm", "tpm", "seed")
    }
    settings["sources"] = tuple(args.source) or None
    if args.model or args.base_url:
        name = dict.fromkeys(("planner", "executor", "judge"), args.model) if args.model else {}
        settings["model"] = {**name, **({"base_url": args.base_url} if args.base_url else {})}
    if args.split:
        settings["split"] = _shares(args.split)
    settings["methods"] = _methods(args)
    if args.student not in (None, "served"):
        settings["training"] = {"student": args.student}
    return {key: value for key, value in {**settings, **task_settings(args)}.items() if value is not None}


def task_settings(args: argparse.Namespace) -> dict[str, Any]:
    """The keyword arguments that say what the task is."""
    contract: dict[str, Any] = {}
    for pair in args.contract:
        key, found, value = pair.partition("=")
        if not found:
            raise ConfigError(f"--contract {pair!r} is not KEY=VALUE, e.g. max_chars=200")
        contract[key.strip()] = value.strip()
    if args.labels:
        contract["labels"] = [label.strip() for label in args.labels.split(",") if label.strip()]
    return {"examples": args.examples, "language": args.language, "gold": args.gold, "contract": contract or None}


def _methods(args: argparse.Namespace) -> dict[str, Any] | None:
    """The methods' settings behind `--method`, `--mix` and the methods' own flags; None where none of them is given."""
    datatune = {key: getattr(args, key) for key in ("plan", "max_sources", "max_share", "batch")}
    datatune = {key: value for key, value in datatune.items() if value is not None}
    if args.mix is not None and args.method is None:
        raise ConfigError("--mix needs the methods it is of; give --method datatune,generate too")
    grounding = {key: value for key in ("application", "intermediate") if (value := getattr(args, key)) is not None}
    extrapolating = _s3(args)
    named = set((args.method or "").split(","))
    if args.method is None and (grounding or extrapolating):
        named = _methods_of_file(args.task)
    for method, flags in (("source2synth", grounding), ("s3", extrapolating)):
        if flags and method not in named:
            raise ConfigError(f"--{min(flags)} is a setting of {method}; give --method {method} too")
    if args.method is None:
        flags = {"datatune": datatune, "source2synth": grounding, "s3": extrapolating}
        return {method: given for method, given in flags.items() if given} or None
    names = _method_names(args.method)
    if datatune and "datatune" not in names:
        flag = "--" + min(datatune).replace("_", "-")
        raise ConfigError(f"{flag} is a setting of datatune, which --method leaves out")
    shares = _mix(args.mix, names) if args.mix is not None else [None] * len(names)
    methods: dict[str, Any] = {name: {} if share is None else {"share": share}
                               for name, share in zip(names, shares, strict=True)}  # fmt: skip
    if "datatune" in methods:
        methods["datatune"] |= datatune
    if "source2synth" in methods:
        methods["source2synth"] |= grounding
    if "s3" in methods:
        methods["s3"] |= extrapolating
    return {**dict.fromkeys(METHODS), **methods}


def _methods_of_file(task: str) -> set[str]:
    """The methods that the task's file names; none where the task is a sentence."""
    from upcycle.api import is_task_file
    from upcycle.taskfile import load_task_file

    if not is_task_file(task):
        return set()
    _, settings = load_task_file(Path(task))
    return {name for name, given in (settings.get("methods") or {}).items() if given is not None}


def _s3(args: argparse.Namespace) -> dict[str, Any]:
    """The settings of S3 behind its flags."""
    given = {key: getattr(args, key) for key in ("preset", "rounds", "extrapolate", "rationales", "reset")}
    given = {key: value for key, value in given.items() if value is not None}
    if "reset" in given:
        given["reset"] = given["reset"] == "on"
    if "rationales" in given:
        text = given["rationales"]
        if text not in ("on", "off") and not text.isdecimal():
            raise ConfigError(f"--rationales {text!r} is neither a number nor off")
        given["rationales"] = int(text) if text.isdecimal() else text == "on"
    if args.student is not None:
        given["student"] = "served" if args.student == "served" else "trained"
    return given


METHODS = ("datatune", "generate", "source2synth", "s3")


def _method_names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in METHODS:
            raise ConfigError(f"method {name!r} is not there; known methods: {', '.join(METHODS)}")
        if names.count(name) > 1:
            raise ConfigError(f"--method names {name} twice")
    return names


def _mix(text: str, names: list[str]) -> list[float]:
    try:
        shares = [float(part) for part in text.split(":")]
    except ValueError:
        shares = []
    if len(shares) != len(names) or not all(0 < share < float("inf") for share in shares):
        given = ":".join(["50"] * len(names))
        raise ConfigError(
            f"--mix {text!r} is not one share above 0 for each of {', '.join(names)}; write it like {given}"
        )
    return shares


def _shares(text: str) -> dict[str, float]:
    shares: dict[str, float] = {}
    for part in text.split(","):
        name, found, share = part.partition("=")
        try:
            shares[name.strip()] = float(share)
        except ValueError:
            found = ""
        if not found:
            raise ConfigError(f"--split {text!r} is not like train=90,validation=10")
    return shares
