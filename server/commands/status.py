"""`inkling status`: what the running servers are up to, caches by tier included."""

from typing import Annotated, Any

import typer

from server.commands.printing import out, print_json, print_table

_TIERS = ("accelerator", "host", "disk")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(status)


def status(as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False) -> None:
    """Say what the language servers on this machine are doing: model, caches, index, why there was no suggestion.

    What is shown is at most a few seconds old.

    Examples:

      inkling status

      inkling status --json
    """
    from server.status_file import running_servers

    servers = running_servers()
    if as_json:
        print_json({"servers": servers})
        return
    if not servers:
        out.print("No server is running. An editor starts one; `inkling serve` is what it runs.")
        return
    for server in servers:
        _show(server)


def _show(server: dict[str, Any]) -> None:
    model = server["model"]
    adapter = model.get("adapter") or ("the shipped adapter" if model.get("shippedAdapter") else "no adapter")
    out.print(
        f"Server {server['pid']}: {model['base']} with {adapter} is {model['state']}"
        + (f" on {model['runtime']}" if "runtime" in model else ""),
        highlight=False,
        markup=False,
    )
    for note in model.get("notes", []):
        out.print(f"  {note}", highlight=False, markup=False)
    if "cache" in model:
        cache = model["cache"]
        rows = [
            (tier, *(cache[tier].get(name) for name in ("entries", "hits", "misses", "evictions")), _bytes(cache[tier]))
            for tier in _TIERS
        ]
        print_table("Encoded documents", ("tier", "entries", "hits", "misses", "evicted", "megabytes"), rows)
        out.print(f"{cache['encodedTokens']} tokens encoded, {cache['reencodedTokens']} of them again after an edit.")
    if "last" in model:
        last = model["last"]
        out.print(
            f"Last suggestion: {last['prefilledTokens']} tokens prefilled of "
            f"{last['prefilledTokens'] + last['reusedTokens']}, {last['decodedTokens']} decoded, "
            f"{1000 * (last['prefillSeconds'] + last['decodeSeconds']):.0f} ms.",
            highlight=False,
        )
    for workspace in server["workspaces"]:
        index = workspace["index"]
        out.print(f"{workspace['root']}: index {index.get('phase')}, consent {workspace['consent']}", markup=False)
    _show_feedback(server.get("feedback", {}))
    _show_night(server.get("night", {}))
    if server.get("lastRefusal"):
        out.print(f"Nothing was offered last because: {server['lastRefusal']['detail']}", markup=False)


def _show_feedback(feedback: dict[str, Any]) -> None:
    """Outcomes, what the editor reported beside what the edits alone said, and facts that wait or were lost."""
    told = [f"{count} {kind}" for kind, count in sorted(feedback.get("outcomes", {}).items())]
    if told:
        out.print(f"Suggestions: {', '.join(told)}.", highlight=False)
    reports = feedback.get("reports", {})
    if reports:
        others = [f"{count} x {what}" for what, count in sorted(reports.items()) if what != "confirmed"]
        confirmed = f"{reports.get('confirmed', 0)} of {sum(reports.values())} confirmed what the edits said"
        out.print(f"The editor's reports: {'; '.join([confirmed, *others])}.", highlight=False, markup=False)
    recorder = feedback.get("recorder", {})
    if recorder.get("waiting") or recorder.get("dropped"):
        out.print(
            f"Feedback: {recorder['waiting']} facts wait on disk, {recorder['dropped']} were lost.", highlight=False
        )
    if recorder.get("trouble"):
        out.print(recorder["trouble"], highlight=False, markup=False)


def _show_night(night: dict[str, Any]) -> None:
    """The night that runs or ran last, why one that is due waits, and what is on trial."""
    if night.get("last"):
        out.print(f"Night: {night['last']['status']}. {night['last']['message']}", highlight=False, markup=False)
    if night.get("waitsFor"):
        out.print(f"A night is due and waits: {night['waitsFor']}.", highlight=False, markup=False)
    if trial := night.get("trial"):
        out.print(f"On trial: {trial['adapter']}, {trial['reason']}.", highlight=False, markup=False)


def _bytes(tier: dict[str, Any]) -> str:
    return f"{tier.get('bytes', 0) / 1e6:.0f} of {tier.get('budgetBytes', 0) / 1e6:.0f}"
