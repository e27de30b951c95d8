"""How a task's dataset is to be made: one small frozen section per stage.

Every value has a default, the resolved values are written into the run, and a run is continued only under the same ones
(`BuildConfig.identity`). The file that people write them in is `taskfile.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from upcycle.budget import Budget
from upcycle.errors import ConfigError


def is_address(url: str) -> bool:
    """Whether this is the address of a server: http or https, a host, a port that can be."""
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _address(url: str) -> str:
    if not is_address(url):
        raise ValueError(f"{url!r} is not an address; write it like http://localhost:8000/v1")
    return url


Address = Annotated[str, AfterValidator(_address)]


def _named(source: str) -> str:
    if not source.strip():  # a path that says nothing would be the whole working folder
        raise ValueError("a source is an empty text; name a folder or a file (. is the working folder)")
    return source


SourceName = Annotated[str, AfterValidator(_named)]


class Section(BaseModel):
    """Settings that stand together; what it does not know is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class Models(Section):
    """Which model does what; one name serves all three unless they are given apart."""

    planner: str | None = None
    """Reranks sources and writes plans."""
    executor: str | None = None
    """Writes fields of rows."""
    judge: str | None = None
    """Grades."""
    base_url: Address | None = None
    """Address of an OpenAI-compatible server."""


class Datatune(Section):
    """Settings of the datatune method (arXiv 2404.14361)."""

    share: float = Field(100, gt=0, description="Weight beside other methods.")
    candidates: int = Field(25, ge=1, description="Sources shown to the reranker.")
    votes: int = Field(3, ge=1, description="How often the reranker is asked; once an embedded one.")
    max_sources: int = Field(8, ge=1, description="Most sources opened.")
    max_share: float = Field(1.0, gt=0, le=1, description="Most of the dataset one source may give while others can.")
    pilot_records: int = Field(8, ge=1, description="Records a plan is tried on before it runs.")
    drafts: int = Field(3, ge=1, le=9, description="Plans the planner writes for a source; they vote on each other.")
    batch: int | None = Field(None, ge=1, le=64, description="Most records in one call: 64; 1 for an embedded model.")
    judge: bool = Field(False, description="Have the judge read what each source's pilot made.")
    fallback: bool = Field(True, description="Let the model execute the plan on records its program fails on.")
    min_yield: float = Field(0.2, ge=0, le=1, description="Kept share below which a source is dropped.")
    plan: str | None = Field(None, description="A plan file to use as it is, instead of planning.")


class Generate(Section):
    """Settings of plain generation: a model writes examples from nothing."""

    share: float = Field(100, gt=0, description="Weight beside other methods.")
    topics: int = Field(40, ge=0, le=200, description="Topics the planner names; 0 for none.")
    attributes: dict[str, tuple[str, ...]] = Field(
        default_factory=dict, description="Axes of your own, or in place of topic, style, length, difficulty."
    )
    labels: dict[str, Annotated[float, Field(gt=0)]] = Field(
        default_factory=dict, description="Shares of the outputs, where they form a closed set; else all alike."
    )
    per_call: int = Field(5, ge=1, le=20, description="Examples asked for in one call.")
    temperature: float = Field(1.0, gt=0, le=2, description="Of every call; it does not change.")
    avoid: int = Field(1200, ge=0, le=20_000, description="Characters of earlier inputs a prompt shows.")
    window: int = Field(60, ge=10, le=10_000, description="Rows over which the yield of new examples is judged.")
    min_new: float = Field(0.2, ge=0, le=1, description="Share of new examples in the window below which it stops.")


