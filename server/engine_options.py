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
    cache, model = settings.cache, settings.model
    return EngineOptions(
        runtime=model.runtime,
        precision=model.precision,
        threads=model.threads,
        generator=GeneratorOptions(
            budget=Budget(documents=model.context_tokens, attended=model.attended_tokens),
            cache=CacheBudgets(
                cache.accelerator_megabytes * _MEGABYTE,
                cache.host_megabytes * _MEGABYTE,
                cache.disk_megabytes * _MEGABYTE,
            ),
            cache_folder=folders.documents_folder(),
            drafts=model.drafts,
            prefetch=model.prefetch,
        ),
    )
