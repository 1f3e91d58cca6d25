"""What a night says when it is over: the verdict, its figures, and the pages of it that are kept beside the adapter."""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from model.evaluation.comparison import Guard, Improvement

Status = Literal["promoted", "refused", "skipped", "planned"]


@dataclass(frozen=True)
class Verdict:
    """The end of a night. `reason` is a sentence for people; `code` a stable word for programs.

    promoted: the candidate is served now. refused: it was measured and is not served. skipped: nothing was trained.
    planned: a dry run that would have trained. `figures` is what the record holds: plain JSON values.
    """

    status: Status
    code: str
    reason: str
    adapter: str | None = None
    figures: dict[str, Any] = field(default_factory=dict)


def judged(
    gain: Improvement, decisive: Improvement, guards: list[Guard], *, least_later: int, against: str
) -> tuple[Literal["promoted", "refused"], str, str]:
    """Refused by default: status, code and the reason as a sentence with the figures that decided.

    `gain` is that of the loss in nats, `decisive` that of the robust loss, which nights train on. Whoever learns to
    hedge loses nats on surprises alone, as a placebo does; what is right gets no likelier by it.
    """
    told = (
        f"on {gain.examples} later examples, of {gain.groups} files by day, the loss went from {gain.before:.3f} "
        f"({against}) to {gain.after:.3f} nats per token, a gain of {gain.mean:.3f} ({gain.lower:.3f} to "
        f"{gain.upper:.3f}), and that of the robust loss, "
        f"which decides, is {decisive.mean:.3f} with a 95% interval of {decisive.lower:.3f} to {decisive.upper:.3f}"
    )
    if decisive.examples < least_later:
        return "refused", "too_few_later", f"Refused: fewer than {least_later} examples to measure on; {told}."
    if decisive.groups < 2:
        return "refused", "one_file", f"Refused: one day in one file says nothing about other work; {told}."
    if not decisive.lower > 0:
        return "refused", "not_better", f"Refused: the lower bound of the gain is not above zero; {told}."
    broken = [guard for guard in guards if not guard.passed]
    if broken:
        why = "; ".join(f"{guard.name} is {guard.value:.3g}, allowed is {guard.rule}" for guard in broken)
        return "refused", "guard", f"Refused: a guard was violated ({why}), although {told}."
    return "promoted", "better", f"Promoted: {told}; no guard was violated."


def guard_figures(guards: list[Guard]) -> list[dict[str, Any]]:
    """The guards as plain JSON values."""
    return [asdict(guard) for guard in guards]


def page(record: dict[str, Any]) -> str:
    """The record as a short Markdown page."""
    figures = record["figures"]
    lines = [
        f"# A night on {record['base']}",
        "",
        record["reason"],
        "",
        "| | |",
        "| --- | --- |",
        f"| verdict | {record['status']} ({record['code']}) |",
        f"| started | {record['started']} |",
        f"| compared with | {record['champion'] or 'the base as it came'} |",
        f"| trained on | {len(record['training_examples'])} examples, {figures['training_tokens']} tokens |",
        f"| measured on | {len(record['later_examples'])} later examples |",
        f"| steps | {figures['steps']} of {figures['planned_steps']}, seed {record['options']['sft']['seed']} |",
        f"| training loss | {figures['first_loss']:.3f} to {figures['last_loss']:.3f} nats per token |",
        f"| later loss | {figures['later_before']:.3f} to {figures['later_after']:.3f} nats per token |",
        f"| gain | {figures['gain']:.3f}, 95% interval {figures['gain_lower']} to {figures['gain_upper']} |",
        f"| gain of the robust loss, which decides | {figures['robust_gain']:.3f}, 95% interval "
        f"{figures['robust_gain_lower']} to {figures['robust_gain_upper']} |",
        f"| speed | {figures['tokens_per_second']:.0f} tokens/s, {figures['training_seconds']:.0f} s of training |",
        f"| data hash | `{record['data_hash'][:16]}` |",
        "",
        "| guard | value | rule | held |",
        "| --- | --- | --- | --- |",
    ]
    lines += [
        f"| {guard['name']} | {guard['value']:.3g} | {guard['rule']} | {'yes' if guard['passed'] else 'no'} |"
        for guard in figures["guards"]
    ]
    return "\n".join([*lines, "", *_stages(figures), ""])


def _stages(figures: dict[str, Any]) -> list[str]:
    """What each stage besides sft came to, and both behaviours side by side."""
    lines = ["| stage | what it came to |", "| --- | --- |"]
    for name in ("gate", "relevance", "preference", "section"):
        stage = figures.get(name, {})
        told = (stage.get("skipped") and f"skipped: {stage['skipped']}") or stage.get("reason")
        if name == "section" and "held_after" in stage:
            before, after = stage["held_before"], stage["held_after"]
            told = f"{len(stage['steps'])} steps, reward on held-out sections {before['total']:.3f} to "
            told += f"{after['total']:.3f} (likeness {before['likeness']:.3f} to {after['likeness']:.3f})"
        if name == "preference" and "method" in stage:
            told = f"{stage['method']}, {stage['steps']} of {stage['planned']} steps, agreement "
            told += f"{stage['agreement_before']:.0%} to {stage['agreement_after']:.0%}"
        lines.append(f"| {name} | {told or 'nothing'} |")
    behaviour = figures.get("behaviour")
    if behaviour:
        served, candidate = behaviour["champion"], behaviour["candidate"]
        lines += ["", f"| at {served['cursors']} later cursors | served | candidate |", "| --- | --- | --- |"]
        for name in ("shown", "shown_right", "shown_wrong", "characters", "doublings", "edits", "seconds"):
            lines.append(f"| {name.replace('_', ' ')} | {served[name]:.3f} | {candidate[name]:.3f} |")
        for name, value in served["components"].items():
            lines.append(f"| reward: {name} | {value:.3f} | {candidate['components'][name]:.3f} |")
    return lines