class Source2Synth(Section):
    """Settings of Source2Synth (arXiv 2409.08239): grounded questions, kept if a model trained on half can answer."""

    share: float = Field(100, gt=0, description="Weight beside other methods.")
    application: str = Field("tables", description="tables, documents, or the path of a recipe.")
    source: tuple[str, ...] | str | None = Field(None, description="Tables or documents, where not `sources`.")
    per_unit: int = Field(4, ge=1, le=200, description="Most examples made of one table or document.")
    kinds: dict[str, Annotated[float, Field(gt=0)]] = Field(
        default_factory=dict, description="Weights of the question types, e.g. {bridge: 70, comparison: 30}."
    )
    hops: int = Field(2, ge=2, le=4, description="Documents a question needs.")
    slice: int | None = Field(None, ge=1, description="Examples in each slice; else as many as the rows asked for.")
    intermediate: Literal["trained", "served", "none"] = Field(
        "trained", description="Who answers slice 1: a model trained on slice 0, the served model shown it, or nobody."
    )
    student: str | None = Field(None, description="What is trained on slice 0, where not the training section's.")
    book: Literal["open", "closed"] = Field("open", description="Whether inputs show the table or documents.")
    tries: int = Field(3, ge=1, le=20, description="Answers asked for; one that is right keeps the example.")
    temperature: float = Field(0.7, ge=0, le=2, description="Of those tries.")
    teach: Literal["answer", "chain"] = Field("chain", description="What models are taught to say.")
    impute: Literal["off", "after", "before"] = "after"
    """Whether the intermediate model rebuilds a part of an example, where one can be; after or before the filter."""
    easy: float = Field(1.0, ge=0, le=1, description="Share kept of what every try got right.")
    shots: int = Field(5, ge=0, le=50, description="Of slice 0, in the prompt of a served intermediate model.")
    compare: bool = Field(
        False, description="Also train on what the filter kept and on as many at random, and score both on the gold."
    )
    slice_0: bool = Field(False, description="Whether the final set holds slice 0 too.")
    topic_prompt: str | None = Field(None, description="A Markdown file in place of the application's own.")
    construction_prompt: str | None = Field(None, description="A Markdown file in place of the application's own.")
    probe: bool = Field(True, description="Ask the model each question from less than it needs; drop what it answers.")

    @field_validator("source")
    @classmethod
    def _says_something(cls, value: tuple[str, ...] | str | None) -> tuple[str, ...] | str | None:
        for one in [value] if isinstance(value, str) else value or ():
            _named(one)
        return value


class S3(Section):
    """Settings of S3 (arXiv 2310.13671): a student is trained, and more is written of what it gets wrong on gold."""

    share: float = Field(100, gt=0, description="Weight beside other methods, whose rows are then the first set.")
    preset: Literal["imdb", "qnli", "rte", "adqa"] | None = Field(None, description="The paper's settings of a task.")
    plain: bool = Field(False, description="As published: no gate, balance, cleaning, floor, nor audit of errors.")
    rationales: int = Field(3, ge=0, le=20, description="Reasons for its label that each first row is given; 0: off.")
    extrapolate: Literal["errors", "patterns", "random", "gold", "off"] = Field(
        "errors", description="What rows are written from: errors, patterns of them, random or any gold; off: none."
    )
    rounds: int = Field(2, ge=1, le=20, description="Most rounds; each is kept only if it helps.")
    reset: bool = Field(True, description="Train the student anew each round, not on from the round before.")
    student: Literal["trained", "served"] = Field(
        "trained", description="What errors are mined of: a small model, or the judge shown the rows most alike."
    )
    first: float = Field(0.67, gt=0, lt=1, description="Share of the rows that the first set is.")
    per_error: int | None = Field(None, ge=1, le=100, description="Rows of each error; else what rows leave room for.")
    gold: dict[Literal["mine", "select", "test"], Annotated[float, Field(ge=0)]] = Field(
        default_factory=lambda: {"mine": 0.5, "select": 0.25, "test": 0.25}, description="Shares of the gold."
    )
    gate: Literal["helps", "surely", "off"] = Field("helps", description="When a round is kept, by the select part.")
    balance: Literal["even", "gold", "off"] = Field("even", description="Which shares labels are written in.")
    controls: tuple[Literal["seed", "random", "gold"], ...] = Field(
        (), description="Sets of equal size to write for comparison only; what they cost is paid."
    )
    meanings: dict[str, str] = Field(default_factory=dict, description="Label to what it means, in words.")
    what: str | None = Field(None, description="What an input is, in words, e.g. a film review.")
    write: str | None = Field(None, description="Which named part of an input is written; the last one else.")
    temperature: float = Field(0.9, ge=0, le=2, description="Of every row written.")

    @field_validator("rationales", mode="before")
    @classmethod
    def _on_or_off(cls, value: Any) -> Any:
        words = {True: 3, False: 0, "on": 3, "off": 0}
        return words.get(value, value) if isinstance(value, bool | str) else value

    @field_validator("extrapolate", "gate", "balance", mode="before")
    @classmethod
    def _off(cls, value: Any) -> Any:
        return "off" if value is False else value  # which is how YAML reads an unquoted off

    @field_validator("gold")
    @classmethod
    def _all_parts(cls, value: dict[str, float]) -> dict[str, float]:
        if value.get("mine", 0) <= 0 or value.get("select", 0) <= 0:
            raise ValueError("the gold needs a share above 0 for mine and for select")
        return value


