"""Does it pay to end an offer where the model becomes unsure? The same lines with whole offers and with cut ones.

The lines are those of a replayed user's second day, with edits beside the cursor; who accepts what is the
replay's rule. INKLING_HISTORIES names packages and versions, INKLING_ADAPTER a folder to serve instead of the shipped
adapter. About three minutes on two cores.
"""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from feedback.decisions import binned
from feedback.rewards import IGNORED_COST, REJECTED_COST, SHOW_COST
from model.catalog import BASE
from model.evaluation.replay_arms import Served
from model.evaluation.replay_history import days_of
from model.evaluation.replay_requests import Ask, User
from model.evaluation.replay_settings import SIZES
from model.evaluation.replay_sources import of_package
from model.evaluation.replay_user import Answer
from model.gate import rule_probability
from model.prompt import Format, Layout
from model.shipped import read_shipped, shipped
from model.threads import set_threads
from model.tokens import Tokens
from model.weights import resolve

_HISTORIES = "wtforms==2.3.3,3.0.1,3.2.1 questionary==1.0.2,1.10.0,2.1.0"
_REFUSED = (REJECTED_COST + IGNORED_COST) / 2


def run() -> None:
    """Print what is shown, accepted and kept, what a request earns, and how the written rule's promises come true."""
    set_threads()
    other = os.environ.get("INKLING_ADAPTER")
    anchor = read_shipped(Path(other)) if other else shipped(BASE.name)
    assert anchor is not None
    folder = resolve(BASE.name)
    served = Served(folder, anchor, anchor.scheme, SIZES, os.cpu_count() or 1)
    layout = Layout(Tokens(folder), SIZES.budget, Format.of(Tokens(folder), fills_middle=anchor.fills_middle))
    asks: list[Ask] = []
    histories = os.environ.get("INKLING_HISTORIES", _HISTORIES).split()
    for history in histories:
        source = of_package(history)
        days = days_of(source.snapshots, hunks=200, days=2, seed=0)
        asks += User(source.name, 0, layout, SIZES).days(days, source.snapshots[-1], 160)[1].asks
    print(f"{' '.join(histories)}: {len(asks)} lines\n")
    print("| offers | shown | accepted | kept per line | earned per line, characters |")
    print("| --- | --- | --- | --- | --- |")
    made: list[Answer] = []
    for name, whole in (("whole lines", True), ("ended where unsure", False)):
        asked = [replace(ask, request=replace(ask.request, whole=whole)) for ask in asks]
        answers = served.ask(asked, recent=True)
        made += answers
        print(f"| {name} | {_figures(answers)} |", flush=True)
    print("\n| the rule's p(accept) | came true | offers |")
    print("| --- | --- | --- |")
    for one in binned((rule_probability(each.features), each.accepted) for each in made if each.offer):
        print(f"| {one.promised:.2f} | {one.taken:.2f} | {one.count} |")


def _figures(answers: Sequence[Answer]) -> str:
    shown = [answer for answer in answers if answer.shown]
    kept = sum(answer.kept for answer in shown)
    earned = sum(answer.kept - SHOW_COST if answer.accepted else -_REFUSED for answer in shown)
    accepted = sum(answer.accepted for answer in shown) / max(1, len(shown))
    count = len(answers)
    return f"{len(shown) / count:.0%} | {accepted:.0%} | {kept / count:.2f} | {earned / count:+.2f}"
