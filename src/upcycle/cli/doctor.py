"""Check what this machine offers: Python, SQLite, extras, weights, keys (never shown), disk, cache."""

from __future__ import annotations

import argparse
from typing import Any

HELP = "check what this machine offers"

_EXTRAS = {"embedded": "xllamacpp", "embed": "wordllama", "hub": "datasets"}
_FIXED = ((3, 51, 3), (3, 50, 7), (3, 44, 6))


def arguments(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--clean", action="store_true", help="empty the cache folder (weights and indexes)")


def run(args: argparse.Namespace) -> int:
    import shutil

    from upcycle.cache import cache_dir
    from upcycle.cli import console

    if args.clean:
        shutil.rmtree(cache_dir(), ignore_errors=True)
    found = _findings()
    if args.json:
        console.print_object(found)
    else:
        for name, value in found.items():
            print(f"{name:<10} {value}")
    return 0


def _findings() -> dict[str, Any]:
    import os
    import platform
    import shutil
    import sqlite3
    from importlib.util import find_spec
    from pathlib import Path

    import upcycle
    from upcycle.cache import cache_dir
    from upcycle.llm.weights import WEIGHTS, installed

    cache = cache_dir()
    size = sum(file.stat().st_size for file in cache.rglob("*") if file.is_file()) if cache.is_dir() else 0
    keys = [name for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "OPENAI_BASE_URL") if os.environ.get(name)]
    return {
        "upcycle": upcycle.__version__,
        "python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        "sqlite": _sqlite(sqlite3.sqlite_version),
        "extras": ", ".join(f"{name} {'yes' if find_spec(module) else 'no'}" for name, module in _EXTRAS.items()),
        "weights": ", ".join(name for name in WEIGHTS if installed(name)) or "none (upcycle models fetch smollm2)",
        "set keys": ", ".join(keys) or "none",
        "disk": f"{shutil.disk_usage(Path.cwd()).free / 1e9:.1f} GB free here",
        "cache": f"{cache}, {size / 1e6:.1f} MB (--clean empties it)",
    }


def _sqlite(version: str) -> str:
    parts = tuple(int(part) for part in version.split("."))
    fine = parts >= _FIXED[0] or any(parts[:2] == fixed[:2] and parts >= fixed for fixed in _FIXED[1:])
    # Before the fix two writing connections could lose commits; upcycle keeps one, so this is a note and no warning.
    return version if fine else f"{version} (old: one writer per run, which upcycle keeps)"
