"""Put the launcher into a wheel as its one top-level package.

An editable install does without: there `server/launch` itself is on the path (`dev-mode-dirs`), so the
launcher is read from the checkout and finds the packages beside it.
"""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class LauncherHook(BuildHookInterface):
    """Adds `server/launch/inkling` to a built wheel as `inkling`."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version != "editable":
            build_data["force_include"]["server/launch/inkling"] = "inkling"
