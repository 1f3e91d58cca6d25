"""Drafts: the longest agreement wins, what fails is given up, and nothing is proposed across a border."""

import random

from model.drafting import Drafts


def test_what_followed_the_same_tokens_is_proposed():
    assert Drafts().propose([1, 2, 3, 4, 9, 1, 2, 3], 2) == (4, 9)


def test_nothing_is_proposed_where_nothing_was_seen():
    assert Drafts().propose([1, 2, 3, 4], 4) == ()
    assert Drafts().propose([], 4) == ()
    assert Drafts().propose([1], 4) == ()
    assert Drafts().propose([1, 2, 1, 2], 0) == ()


def test_the_longest_agreement_wins():
    drafts = Drafts()
    drafts.set_documents([(5, 1, 2, 3, 70), (6, 4, 1, 2, 3, 80)])
    assert drafts.propose([9, 4, 1, 2, 3], 1) == (80,)


def test_among_equals_recent_edits_come_before_the_text_and_that_before_documents():
    drafts = Drafts()
    drafts.set_documents([(9, 0, 1, 2, 30)])
    assert drafts.propose([9, 0, 1, 2], 1) == (30,)
    assert drafts.propose([9, 0, 1, 2, 40, 9, 0, 1, 2], 1) == (40,)
    drafts.note_edit([9, 0, 1, 2, 50])
    assert drafts.propose([9, 0, 1, 2, 40, 9, 0, 1, 2], 1) == (50,)


def test_no_draft_runs_from_one_document_into_the_next():
    drafts = Drafts()
    drafts.set_documents([(0, 1, 2, 3), (7, 8, 9)])
    assert drafts.propose([0, 1, 2], 8) == (3,)
    assert drafts.propose([1, 2, 3], 8) == ()


def test_documents_can_be_exchanged():
    drafts = Drafts()
    drafts.set_documents([(9, 0, 1, 2, 3)])
    drafts.set_documents([(9, 0, 1, 2, 4)])
    assert drafts.propose([9, 0, 1, 2], 1) == (4,)
    drafts.set_documents([])
    assert drafts.propose([9, 0, 1, 2], 1) == ()


def test_only_recent_edits_are_remembered():
    drafts = Drafts()
    drafts.note_edit([0, 1, 2, 3])
    drafts.note_edit(list(range(100, 4200)))
    assert drafts.propose([0, 1, 2], 1) == ()
    assert drafts.propose([3998, 3999, 4000, 4001], 1) == (4002,)


def simulated(text: list[int], drafts: Drafts) -> tuple[int, int, int]:
    """Greedy decoding of a known text from its middle on: forward passes, drafted and accepted tokens."""
    at, passes, drafted, accepted = len(text) // 2, 0, 0, 0
    while at < len(text):
        draft = drafts.propose(text[:at], 8)
        kept = 0
        while kept < len(draft) and at + kept < len(text) and draft[kept] == text[at + kept]:
            kept += 1
        drafts.feedback(len(draft), kept)
        passes, drafted, accepted = passes + 1, drafted + len(draft), accepted + kept
        at += kept + 1
    return passes, drafted, accepted


def test_repetitive_edits_take_far_fewer_passes():
    rng = random.Random(0)
    body = [rng.randrange(1000) for _ in range(40)]
    text = [token for copy in range(20) for token in [*body[:20], 2000 + copy, *body[20:]]]
    passes, _, accepted = simulated(text, Drafts())
    assert accepted > 2 * passes


def test_where_drafts_fail_they_are_given_up():
    rng = random.Random(0)
    text = [rng.randrange(12) for _ in range(2000)]
    passes, drafted, _ = simulated(text, Drafts())
    assert drafted < passes / 4
