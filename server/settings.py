"""The user's settings: frozen dataclasses with defaults that just work.

They come from the user's own `settings.toml`, then from the editor (`initializationOptions`, later
`workspace/didChangeConfiguration`); later ones win field by field. Names are the dataclass fields in camelCase
(`completion.maxTokens`). A value of the wrong type is a sentence for the user and leaves the default in place.
The server reads none of this from the workspace's files. An editor may pass a workspace's own settings on, but none
that names a program or another machine: those it takes from the user alone.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from index.files import MAX_BYTES, MAX_FILES
from inkling.errors import UserError
from inkling.folders import config_folder, data_folder, feedback_database
from model.catalog import BASE, EMBEDDING


@dataclass(frozen=True)
class CompletionSettings:
    """Ghost text. `mode` says how sure the model must be before anything is shown. Without `whole_lines` an offer ends
    where the model becomes unsure.

    `recent_characters` of what the user wrote elsewhere a moment ago stand beside the cursor, and `similar_characters`
    of what was written in places like it; 0 for none.
    """

    enabled: bool = True
    mode: Literal["eager", "balanced", "quiet"] = "balanced"
    max_tokens: int = 48
    whole_lines: bool = False
    languages_off: tuple[str, ...] = ()
    context_documents: int = 8
    context_characters: int = 12_000
    context_milliseconds: int = 15
    recent_characters: int = 600
    similar_characters: int = 1_200


@dataclass(frozen=True)
class ModelSettings:
    """Which base weights are served (`inkling models list`), by what and how.

    `runtime` auto: torch on an NVIDIA GPU, ONNX Runtime on the CPU. `precision` is that of ONNX Runtime's weights.
    `threads` 0: the runtime's own choice. `context_tokens` of other files are kept before the model, `attended_tokens`
    of them whole (of more, the pages that matter). `drafts`: guess several tokens at once from what was written
    before; `prefetch`: work out what would come after an accepted suggestion.
    """

    base: str = BASE.name
    runtime: Literal["auto", "onnx", "torch"] = "auto"
    precision: Literal["int8", "int4", "float32"] = "int8"
    threads: int = 0
    context_tokens: int = 3072
    attended_tokens: int = 3072
    drafts: bool = True
    prefetch: bool = True


@dataclass(frozen=True)
class CacheSettings:
    """Memory and disk for encoded documents. 500 tokens take 23 MB of memory, and 6 MB on disk, with the default base.

    `accelerator_megabytes` bounds what is resident on the device that computes, be it the CPU.
    """

    accelerator_megabytes: int = 1024
    host_megabytes: int = 512
    disk_megabytes: int = 2048


@dataclass(frozen=True)
class IndexSettings:
    """Semantic search over the workspace."""

    enabled: bool = True
    embedding: str = EMBEDDING.name
    max_file_bytes: int = MAX_BYTES
    max_files: int = MAX_FILES


@dataclass(frozen=True)
class LintersSettings:
    """Which linters run; `commands` and pyright only run in a workspace that the user trusts.

    An entry of `commands` is any linter of the user's own; `server.linters.command` says what it has to hold.
    `interpreter` is the Python whose packages pyright looks at; "": the workspace's `.venv`, else pyright's guess.
    """

    ruff: bool = True
    pyright: bool = True
    timeout_seconds: float = 10.0
    interpreter: str = ""
    commands: tuple[Any, ...] = ()


@dataclass(frozen=True)
class FeedbackSettings:
    """When a region counts as settled, at which ages survival is looked at, what is kept. Consent is not a setting.

    `database` (only in the user's own file): "" for a file of this machine, else a PostgreSQL URL. `texts_days`:
    texts older than that go, numbers stay; `most_megabytes`: the oldest texts go before the file gets larger (0: no
    bound). `without_telemetry`: what happens where recording is allowed but the editor's telemetry is switched off:
    "off" records nothing, "local" what stays on this machine. `trace`: where recording is allowed, also write down
    every edit around suggestions, for `inkling feedback replay`.
    """

    settle_seconds: float = 10.0
    survival_seconds: tuple[int, ...] = (5, 30, 120, 300, 600)
    database: str = ""
    texts_days: int = 180
    most_megabytes: int = 1800
    without_telemetry: Literal["off", "local"] = "off"
    trace: bool = False


@dataclass(frozen=True)
class NightSettings:
    """When nights run and how. `stages`: what they train (`inkling night --help`). `schedule`: off, idle (once a day),
    or a time of day such as 03:00.

    A night that is due begins when nobody has typed for `idle_minutes` in any editor, and waits while somebody types
    or, without `on_battery`, while the machine is unplugged. What a night promotes is served to `canary_share` of the
    sessions first, until live figures decide; 0 or 1: to all at once. Only in the user's own file: `tests`, a command
    that tests code, which rewards sections and runs what the model wrote ("": none); `runner` (local, accelerate, ray),
    its `workers` (processes in all), `machines` and `address`; docs/cluster.md says more.
    """

    budget: str = "20m"
    minimum_regions: int = 300
    stages: str = "gate,sft"
    schedule: str = "off"
    idle_minutes: int = 15
    on_battery: bool = False
    canary_share: float = 0.5
    tests: str = ""
    runner: Literal["local", "accelerate", "ray"] = "local"
    workers: int = 2
    machines: int = 1
    address: str = ""


@dataclass(frozen=True)
class AgentSettings:
    """Which chat model the agent may ask. `model` off: none; editor: the one that the editor offers to its extensions.

    Whoever runs the editor's model gets the code that it is asked about. `editor_model`: its id or family; "": the
    editor's first.
    """

    model: Literal["off", "editor"] = "off"
    editor_model: str = ""


@dataclass(frozen=True)
class Settings:
    """All of it. `trusted` is what the editor says about the workspace; only then may its programs be run.

    `telemetry` is the editor's own switch: false means that the user wants nothing to be collected.
    """

    trusted: bool = False
    telemetry: bool = True
    measure_loop: bool = False
    completion: CompletionSettings = field(default_factory=CompletionSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    cache: CacheSettings = field(default_factory=CacheSettings)
    index: IndexSettings = field(default_factory=IndexSettings)
    linters: LintersSettings = field(default_factory=LintersSettings)
    feedback: FeedbackSettings = field(default_factory=FeedbackSettings)
    night: NightSettings = field(default_factory=NightSettings)
    agent: AgentSettings = field(default_factory=AgentSettings)


def merge(base: Settings, values: object) -> tuple[Settings, list[str]]:
    """`base` with `values` on top, and one sentence for every value that could not be used."""
    problems: list[str] = []
    if values is None:
        return base, problems
    return _merge(base, values, "inkling", problems), problems


def load_user_settings(file: Path) -> tuple[Settings, list[str]]:
    """The defaults with the user's settings file on top; a missing file is fine.

    Raises UserError if the file is there but is not TOML.
    """
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Settings(), []
    except (OSError, ValueError) as error:
        raise UserError(f"The settings file {file} cannot be read as TOML: {error}. Mend or remove it.") from error
    return merge(Settings(), values)


def user_settings() -> tuple[Settings, list[str]]:
    """The same with the file of this user."""
    return load_user_settings(config_folder() / "settings.toml")


def feedback_place() -> Path | str:
    """Where feedback is kept by the user's own settings file: a URL, or the file of this machine."""
    settings, _ = user_settings()
    return settings.feedback.database or feedback_database()


def gate_file() -> Path:
    """Where the fitted gate lies, if there is one."""
    return data_folder() / "gate.json"


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


def _merge(current: Any, values: object, where: str, problems: list[str]) -> Any:
    if not isinstance(values, Mapping):
        problems.append(f"{where}: expected a group of settings, found {_kind(values)}; using the defaults.")
        return current
    hints = get_type_hints(type(current))
    by_key = {_camel(f.name): f.name for f in fields(current)}
    changed: dict[str, Any] = {}
    for key, value in values.items():
        place = f"{where}.{key}"
        if key not in by_key:
            problems.append(f"{place}: there is no such setting; known here: {', '.join(by_key)}.")
            continue
        name = by_key[key]
        if is_dataclass(getattr(current, name)):
            changed[name] = _merge(getattr(current, name), value, place, problems)
        else:
            accepted, taken = _value(hints[name], value, place, problems)
            if accepted:
                changed[name] = taken
    return replace(current, **changed)


def _value(hint: Any, value: object, place: str, problems: list[str]) -> tuple[bool, Any]:
    """Whether `value` fits the type, and the value to take; says in `problems` why not."""
    if hint is Any:
        return True, value
    if get_origin(hint) is Literal:
        if value in get_args(hint):
            return True, value
        problems.append(f"{place}: expected one of {', '.join(get_args(hint))}, found {value!r}; using the default.")
        return False, None
    if get_origin(hint) is tuple:
        return _tuple(get_args(hint)[0], value, place, problems)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not hint:
        problems.append(f"{place}: expected {hint.__name__}, found {_kind(value)}; using the default.")
        return False, None
    if isinstance(value, int | float) and not isinstance(value, bool) and value < 0:
        problems.append(f"{place}: expected a number from 0 up, found {value}; using the default.")
        return False, None
    return True, value


def _tuple(item: Any, value: object, place: str, problems: list[str]) -> tuple[bool, Any]:
    if not isinstance(value, list | tuple):
        problems.append(f"{place}: expected a list, found {_kind(value)}; using the default.")
        return False, None
    taken = []
    for number, entry in enumerate(value):
        accepted, element = _value(item, entry, f"{place}[{number}]", problems)
        if not accepted:
            return False, None
        taken.append(element)
    return True, tuple(taken)


def _kind(value: object) -> str:
    return "nothing" if value is None else f"{type(value).__name__} {value!r}"
