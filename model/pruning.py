"""Which adapters keep their weights: those that are served or can be again, and the newest of the others.

It reads records and lets the registry give back the room. What always holds: what came without a night's record or
carries a note of the user's keeps its weights, and every record stays, so that no night is run a second time.
"""

from model.adapters import Adapter, Registry, RegistryError

KEPT_IDLE = 5  # per base: what nights refused, and what was retired and no rollback reaches any more


def prune(registry: Registry, base: str) -> list[str]:
    """Drop the weights of all idle adapters of `base` but the newest; the names of those that have none now."""
    reachable = set(registry.history(base))
    idle = [
        adapter
        for adapter in registry.list()
        if adapter.base == base
        and adapter.state in ("candidate", "retired")
        and adapter.name not in reachable
        and _of_a_night(registry, adapter)
    ]
    return [adapter.name for adapter in idle[KEPT_IDLE:] if registry.drop_weights(adapter.name)]


def _of_a_night(registry: Registry, adapter: Adapter) -> bool:
    """Whether a night judged it and the user did not mark it; one with a damaged record is left alone."""
    try:
        return "status" in registry.record(adapter.name) and not registry.note(adapter.name)
    except RegistryError:
        return False