class Methods(Section):
    """The methods a dataset is made with; where any is named, only those."""

    datatune: Datatune | None = Datatune()
    generate: Generate | None = None
    source2synth: Source2Synth | None = None
    s3: S3 | None = None

    @model_validator(mode="before")
    @classmethod
    def _only_those_named(cls, value: Any) -> Any:
        if not isinstance(value, Mapping) or not value:
            return value
        return {"datatune": None, **value}

    @model_validator(mode="after")
    def _at_least_one(self) -> Self:
        if not self.named():
            raise ValueError(f"name a method; known methods: {', '.join(Methods.model_fields)}")
        return self

    def named(self) -> dict[str, Datatune | Generate | Source2Synth | S3]:
        """The methods in use, in the order of the fields, with their settings."""
        found = {name: getattr(self, name) for name in Methods.model_fields}
        return {name: settings for name, settings in found.items() if settings is not None}


def _known_splits(value: dict[str, float]) -> dict[str, float]:
    if set(value) - {"train", "validation", "test"} or "train" not in value:
        raise ValueError("split names train, and may name validation and test")
    if any(share <= 0 for share in value.values()):
        raise ValueError("every split needs a share above 0")
    return value


Split = Annotated[dict[str, float], AfterValidator(_known_splits)]
"""Split to share of the rows."""

Licence = Literal["permissive", "any"]

_TRAINING_METHODS = {"source2synth", "s3"}
"""Methods that train a student on the way, so that its settings decide which rows come out."""


class Curation(Section):
    """Which checks judge an example, and how strictly. What is off says nothing; everything dropped has its reason."""

    language: bool = Field(True, description="Drop rows surely in another language than the demonstrations.")
    demonstrations: bool = Field(True, description="Drop copies and near-copies of demonstrations.")
    duplicates: Literal["off", "exact", "near", "semantic"] | None = None
    """How much alike two rows are of which one is dropped; not given: near where a model writes rows, else exact."""
    near: float = Field(0.8, gt=0, le=1, description="Shared wording from which on two rows are near-duplicates.")
    semantic: float = Field(0.95, gt=0, le=1, description="Cosine from which on two rows say the same.")
    contamination: tuple[Literal["exact", "overlap", "semantic"], ...] | None = None
    """How gold is looked for; not given: by exact and overlap, and where a model writes rows and MiniLM is fetched by
    semantic (paraphrases, some 15 ms a row), too."""
    label_share: float | None = Field(None, gt=0, le=1, description="Most of the rows one label may have.")


