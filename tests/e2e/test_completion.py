"""Ghost text from the real model, through the real server: offered, accepted, dismissed, refused with a reason."""

import asyncio
from pathlib import Path

import pytest
from lsprotocol import types as lsp

from tests.e2e.conftest import Connect, change_range, complete, insert, open_document, run, status, until

pytestmark = [pytest.mark.weights, pytest.mark.slow]
EAGER = {"completion": {"mode": "eager", "maxTokens": 16}, "index": {"enabled": False}}
LOOP = "values = [1, 2, 3]\n\nfor i in ran\n"


def ready(found: dict) -> bool:
    return found["model"]["state"] == "ready"


async def test_a_half_written_word_is_finished_and_an_accept_is_recorded(connect: Connect, project: Path):
    client, uri = await connect(project, EAGER), (project / "new.py").as_uri()
    assert (await run(client, "inkling.consent", "local"))["consent"] == "local"
    await until(client, ready)
    open_document(client, uri, LOOP)

    (item,) = await complete(client, uri, 2, 12)
    assert isinstance(item.insert_text, str)
    assert item.insert_text.startswith("ge(")
    assert item.range == lsp.Range(lsp.Position(2, 12), lsp.Position(2, 12))
    insert(client, uri, 2, 2, 12, item.insert_text)
    assert item.command
    await run(client, item.command.command, *item.command.arguments)
    client.text_document_did_close(lsp.DidCloseTextDocumentParams(lsp.TextDocumentIdentifier(uri)))

    found = await until(client, lambda found: found["feedback"]["recorder"]["written"] >= 4)
    assert found["feedback"]["outcomes"] == {"accepted": 1}


async def test_with_consent_off_nothing_is_written(connect: Connect, project: Path, inkling_home: Path):
    client, uri = await connect(project, EAGER), (project / "new.py").as_uri()
    await until(client, ready)
    open_document(client, uri, LOOP)
    assert await complete(client, uri, 2, 12)
    client.text_document_did_close(lsp.DidCloseTextDocumentParams(lsp.TextDocumentIdentifier(uri)))
    found = await status(client)
    assert found["feedback"]["recorder"]["written"] == 0
    assert not await asyncio.to_thread((inkling_home / "data" / "feedback.sqlite").exists)


async def test_typing_the_offered_text_keeps_the_offer_and_a_dismissal_ends_it(connect: Connect, project: Path):
    client, uri = await connect(project, EAGER), (project / "new.py").as_uri()
    await until(client, ready)
    open_document(client, uri, LOOP)
    (first,) = await complete(client, uri, 2, 12)
    assert isinstance(first.insert_text, str)
    insert(client, uri, 2, 2, 12, first.insert_text[0])
    (second,) = await complete(client, uri, 2, 13)
    assert second.insert_text == first.insert_text[1:]
    assert second.command.arguments == first.command.arguments

    await run(client, "inkling.dismiss", *second.command.arguments)
    change_range(client, uri, 3, (2, 12), (2, 13), "")
    assert await complete(client, uri, 2, 12) == []
    assert (await status(client))["lastRefusal"]["reason"] == "just_rejected"


async def test_asked_by_hand_it_offers_others_too_and_the_one_that_is_looked_at_is_recorded(
    connect: Connect, project: Path
):
    client, uri = await connect(project, EAGER), (project / "new.py").as_uri()
    assert (await run(client, "inkling.consent", "local"))["consent"] == "local"
    await until(client, ready)
    open_document(client, uri, LOOP)
    (first,) = await complete(client, uri, 2, 12)
    again, *others = await complete(client, uri, 2, 12, by_hand=True)
    assert again == first
    assert len(others) >= 2
    assert str(others[0].insert_text).startswith(str(first.insert_text)), "the whole line, where the offer ends early"
    texts = [str(item.insert_text) for item in others]
    assert not any(one.startswith(other) for one in texts for other in texts if one is not other)
    assert await complete(client, uri, 2, 12, by_hand=True) == [again, *others]

    accept = others[0].command
    assert accept
    assert accept.arguments
    await run(client, "inkling.shown", *accept.arguments)
    insert(client, uri, 2, 2, 12, str(others[0].insert_text))
    await run(client, accept.command, *accept.arguments)
    client.text_document_did_close(lsp.DidCloseTextDocumentParams(lsp.TextDocumentIdentifier(uri)))
    found = await until(client, lambda found: len(found["feedback"]["outcomes"]) == 2)
    assert found["feedback"]["outcomes"] == {"superseded": 1, "accepted": 1}


