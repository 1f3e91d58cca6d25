"""`inkling feedback gate`: is the gate calibrated, would another one have earned more, and fitting one."""

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, cast, get_args

import typer

from inkling.errors import UserError
from server.commands.models import AsJson
from server.commands.printing import out, print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Engine

    from feedback.decisions import Decided
    from feedback.offline import Estimate
    from model.gate import Mode
    from model.training.gate import GateVerdict

_DECISIONS = 20_000  # the newest so many are looked at


def gate(
    fit: Annotated[bool, typer.Option("--fit", help="Fit a gate on your decisions and use it from now on.")] = False,
    as_json: AsJson = False,
) -> None:
    """Say how well the gate's promises hold, and what each mode would have earned on the decisions that were made.

    `--fit` does what a night does in its stage `gate`: a gate is fitted on earlier decisions and used only if later
    ones say that it tells them better and earns more than what decides now. Ends with 3 if it is not.

    Examples:

      inkling feedback gate

      inkling feedback gate --fit
    """
    from feedback.database import find_database
    from feedback.decisions import calibration, calibration_error, decided
    from model.gate import FittedGate, Mode
    from model.training.gate import GateOptions, renew_gate
    from server.night_sources import allowed_decisions
    from server.settings import feedback_place, gate_file, user_settings

    database = find_database(feedback_place())
    if database is None:
        raise UserError("Nothing was recorded yet. `inkling consent local` allows it for the current folder.")
    decisions = decided(database, _DECISIONS)
    made: GateVerdict | None = None
    if fit:
        mode = user_settings()[0].completion.mode
        made = renew_gate(allowed_decisions(feedback_place(), time.time()), gate_file(), GateOptions(mode=mode))
    bins = calibration(decisions)
    fitted = FittedGate.load(gate_file())
    estimates = {each: judged(database, decisions, cast("Mode", each), fitted) for each in get_args(Mode)}
    found: dict[str, Any] = {
        "decisions": len(decisions),
        "calibration": [asdict(one) for one in bins],
        "calibrationError": calibration_error(bins),
        "modes": {mode: asdict(estimate) for mode, estimate in estimates.items()},
        "fitted": asdict(fitted) if fitted else None,
        "fit": made.plain if made is not None else None,
    }
    if as_json:
        print_json(found)
    else:
        _print(found, bins, estimates, made)
    if made is not None and made.status != "installed":
        raise typer.Exit(3)


def judged(database: "Engine", decisions: "Sequence[Decided]", mode: "Mode", fitted: Any) -> "Estimate":
    """What a mode would have earned, by the rewards of what was shown."""
    from feedback.decisions import rewards_of
    from feedback.offline import Logged, evaluate
    from model.gate import NO_CHOICE, rule_probability, show_probability

    probability: Callable[[Any], float] = fitted.probability if fitted is not None else rule_probability
    known = [one for one in decisions if one.decision.features and one.decision.rule not in NO_CHOICE]
    shown = [one.decision.suggestion for one in known if one.decision.shown]
    rewards = rewards_of(database, shown)
    logged = []
    for one in known:
        decision = one.decision
        if decision.shown and decision.suggestion not in rewards:
            continue  # nothing is known of it yet, or its texts are gone
        other = show_probability(decision.features, probability(decision.features), mode)
        logged.append(Logged(decision.shown, decision.propensity, rewards.get(decision.suggestion, 0.0), other))
    return evaluate(logged)


def _print(found: dict[str, Any], bins: Any, estimates: "dict[str, Estimate]", made: "GateVerdict | None") -> None:
    rows = [(f"{one.promised:.0%}", f"{one.taken:.0%}", one.count) for one in bins]
    print_table("What the gate promised, and what was taken", ("promised", "taken", "decisions"), rows)
    if found["calibrationError"] is not None:
        out.print(f"expected calibration error: {found['calibrationError']:.3f}")
    table = [
        (mode, one.decisions, f"{one.ips:+.2f}", f"{one.snips:+.2f}", f"{one.effective:.0f}", one.why)
        for mode, one in estimates.items()
    ]
    print_table(
        "What each mode would have earned", ("mode", "decisions", "IPS", "SNIPS", "effective", "verdict"), table
    )
    if made is not None:
        out.print(made.reason, highlight=False, markup=False)
    if made is not None and made.status == "installed":
        out.print("Running servers use it within seconds.")
