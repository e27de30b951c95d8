"""Put a dataset on a Hub: rows, card, Croissant and report, in one commit, private unless the user says otherwise.

In: a folder in the layout that runs write, and the name of a dataset repository. Out: `Pushed`. The decision: all
that can be wrong with the folder, the name and the licences is found before anything is sent, so `--dry-run` is the
same function without its last part. `huggingface_hub` does the sending: files that are there already are not sent
again, so pushing twice, or after an interruption, costs what is missing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from upcycle.config import is_address
from upcycle.errors import ConfigError, ProviderError, StaleRunError, UpcycleError
from upcycle.report.licence import NOT_ADVICE, NOT_STATED, LicenceVerdict, judge_licences, licences_of
from upcycle.report.published import is_withheld, published
from upcycle.run.folder import is_being_written

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd, HfApi
    from huggingface_hub.hf_api import DatasetInfo

THE_HUB = "https://huggingface.co"
_FOLDERS = ("data", "provenance", "dropped")
_SINGLE = ("README.md", "croissant.json", "report.html")
_TEXTS = {"README.md", "croissant.json"}
_NAME = re.compile(r"[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9_])?", re.ASCII)


class Part(NamedTuple):
    """A file that is sent: its name in the repository and its size."""

    name: str
    bytes: int


@dataclass(frozen=True)
class Pushed:
    """What was, or would be, put on the Hub.

    Attributes:
        url: of the dataset's page; of nothing yet after a dry run.
        private: whether only its owner can read it.
        files: what the commit holds.
        removed: data files of an earlier push that are no longer part of the dataset.
        commit: id of the commit, None after a dry run.
        changed: whether the Hub did not hold exactly this already.
        licence: what holds for the rows together.
    """

    repo: str
    url: str
    private: bool
    files: Sequence[Part]
    licence: LicenceVerdict
    removed: Sequence[str] = ()
    commit: str | None = None
    changed: bool = False
    dry_run: bool = False

    def facts(self) -> dict[str, Any]:
        """Everything as plain values, for `--json`."""
        return {
            "repo": self.repo,
            "url": self.url,
            "private": self.private,
            "dry_run": self.dry_run,
            "commit": self.commit,
            "changed": self.changed,
            "files": [part._asdict() for part in self.files],
            "bytes": sum(part.bytes for part in self.files),
            "removed": list(self.removed),
            "licence": self.licence.facts(),
        }

    def __repr__(self) -> str:
        kind = "private" if self.private else "public"
        if self.dry_run:
            lines = [f"would push to {self.url} ({kind}), in one commit; nothing was sent"]
        elif self.changed:
            lines = [f"pushed to {self.url} ({kind}), commit {(self.commit or '')[:12]}"]
        else:
            lines = [f"{self.url} ({kind}) holds exactly this already, commit {(self.commit or '')[:12]}"]
        lines += [f"  {part.bytes:>12,}  {part.name}" for part in self.files]
        lines += [f"  {'removed':>12}  {name}" for name in self.removed]
        said = ", ".join(self.licence.hub) or "none of its own"
        named = f" ({self.licence.name})" if self.licence.name else ""
        lines.append(f"  licence  {said}{named}: {self.licence.reason}")
        return "\n".join([*lines, f"           {NOT_ADVICE}"])


def push(
    path: str | Path, repo: str, *, endpoint: str | None = None, public: bool = False, dry_run: bool = False
) -> Pushed:
    """Put the dataset in `path` on a Hub.

    Args:
        path: a run's folder: `README.md` and `data/*.parquet`, with whatever lies beside them.
        repo: "owner/name", or a name under the account that the token belongs to.
        endpoint: address of the Hub; HF_ENDPOINT, else huggingface.co, where not given.
        public: let everybody read it; what was dropped and the report then stay here.
        dry_run: find out everything that needs no network, and send nothing.

    Raises:
        ConfigError: not a dataset, a wrong name or address, a licence that forbids it, no token, no access.
        StaleRunError: the run is still being written.
        ProviderError: the Hub refused or could not be reached after sending had begun.
    """
    path = Path(path)
    names = [name for name in _files(path) if not (public and is_withheld(name))]
    _check_name(repo)
    address = _address(endpoint)
    licence = _licence(path)
    if public and not licence.may_publish:
        raise ConfigError(f"{path} must not be public. {licence.reason} Push it without --public")
    edited = {name: published(name, (path / name).read_bytes()) for name in _TEXTS & {*names}} if public else {}
    parts = [Part(name, len(edited[name]) if name in edited else (path / name).stat().st_size) for name in names]
    planned = Pushed(repo, f"{address}/datasets/{repo}", not public, parts, licence, dry_run=True)
    return planned if dry_run else _send(path, planned, address, edited, public=public)


def _files(path: Path) -> list[str]:
    """Names of what is sent, in the order in which it is listed."""
    if not path.is_dir():
        raise ConfigError(f"{path} is not a folder; give the folder of a run")
    if is_being_written(path):
        raise StaleRunError(f"{path} is still being written; push it when the build is done")
    rows = [file for folder in _FOLDERS for file in sorted((path / folder).glob("*.parquet"))]
    if not any(file.parent.name == "data" for file in rows):
        raise ConfigError(f"{path} holds no rows (no data/*.parquet); give the folder of a run that kept some")
    if not (path / "README.md").is_file():
        raise ConfigError(f"{path} has no README.md, so it is not whole; run the build to its end first")
    for file in rows:
        _rows_in(file)
    plans = [*sorted((path / "plans").glob("*.yaml")), *sorted((path / "plans").glob("*.md"))]
    single = [path / name for name in _SINGLE if (path / name).is_file()]
    return [file.relative_to(path).as_posix() for file in [*single, *rows, *plans]]


def _check_name(repo: str) -> None:
    parts = repo.split("/")
    wrong = (
        len(parts) > 2
        or len(repo) > 96
        or any(not _NAME.fullmatch(part) or "--" in part or ".." in part for part in parts)
        or repo.endswith(".git")
    )
    if wrong:
        raise ConfigError(
            f"{repo!r} is not a name a Hub takes; write it like owner/name, with letters, digits, '-', '_' and '.'"
        )


def _address(endpoint: str | None) -> str:
    address = (endpoint or os.environ.get("HF_ENDPOINT") or THE_HUB).rstrip("/")
    if not is_address(address):
        raise ConfigError(f"{address!r} is not an address; write it like {THE_HUB}")
    return address


def _licence(path: Path) -> LicenceVerdict:
    """The verdict of the rows; of a dataset without provenance, of what its card states."""
    if any((path / "provenance").glob("*.parquet")):
        return judge_licences(licences_of(path))
    from upcycle.sources.card import read_front_matter

    stated = read_front_matter((path / "README.md").read_text(encoding="utf-8", errors="replace")).licence
    return judge_licences({stated or NOT_STATED: sum(map(_rows_in, (path / "data").glob("*.parquet")))})


def _rows_in(file: Path) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_metadata(file).num_rows
    except (pa.ArrowInvalid, OSError) as error:
        raise ConfigError(f"{file} cannot be read ({error}); build the run again") from None


def _send(path: Path, planned: Pushed, address: str, edited: Mapping[str, bytes], *, public: bool) -> Pushed:
    """The part that needs a network and a token."""
    hub = _hub()
    token = hub.get_token()
    if not token:
        raise ConfigError("there is no token for the Hub; set HF_TOKEN, or log in with: hf auth login")
    api = hub.HfApi(endpoint=address, token=token, library_name="upcycle")
    with _quiet(), _said(planned.repo, address, token, began=False):
        repo, before = _repository(api, planned, public=public)
    kept = {part.name for part in planned.files}
    removed = sorted(name for name in _names_in(before) if name not in kept and _is_ours(name))
    with _quiet(), _said(repo, address, token, began=True), ExitStack() as open_files:
        added = [_addition(path, part.name, edited.get(part.name), address, open_files) for part in planned.files]
        commit = api.create_commit(
            repo,
            [*added, *(hub.CommitOperationDelete(name) for name in removed)],
            commit_message=f"{len(added)} files by upcycle",
            repo_type="dataset",
            parent_commit=before.sha if before else None,
        )
    return Pushed(
        repo,
        f"{address}/datasets/{repo}",
        bool(before.private) if before else not public,
        planned.files,
        planned.licence,
        removed,
        commit.oid,
        changed=before is None or commit.oid != before.sha,
    )


def _repository(api: HfApi, planned: Pushed, *, public: bool) -> tuple[str, DatasetInfo | None]:
    """The full name of the repository, and what it holds; it is made, empty, where there is none."""
    from huggingface_hub.errors import RepositoryNotFoundError

    repo = planned.repo if "/" in planned.repo else f"{api.whoami()['name']}/{planned.repo}"
    try:
        found = api.dataset_info(repo)
    except RepositoryNotFoundError:
        made = api.create_repo(repo, repo_type="dataset", private=not public, exist_ok=True)
        return made.repo_id, None
    if not found.private and not public:
        raise ConfigError(
            f"{repo} is public, and --public was not given; nothing was sent: add --public, or make it private there"
        )
    return repo, found


def _names_in(info: DatasetInfo | None) -> list[str]:
    return [sibling.rfilename for sibling in (info.siblings or ())] if info else []


def _is_ours(name: str) -> bool:
    """Whether an earlier push wrote this file and a later one may take it away."""
    folder, _, rest = name.partition("/")
    return (folder in _FOLDERS and rest.endswith(".parquet")) or (folder == "plans" and rest.endswith((".yaml", ".md")))


def _addition(path: Path, name: str, edited: bytes | None, address: str, open_files: ExitStack) -> CommitOperationAdd:
    # huggingface.co takes files by its own protocol; any other server is sent them by plain HTTP (git LFS), which
    # huggingface_hub does with files that are open.
    hub = _hub()
    if edited is not None:
        return hub.CommitOperationAdd(name, edited)
    if address == THE_HUB:
        return hub.CommitOperationAdd(name, path / name)
    return hub.CommitOperationAdd(name, open_files.enter_context((path / name).open("rb")))


def _hub() -> Any:
    try:
        import huggingface_hub
    except ImportError:
        raise ConfigError('pushing needs huggingface_hub; install it with: pip install "upcycle[hub]"') from None
    return huggingface_hub


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the library's own bars and notes; what matters is said by us."""
    import logging

    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    logger = logging.getLogger("huggingface_hub")
    level, silent = logger.level, are_progress_bars_disabled()
    logger.setLevel(logging.ERROR)
    if not silent:
        disable_progress_bars()
    try:
        yield
    finally:
        logger.setLevel(level)
        if not silent:
            enable_progress_bars()


