"""Train a student on a dataset. Run again on the same folder, it goes on where it stopped.

Where no student is named, labels are learned by TF-IDF, spans by an encoder, and texts by a language model with LoRA;
all but TF-IDF need the extra `train`.
"""

from __future__ import annotations

import argparse

from upcycle.cli.options import columns_of

HELP = "train a small model on a dataset"


def arguments(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("dataset", metavar="DATASET", help="a run, a dataset's folder or a file; PATH:SPLIT is one split")
    verb.add_argument(
        "-o", "--out", metavar="DIR", help="the student's folder (default: RUN/model, or runs/NAME-model)"
    )
    verb.add_argument(
        "--student",
        metavar="S",
        help="tfidf, minilm, smollm2, or a Hugging Face folder (default: by kind)",
    )
    verb.add_argument(
        "--kind", choices=("label", "span", "text"), help="what it learns to say (default: as the outputs are)"
    )
    verb.add_argument("--epochs", type=float, metavar="N", help="passes over the examples (default: 3)")
    verb.add_argument(
        "--rate", type=float, action="append", metavar="X", help="learning rate; several are tried on validation"
    )
    verb.add_argument(
        "--alpha", type=int, action="append", metavar="N", help="of LoRA (default: 16); several are tried likewise"
    )
    verb.add_argument("--rank", type=int, metavar="N", help="of LoRA (default: 8)")
    verb.add_argument("--grid", action="store_true", help="try rates 5e-5 and 1e-4 with alphas 16 and 24")
    verb.add_argument("--batch", type=int, metavar="N", help="examples a step (default: 8, encoders 16)")
    verb.add_argument("--max-tokens", type=int, metavar="N", help="longest example (default: what it can read)")
    verb.add_argument("--layers", type=int, metavar="N", help="last layers of an encoder that learn (default: all)")
    verb.add_argument("--patience", type=int, metavar="N", help="epochs without gain before it stops (default: 2)")
    verb.add_argument("--gold", metavar="FILE", help="evaluation items; examples that repeat one are left out")
    verb.add_argument(
        "--weights", choices=("given", "none", "dimp"),
        help="how much each example counts: as its row says, all alike, or the DIMP loss with --real",
    )  # fmt: skip
    verb.add_argument(
        "--teach", choices=("answer", "chain"),
        help="what it is taught: each row's output (default), or its rationale and then the output",
    )  # fmt: skip
    verb.add_argument("--real", metavar="FILE", help="real examples that the DIMP weights are learned from")
    verb.add_argument("--merged", action="store_true", help="write whole weights, not an adapter beside its base")
    verb.add_argument(
        "--columns", metavar="ROLE=NAME", help="columns, e.g. input=question,output=answer; input=a+b joins two"
    )
    verb.add_argument("--seed", type=int, metavar="N", help="random seed (default: the run's, else 0)")


def run(args: argparse.Namespace) -> int:
    from upcycle import api
    from upcycle.cli import console
    from upcycle.cli.working import at_once

    names = ("student", "kind", "epochs", "rank", "batch", "max_tokens", "layers", "patience", "weights", "teach")
    settings = {name: value for name in names if (value := getattr(args, name)) is not None}
    settings |= {name: tuple(value) for name, value in (("learning_rates", args.rate), ("alphas", args.alpha)) if value}
    settings |= {name: True for name in ("grid", "merged") if getattr(args, name)}
    with console.events(args) as listener:
        report = at_once(api.train(
            args.dataset, out=args.out, gold=args.gold, real=args.real, columns=columns_of(args.columns),
            seed=args.seed, listener=listener, **settings,
        ))  # fmt: skip
    if args.json:
        console.print_object(report.facts())
    else:
        print(report)
    return 0
