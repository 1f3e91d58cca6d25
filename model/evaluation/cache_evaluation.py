"""One run of `inkling eval cache`: packages and settings in, one report out, everything measured in the same process.

It puts the parts together and notes under which conditions they ran; it prints nothing. What always holds: both sides
compute with the same weights and adapters on the same number of threads, and the cases of every figure are named.
"""

import os
import platform
import sysconfig
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import psutil

from inkling.errors import UserError
from model.catalog import BASE
from model.evaluation.cache_arms import NEEDED, Scorer
from model.evaluation.cache_cases import Case, Sizes, make_cases
from model.evaluation.cache_llama import CONTEXT, NEW, default_gguf, measure_llama
from model.evaluation.cache_reference import Reference
from model.evaluation.cache_report import ArmLosses, arm_figures, summary, timing_figures, without_nan
from model.evaluation.cache_served import Served, Weights
from model.evaluation.cache_timing import Timer
from model.evaluation.packages import SourcePackage, load_package, read_folder
from model.positions import LONGEST_SINK, SchemeName
from model.prompt import Budget, Format, Layout
from model.runtimes.choose import RuntimeName, open_runtime
from model.runtimes.onnx_quantise import Precision
from model.runtimes.runtime import Runtime
from model.shape import read_shape
from model.shipped import METADATA_FILE, read_shipped, shipped
from model.tokens import Tokens
from model.weights import resolve

Progress = Callable[[str, int, int], None]
_OTHER = "email"  # of the standard library: the wrong documents where one package alone is measured
_HEADROOM = 96  # positions for paths and the slack of the tail


class SizesError(UserError):
    """More was asked for than the model has positions for."""


@dataclass(frozen=True)
class CacheSettings:
    """What to measure. `threads` 0: all that this process may use. `scheme` None: what the adapter was trained with.

    `adapter`: none, shipped, or a PEFT folder. `keys` characters are typed twice per timing case. `attended` tokens for
    the arm of the pages that matter, None for half of the documents. `llama`: an interpreter with llama-cpp-python.
    """

    packages: tuple[str, ...]
    base: str = BASE.name
    adapter: str = "shipped"
    runtime: RuntimeName = "auto"
    precision: Precision = "int8"
    threads: int = 0
    scheme: SchemeName | None = None
    sizes: Sizes = field(default_factory=Sizes)
    cases: int = 40
    timing_cases: int = 3
    keys: int = 40
    decode_tokens: int = 48
    attended: int | None = None
    skip: tuple[str, ...] = ()
    seed: int = 0
    llama: str | None = None
    gguf: Path | None = None


@dataclass(frozen=True)
class _Conditions:
    """What the settings came to on this machine."""

    weights: Weights
    scheme: SchemeName
    threads: int
    attended: int
    packages: tuple[SourcePackage, ...]
    cases: tuple[Case, ...]
    layout: Layout


def evaluate(settings: CacheSettings, progress: Progress) -> dict[str, Any]:
    """The report, ready for JSON: `summary`, `arms`, `timing`, `memory`, `llama_cpp`, `settings`, `cases`."""
    memory, load = {"start": _rss()}, _load()
    conditions = _conditions(settings, progress)
    cases, weights = conditions.cases, conditions.weights
    runtime = open_runtime(
        weights.folder, weights.adapters, name=settings.runtime, precision=settings.precision,
        threads=conditions.threads,
    )  # fmt: skip
    memory["runtime"] = _rss()
    llama = _llama(settings, conditions, runtime, progress)  # first, as it is the part that may not be there
    with tempfile.TemporaryDirectory(prefix="inkling-eval-", ignore_cleanup_errors=True) as scratch:
        served = Served(
            weights, runtime, conditions.layout, settings.sizes, conditions.scheme, Path(scratch) / "documents"
        )
        timer = Timer(served, Path(scratch), settings.keys, settings.decode_tokens)
        reference: Reference | None = None
        tiers: dict[str, Any] = {}
        timed = cases[: settings.timing_cases]
        for number, case in enumerate(timed):
            progress("timing", number, len(timed))
            timer.measure(case)
            if reference is None:
                memory["serving"], tiers = _rss(), served.cache.status()
                reference = Reference(weights, conditions.threads, runtime)
                memory["with_transformers"] = _rss()
            timer.measure_reference(reference, case)
        progress("timing", len(timed), len(timed))
        served.empty(Path(scratch) / "documents")
        reference = reference or Reference(weights, conditions.threads, runtime)
        bare = None if not weights.adapters else Reference(Weights(weights.folder), conditions.threads, runtime)
        scorer = Scorer(served, reference, bare, conditions.attended)
        losses = _losses(scorer, settings, cases, progress)
    figures = arm_figures(losses, [case.elsewhere for case in cases], seed=settings.seed)
    found = {
        "summary": summary(figures, timer.timings, conditions.scheme),
        "arms": figures,
        "timing": timing_figures(timer.timings),
        "memory": {
            "rss_bytes": memory,
            "buffer_bytes": served.buffer_bytes(),
            "documents_bytes": served.kv_bytes(len(cases[0].context)),
            "cache": tiers,
        },
        "llama_cpp": llama,
        "settings": _described(settings, conditions, runtime, reference, load),
        "cases": [_case(case, losses, index) for index, case in enumerate(cases)],
    }
    plain: dict[str, Any] = without_nan(found)
    return plain