_ADVICE: Mapping[int, str] = {
    401: "the token is not accepted (401); set HF_TOKEN to one that is valid, or log in with: hf auth login",
    403: "the token may not write there (403); use one with write access, or a name under your own account",
    404: "it is not there, or the token may not see it (404); check the name and the token's rights",
    409: "somebody changed it meanwhile (409); run the same command again",
    412: "somebody changed it meanwhile (412); run the same command again",
    429: "the server asks to slow down (429); wait a while and run the same command again",
}


@contextmanager
def _said(repo: str, address: str, token: str, *, began: bool) -> Iterator[None]:
    """Whatever the library raises, as one sentence that never holds the token."""
    from huggingface_hub import errors

    kind: type[UpcycleError] = ProviderError if began else ConfigError
    try:
        yield
    except UpcycleError:
        raise
    except (errors.HTTPError, OSError, RuntimeError, ValueError) as error:
        cause: BaseException = error
        while isinstance(cause, RuntimeError) and cause.__cause__ is not None:
            cause = cause.__cause__  # a failed upload arrives wrapped
        response = getattr(cause, "response", None)
        status = getattr(response, "status_code", None)
        if status in _ADVICE:
            why = _ADVICE[status]
        elif status is not None:
            why = f"the server answered {status} ({_short(cause)}); what was sent stays there: run the command again"
        elif isinstance(cause, errors.OfflineModeIsEnabled):
            why = "HF_HUB_OFFLINE is set, so nothing may be sent; unset it"
        elif isinstance(cause, errors.HTTPError | OSError):
            why = f"the server cannot be reached ({_short(cause)}); check the address and run the same command again"
        else:
            why = f"it was refused ({_short(cause)})"
        raise kind(f"{repo} on {address}: {why}".replace(token, "***")) from error


def _short(error: BaseException) -> str:
    message = getattr(error, "server_message", None) or str(error)
    return " ".join(message.split())[:200] or type(error).__name__
