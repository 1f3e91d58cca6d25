"""What a team is told: what was recorded while the editor's telemetry was off is never among it."""

from pathlib import Path

from feedback.consent import Consent, Consents
from feedback.database import open_database
from feedback.recorder import Recorder
from feedback.records import Outcome, Settled
from feedback.sending import parcels
from tests.unit.feedback.conftest import MakeSuggestion
from tests.unit.feedback.postgres_server import BOTH_STORES

WORKSPACE = "/home/me/project"


@BOTH_STORES
def test_what_is_recorded_while_telemetry_is_off_never_goes_to_a_team(
    place: Path, consents: Consents, recorder: Recorder, suggestion: MakeSuggestion
) -> None:
    def shared() -> set[str]:
        engine = open_database(place)
        try:
            return {id for parcel in parcels(engine, {WORKSPACE: 0.0}, {}, 101.0) for id in parcel.sent}
        finally:
            engine.dispose()

    recorder.record(suggestion("before"))
    recorder.record(suggestion("begun before"))
    assert recorder.flush(20)
    consents.at_most = Consent.LOCAL  # the editor's switch, with inkling.feedback.withoutTelemetry at local
    recorder.record(suggestion("meanwhile"))
    recorder.record(Settled("begun before", 112, "f()"))
    assert recorder.flush(20)
    consents.at_most = Consent.TEAM
    recorder.record(suggestion("after"))
    recorder.record(Outcome("meanwhile", 113, "accepted", 3, "client", 1.0))
    assert recorder.flush(20)
    assert shared() == {"before", "after"}
