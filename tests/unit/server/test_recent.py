"""What was just turned down is not offered again, and a run of rejections is remembered for a while."""

from server.recent import Recent


def test_what_was_turned_down_is_not_offered_there_again():
    recent = Recent()
    recent.ended("rejected", "x = ", "foo()", 1.0)
    assert recent.was_rejected("x = ", "foo()")
    assert recent.was_rejected("x = f", "oo()")
    assert recent.was_rejected("x =", "  foo()")
    assert not recent.was_rejected("y = ", "foo()")
    assert not recent.was_rejected("x = ", "foo(1)")


def test_only_a_refusal_forbids_a_text():
    recent = Recent()
    for kind in ("ignored", "superseded", "invalidated", "accepted", "typed_through"):
        recent.ended(kind, "x = ", "foo()", 1.0)
    assert not recent.was_rejected("x = ", "foo()")


def test_it_remembers_a_bounded_number():
    recent = Recent()
    for number in range(500):
        recent.ended("rejected", "x = ", f"foo{number}", 1.0)
    assert recent.was_rejected("x = ", "foo499")
    assert not recent.was_rejected("x = ", "foo0")


def test_a_run_ends_with_an_acceptance_and_fades():
    recent = Recent()

    def run(at: float) -> int:
        return recent.situation("python", "", "", at).rejected_run

    for second in range(3):
        recent.ended("rejected", "", f"a{second}", 100.0 + second)
    recent.ended("superseded", "", "b", 104.0)
    assert (run(105.0), run(1000.0)) == (3, 0)
    recent.ended("accepted", "", "c", 106.0)
    assert run(107.0) == 0
    recent.ended("rejected", "", "d", 1000.0)
    assert run(1001.0) == 1


def test_the_share_of_acceptances_follows_the_newest():
    recent = Recent()
    before = recent.situation("python", "", "", 0.0)
    recent.ended("typed_through", "", "a", 1.0)
    after = recent.situation("python", "", "", 2.0)
    assert before.recent_acceptance == 0.5 < after.recent_acceptance < 1.0
    assert (before.last_outcome, after.last_outcome) == (0.0, 1.0)
