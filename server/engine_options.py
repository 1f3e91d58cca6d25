"""From the user's settings to what the engine takes. The one place where megabytes become bytes."""

from inkling import folders
from model.cache.document_cache import CacheBudgets
from model.engine import EngineOptions
from model.generator import GeneratorOptions
from model.prompt import Budget
from server.settings import Settings

_MEGABYTE = 1_000_000


def engine_options(settings: Settings) -> EngineOptions:
    """How the engine serves under these settings. Encoded documents lie in the caches folder."""
    cache, completion = settings.cache, settings.completion
    return EngineOptions(
        runtime=settings.model.runtime,
        precision=settings.model.precision,
        threads=settings.model.threads,
        generator=GeneratorOptions(
            budget=Budget(documents=completion.context_tokens, attended=completion.context_tokens),
            cache=CacheBudgets(
                cache.accelerator_megabytes * _MEGABYTE,
                cache.host_megabytes * _MEGABYTE,
                cache.disk_megabytes * _MEGABYTE,
            ),
            cache_folder=folders.cache_folder() / "documents",
            drafts=completion.drafts,
            prefetch=completion.prefetch,
        ),
    )