def _conditions(settings: CacheSettings, progress: Progress) -> _Conditions:
    """Everything that can be wrong with the settings is found out here, before anything slow."""
    folder = resolve(settings.base)
    adapters, scheme = _adapter(settings)
    sizes = settings.sizes
    needed = LONGEST_SINK + sizes.documents * sizes.document + sizes.tail + sizes.continuation + _HEADROOM
    positions = read_shape(folder).positions
    if needed > positions:
        raise SizesError(
            f"{sizes.documents} documents of {sizes.document} tokens, a tail of {sizes.tail} and what is scored need "
            f"{needed} positions; the model has {positions}. Lower --documents, --document-tokens or --tail-tokens."
        )
    tokens = Tokens(folder)
    whole = sizes.documents * sizes.document
    budget = Budget(documents=whole, attended=whole, document=sizes.document, tail=sizes.tail, suffix=0)
    layout = Layout(tokens, budget, Format.of(tokens))
    packages = []
    for number, name in enumerate(settings.packages):
        progress("packages", number, len(settings.packages))
        packages.append(load_package(name))
    progress("packages", len(packages), len(packages))
    other = read_folder(Path(sysconfig.get_paths()["stdlib"]) / _OTHER)
    count = max(settings.cases, settings.timing_cases)
    cases = make_cases(packages, other, layout, sizes, count, settings.seed)
    threads = settings.threads or usable_cores()
    attended = settings.attended if settings.attended is not None else whole // 2
    return _Conditions(Weights(folder, adapters), scheme, threads, attended, tuple(packages), cases, layout)


def _adapter(settings: CacheSettings) -> tuple[tuple[Path, ...], SchemeName]:
    """Folders to merge, and the scheme to serve."""
    if settings.adapter == "none":
        return (), settings.scheme or "parallel"
    if settings.adapter == "shipped":
        found = shipped(settings.base)
        if found is None:
            return (), settings.scheme or "parallel"
        return (found.folder,), settings.scheme or found.scheme
    folder = Path(settings.adapter).expanduser()
    trained = read_shipped(folder).scheme if (folder / METADATA_FILE).is_file() else "parallel"
    return (folder,), settings.scheme or trained


def _losses(
    scorer: Scorer, settings: CacheSettings, cases: Sequence[Case], progress: Progress
) -> tuple[ArmLosses, ...]:
    names = [name for name in scorer.arms if name not in settings.skip or name in NEEDED]
    found: dict[str, list[Any]] = {name: [] for name in names}
    done = 0
    for case in cases:
        for name in names:
            progress("losses", done, len(cases) * len(names))
            found[name].append(scorer.losses(name, case))
            done += 1
    progress("losses", done, done)
    return tuple(ArmLosses(name, tuple(losses)) for name, losses in found.items())


def _llama(
    settings: CacheSettings, conditions: _Conditions, runtime: Runtime, progress: Progress
) -> dict[str, Any] | None:
    """The optional arm; None where it was not asked for."""
    if settings.llama is None:
        return None
    progress("llama.cpp", 0, 1)
    gguf = settings.gguf or default_gguf()
    read = (token for case in cycle(conditions.cases) for token in (*case.context, *case.tail))
    tokens = list(islice(read, CONTEXT + NEW))
    found = measure_llama(
        settings.llama, gguf, runtime, tokens, conditions.threads, settings.decode_tokens, settings.timing_cases
    )
    progress("llama.cpp", 1, 1)
    return found


def _described(
    settings: CacheSettings, conditions: _Conditions, runtime: Runtime, reference: Reference, load: float | None
) -> dict[str, Any]:
    asked = asdict(settings)
    del asked["packages"], asked["sizes"], asked["llama"], asked["gguf"]
    return {
        **asked,
        "packages": [str(package) for package in conditions.packages],
        "trained_on": _trained_on(conditions),
        "sizes": asdict(settings.sizes),
        "cases": len(conditions.cases),
        "elsewhere_tokens": sum(sum(case.elsewhere) for case in conditions.cases),
        "adapters": [adapter.name for adapter in conditions.weights.adapters],
        "scheme": conditions.scheme,
        "attended": conditions.attended,
        "threads": conditions.threads,
        "reference_threads": reference.threads,
        "load_at_start": load,
        "runtime": runtime.name,
        "device": runtime.device,
        "reference": f"transformers {reference.dtype} on {reference.device}, attention {reference.attention}",
        "cores": usable_cores(),
        "machine": f"{platform.system()} {platform.machine()}",
        "versions": {name: _version(name) for name in ("inkling", "torch", "transformers", "onnxruntime", "numpy")},
    }


def _trained_on(conditions: _Conditions) -> list[str]:
    """Packages of this run that the shipped adapter was trained on: figures on them prove nothing."""
    if not conditions.weights.adapters:
        return []
    from model.training.corpus import listed

    trained = {package.name for package in listed() if not package.held_out}
    return [str(package) for package in conditions.packages if package.name in trained]


def _case(case: Case, losses: Sequence[ArmLosses], index: int) -> dict[str, Any]:
    return {
        "package": case.package,
        "path": case.path,
        "line": case.prefix.count("\n") + 1,
        "tail_tokens": len(case.tail),
        "documents": [f"{document.path}#{document.unit}" for document, _ in case.documents],
        "document_tokens": len(case.context),
        "elsewhere_tokens": sum(case.elsewhere),
        "loss": {arm.name: float(arm.losses[index].mean()) for arm in losses},
    }


def usable_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _load() -> float | None:
    """How many programs wanted to run in the last minute, before this one began; None where that is not known."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def _rss() -> int:
    found: int = psutil.Process().memory_info().rss
    return found


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