class Training(Section):
    """How a student is trained; the defaults are the paper's (DataTune, LoRA)."""

    student: str = Field("auto", min_length=1, description="tfidf, minilm, smollm2, or a Hugging Face folder.")
    kind: Literal["auto", "label", "span", "text"] = Field("auto", description="What it learns to say.")
    epochs: float = Field(3, gt=0, le=1000, description="Passes over the examples.")
    rank: int = Field(8, ge=1, le=1024, description="Of LoRA.")
    learning_rates: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = ()
    """Rates to choose among by validation loss; not given: one that suits the student, or the grid's two."""
    alphas: tuple[Annotated[int, Field(ge=1)], ...] = ()
    """Of LoRA, to choose among likewise; not given: 16, or the grid's two."""
    grid: bool = Field(False, description="Choose among the paper's four: rates 5e-5 and 1e-4, alphas 16 and 24.")
    batch: int | None = Field(None, ge=1, le=4096, description="Examples a step.")
    max_tokens: int | None = Field(None, ge=8, description="Longest example; not given: what the student can read.")
    layers: int | None = Field(None, ge=1, description="Last layers of an encoder that learn; not given: all.")
    patience: int = Field(2, ge=0, description="Epochs without a better validation loss before it stops; 0 for none.")
    weights: Literal["given", "none", "dimp"] = Field(
        "given", description="Weight of each example: its own, none, or the DIMP loss's (arXiv 2410.21526)."
    )
    four_bit: bool | None = Field(None, description="QLoRA; not given: where CUDA and bitsandbytes are there.")
    merged: bool = Field(False, description="Write whole weights, not an adapter.")
    teach: Literal["answer", "chain"] = Field(
        "answer", description="What it is taught: the output, or the rationale and then the output."
    )


class Compare(Section):
    """What `upcycle compare` holds against what."""

    rows: int | None = Field(None, ge=2, description="Rows a leg; not given: rows, at most 1000 (TF-IDF) or 200.")
    seeds: int = Field(3, ge=1, le=100, description="How often each leg is drawn and trained.")
    curve: tuple[Annotated[float, Field(gt=0, lt=1)], ...] | None = None
    """Shares of the rows at which each leg is trained, too; not given: 0.25 and 0.5 (TF-IDF), none for others."""
    existing: tuple[str, ...] = ()
    """Datasets used as they are; not given: those that the transformed rows came from."""
    baseline: str | None = Field(None, description="The leg that the others are held against.")
    gold_share: float = Field(0.3, ge=0, lt=1, description="Share of the gold that legs may be trained on.")
    label_usd: float = Field(0.1, gt=0, description="What one label costs when a person writes it.")


class BuildConfig(Section):
    """Everything about a build that is not the task itself."""

    rows: int = Field(3000, ge=1)
    methods: Methods = Methods()
    sources: tuple[SourceName, ...] = ()
    model: Models = Models()
    budget: Budget = Budget()
    licence: Licence = "any"
    languages: tuple[str, ...] = ()
    curation: Curation = Curation()
    split: Split = Field(default_factory=lambda: {"train": 1.0})
    training: Training = Training()
    compare: Compare = Compare()
    concurrency: int = Field(32, ge=1, le=4096)
    rpm: int | None = Field(None, ge=1, description="Most requests a minute.")
    tpm: int | None = Field(None, ge=1, description="Most tokens a minute.")
    prices: str | None = Field(None, description="A prices.yaml for models nobody lists.")
    seed: int = 0

    def identity(self) -> dict[str, Any]:
        """The settings that make a run what it is; more rows, budget or other concurrency only continue it."""
        free = {"rows", "budget", "concurrency", "rpm", "tpm", "prices", "compare"}
        if not _TRAINING_METHODS & set(self.methods.named()):
            free.add("training")  # it decides nothing about the rows
        return self.model_dump(mode="json", exclude=free)


def make_config(settings: Mapping[str, Any]) -> BuildConfig:
    """Check and complete settings.

    Raises:
        ConfigError: an unknown key or a wrong value, named.
    """
    try:
        return BuildConfig.model_validate(dict(settings))
    except ValidationError as error:
        raise ConfigError(_first(error)) from None


def one_model(name: str) -> dict[str, str]:
    """Settings that give every role the same model."""
    return dict.fromkeys(("planner", "executor", "judge"), name)


def _first(error: ValidationError) -> str:
    problem = error.errors()[0]
    where = ".".join(map(str, problem["loc"]))
    return f"{where}: {problem['msg'].removeprefix('Value error, ')}"
