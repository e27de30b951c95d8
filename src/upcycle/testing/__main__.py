"""`python -m upcycle.testing serve`: the fake server, or any embedded model behind the same wire, as a process.

Its first line is the address to give as `--base-url`. `hub DIR` serves a folder of datasets as a Hub: its first line is
what to give as HF_ENDPOINT, its second the address of its datasets server. Both run until they are interrupted.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from upcycle.errors import ConfigError, UpcycleError
from upcycle.llm.connect import choose, provider
from upcycle.testing.hub import FakeHub
from upcycle.testing.server import FakeServer
from upcycle.testing.writers import write


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve; returns the exit code."""
    given = _parser().parse_args(arguments)
    try:
        asyncio.run(_hub(given) if given.verb == "hub" else _serve(given))
    except UpcycleError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m upcycle.testing", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    hub = verbs.add_parser("hub", help="serve the folders of a folder as the datasets of a Hub, until interrupted")
    hub.add_argument("folder", metavar="DIR", type=Path)
    hub.add_argument("--host", default="127.0.0.1")
    hub.add_argument("--port", type=int, default=0, help="0 takes a free one")
    serve = verbs.add_parser("serve", help="serve until interrupted")
    serve.add_argument("--host", default="127.0.0.1")
    serve.add_argument("--port", type=int, default=0, help="0 takes a free one")
    serve.add_argument("--model", help="serve this model (embedded/NAME or a .gguf) instead of echoing")
    serve.add_argument("--questions", action="store_true", help="reply as Source2Synth's scripted writers of questions")
    serve.add_argument("--plain", action="store_true", help="of documents, only facts in set phrases are asked for")
    serve.add_argument("--latency", type=float, default=0.0, help="seconds until a reply")
    serve.add_argument("--rate-limited", type=float, default=0.0, help="share of 429")
    serve.add_argument("--retry-after", type=float, default=1.0, help="seconds a 429 asks to wait")
    serve.add_argument("--failing", type=float, default=0.0, help="share of 500")
    serve.add_argument("--invalid", type=float, default=0.0, help="share of replies that are not the JSON asked for")
    serve.add_argument("--torn", type=float, default=0.0, help="share of replies that break off")
    serve.add_argument("--key", default="", help="the key to insist on")
    serve.add_argument("--seed", type=int, default=0)
    return parser


def _stopped() -> asyncio.Event:
    stopped = asyncio.Event()
    for signum in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(signum, stopped.set)
    return stopped


async def _hub(given: argparse.Namespace) -> None:
    if not given.folder.is_dir():
        raise ConfigError(f"{given.folder} is not a folder; give one whose folders are datasets")
    hub = FakeHub(host=given.host, port=given.port)
    hub.load(given.folder)
    stopped = _stopped()
    async with hub:
        print(hub.url, hub.rows_url, sep="\n", flush=True)
        await stopped.wait()


async def _serve(given: argparse.Namespace) -> None:
    model = None
    if given.model:
        choice = await choose(given.model)
        model = provider(choice) if choice else None
    server = FakeServer(
        model.complete if model else partial(write, plain=given.plain) if given.questions else None,
        latency=given.latency,
        rate_limited=given.rate_limited,
        failing=given.failing,
        invalid=given.invalid,
        torn=given.torn,
        retry_after=given.retry_after,
        models=(model.name.partition("/")[2],) if model else ("fake",),
        key=given.key,
        seed=given.seed,
        host=given.host,
        port=given.port,
    )
    stopped = _stopped()
    async with server:
        print(server.url, flush=True)
        await stopped.wait()
    if model is not None:
        await model.close()


if __name__ == "__main__":
    sys.exit(main())