async def test_who_goes_back_to_the_first_one_and_takes_it_has_accepted_that_alone(connect: Connect, project: Path):
    client, uri = await connect(project, EAGER), (project / "new.py").as_uri()
    assert (await run(client, "inkling.consent", "local"))["consent"] == "local"
    await until(client, ready)
    open_document(client, uri, LOOP)
    first, other, *_ = await complete(client, uri, 2, 12, by_hand=True)
    for one in (first, other, first):
        assert one.command
        assert one.command.arguments
        await run(client, "inkling.shown", *one.command.arguments)
    insert(client, uri, 2, 2, 12, str(first.insert_text))
    await run(client, "inkling.accept", *(first.command.arguments if first.command else ()))
    client.text_document_did_close(lsp.DidCloseTextDocumentParams(lsp.TextDocumentIdentifier(uri)))
    found = await until(client, lambda found: found["feedback"]["outcomes"])
    assert found["feedback"]["outcomes"] == {"accepted": 1}


async def test_what_was_asked_for_by_hand_and_came_too_late_was_never_offered(connect: Connect, project: Path):
    client, uri = await connect(project, EAGER), (project / "new.py").as_uri()
    assert (await run(client, "inkling.consent", "local"))["consent"] == "local"
    await until(client, ready)
    open_document(client, uri, LOOP)
    asked = asyncio.ensure_future(complete(client, uri, 2, 12, by_hand=True))
    await asyncio.sleep(0)
    insert(client, uri, 2, 2, 12, "§")
    assert await asked == []
    client.text_document_did_close(lsp.DidCloseTextDocumentParams(lsp.TextDocumentIdentifier(uri)))
    found = await status(client)
    assert found["feedback"]["outcomes"] == {}
    assert found["lastRefusal"]["reason"] == "overtaken"


async def test_asked_by_hand_it_shows_what_was_just_refused(connect: Connect, project: Path):
    client, uri = await connect(project, EAGER), (project / "new.py").as_uri()
    await until(client, ready)
    open_document(client, uri, LOOP)
    (first,) = await complete(client, uri, 2, 12)
    assert first.command
    assert first.command.arguments
    await run(client, "inkling.dismiss", *first.command.arguments)
    assert await complete(client, uri, 2, 12) == []
    asked, *_ = await complete(client, uri, 2, 12, by_hand=True)
    assert str(asked.insert_text).startswith(str(first.insert_text))


async def test_whole_lines_are_a_setting(connect: Connect, project: Path):
    whole = {**EAGER, "completion": {**EAGER["completion"], "wholeLines": True}}
    offered = []
    for options in (EAGER, whole):
        client, uri = await connect(project, options), (project / "new.py").as_uri()
        await until(client, ready)
        open_document(client, uri, LOOP)
        offered += [str(item.insert_text) for item in await complete(client, uri, 2, 12)]
    short, line = offered
    assert line.startswith(short)
    assert line != short


async def test_a_newer_request_overtakes_an_older_one_and_a_cancelled_one_ends(connect: Connect, project: Path):
    client, uri = await connect(project, EAGER), (project / "new.py").as_uri()
    await until(client, ready)
    open_document(client, uri, "def area(radius):\n    \n" + LOOP)
    older = asyncio.ensure_future(complete(client, uri, 1, 4))
    await asyncio.sleep(0)
    newer = await complete(client, uri, 4, 12)
    assert await older == []
    assert newer


async def test_secret_files_switched_off_languages_and_a_snooze_are_refused_by_name(connect: Connect, project: Path):
    settings = {**EAGER, "completion": {"languagesOff": ["markdown"]}}
    client = await connect(project, settings)
    for uri, language, reason in (
        ((project / ".env").as_uri(), "plaintext", "secret_file"),
        ((project / "README.md").as_uri(), "markdown", "language_off"),
    ):
        open_document(client, uri, "KEY=", language)
        assert await complete(client, uri, 0, 4) == []
        assert (await status(client))["lastRefusal"]["reason"] == reason
    await run(client, "inkling.snooze", 5)
    open_document(client, "untitled:a", "x = ")
    assert await complete(client, "untitled:a", 0, 4) == []
    assert (await status(client))["lastRefusal"]["reason"] == "snoozed"
