"""Consent is off until chosen, and every process sees the choice."""

from pathlib import Path

from feedback.consent import Consent, Consents, consent, list_consents, set_consent


def test_it_is_off_until_chosen_and_asking_makes_no_file(place: Path) -> None:
    assert consent("/a", place) is Consent.OFF
    assert list_consents(place) == {}
    assert not place.parent.exists()


def test_choosing_off_where_nothing_is_makes_no_file(place: Path) -> None:
    set_consent("/a", Consent.OFF, place)
    assert not place.parent.exists()


def test_a_choice_holds_for_its_workspace_alone(place: Path) -> None:
    set_consent("/a", Consent.LOCAL, place)
    set_consent("/b/", Consent.TEAM, place)
    assert [consent(root, place) for root in ("/a", "/a/", "/b", "/a/sub")] == [
        Consent.LOCAL,
        Consent.LOCAL,
        Consent.TEAM,
        Consent.OFF,
    ]


def test_the_last_choice_counts(place: Path) -> None:
    set_consent("/a", Consent.LOCAL, place)
    set_consent("/a", Consent.OFF, place)
    assert list_consents(place) == {"/a": Consent.OFF}


def test_a_choice_made_elsewhere_is_seen(place: Path) -> None:
    book = Consents(place, fresh=0.0)
    assert book.get("/a") is Consent.OFF
    set_consent("/a", Consent.LOCAL, place)
    assert book.get("/a") is Consent.LOCAL
    set_consent("/a", Consent.OFF, place)
    assert book.get("/a") is Consent.OFF
    book.close()
