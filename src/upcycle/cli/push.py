"""Put a run's dataset on a Hub in one commit: rows, card, Croissant and report; private unless --public is given."""

from __future__ import annotations

import argparse
import sys

HELP = "put a run's dataset on a Hub"


def arguments(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("run_dir", metavar="RUN", help="the run's folder")
    verb.add_argument("repo", metavar="REPO", help="owner/name of the dataset on the Hub, or a name of your own")
    verb.add_argument("--endpoint", metavar="URL", help="address of the Hub (default: HF_ENDPOINT or huggingface.co)")
    verb.add_argument("--public", action="store_true", help="let everybody read it; refused where a licence forbids it")
    verb.add_argument("--dry-run", action="store_true", help="say what would be sent, without any network")


def run(args: argparse.Namespace) -> int:
    from upcycle.cli import console
    from upcycle.report.push import push

    if sys.stderr.isatty() and not args.dry_run:
        planned = push(args.run_dir, args.repo, endpoint=args.endpoint, public=args.public, dry_run=True)
        size = sum(part.bytes for part in planned.files)
        console.say(f"sending    {len(planned.files)} files, {size / 1e6:,.1f} MB, to {planned.url}")
    pushed = push(args.run_dir, args.repo, endpoint=args.endpoint, public=args.public, dry_run=args.dry_run)
    if args.json:
        console.print_object(pushed.facts())
    else:
        print(pushed)
    return 0
