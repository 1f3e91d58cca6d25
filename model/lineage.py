"""Whether an adapter still lies on what it was trained on: a LoRA is worth little on top of anything else.

What comes with Inkling for a base lies below every adapter of its user, and another version of Inkling brings another
one. What always holds: an adapter whose record names what was below it is served on that alone. One without such a
record, as an imported one, is taken as it is.
"""

from contextlib import suppress

from model.adapters import Adapter, Registry, RegistryError, check_folder
from model.shipped import Shipped, shipped

ANCHOR = "anchor"  # of a record: sha256 of the weights below, None for the bare base


def digest_of(below: Shipped | None) -> str | None:
    """What records name it by; None where there is nothing below."""
    return check_folder(below.folder) if below is not None else None


def fits(registry: Registry, adapter: Adapter, below: Shipped | None) -> bool:
    """Whether the adapter was trained on this, or does not say on what."""
    record: dict[str, object] = {}
    with suppress(RegistryError):
        record = registry.record(adapter.name)
    return ANCHOR not in record or record[ANCHOR] == digest_of(below)


def fitting(registry: Registry, adapter: Adapter | None, below: Shipped | None) -> Adapter | None:
    """The adapter itself. Raises RegistryError where it was trained on something else, None is always served."""
    if adapter is None or fits(registry, adapter, below):
        return adapter
    raise RegistryError(
        f"{adapter.name} was trained on top of another version of what comes with Inkling for {adapter.base}, and is "
        "worth little on this one, so it is not served. The next night learns anew from what is recorded (`inkling "
        "night`)."
    )


def promote_fitting(registry: Registry, name: str) -> Adapter:
    """Make this adapter the champion of its base by hand. Raises RegistryError as `fitting` and `promote` do."""
    adapter = registry.get(name)
    fitting(registry, adapter, shipped(adapter.base))
    return registry.promote(name)
