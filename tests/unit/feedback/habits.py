"""What people, and the programs beside them, do with ghost text: one function per habit, with what it comes to."""

from feedback.records import OutcomeKind
from feedback.regions import Edit
from tests.unit.feedback.simulated_user import _OTHER, Editor, habit, size, words

Truth = tuple[OutcomeKind, int | None]


@habit(14)
def takes_it_with_tab(e: Editor) -> Truth:
    e.insert(e.text)
    e.report_accepted()
    return "accepted", size(e.text)


@habit(2)
def takes_it_and_the_report_comes_first(e: Editor) -> Truth:
    e.report_accepted()
    e.insert(e.text)
    return "accepted", size(e.text)


@habit(2)
def takes_it_and_an_import_is_added_above(e: Editor) -> Truth:
    text, line = e.text, f"import json{e.eol}"
    e.send(Edit(e.cursor, e.cursor, text), Edit(0, 0, line))
    e.cursor += len(text) + len(line)
    e.report_accepted()
    return "accepted", size(text)


@habit(2)
def takes_it_and_an_import_follows(e: Editor) -> Truth:
    e.insert(e.text)
    e.wait(0.2)
    e.send(Edit(0, 0, f"import json{e.eol}"))
    e.report_accepted()
    return "accepted", size(e.text)


@habit(3)
def takes_it_and_goes_on(e: Editor) -> Truth:
    e.insert(e.text)
    e.report_accepted()
    e.key(e.eol)
    e.type("more()")
    return "accepted", size(e.text)


@habit(5)
def takes_all_word_by_word(e: Editor) -> Truth:
    done = 0
    for word in words(e.text):
        e.insert(word)
        done += size(word)
        e.report_accepted(done)
        e.wait(0.3)
    return "accepted", None


@habit(2)
def takes_all_line_by_line(e: Editor) -> Truth:
    done = 0
    for line in e.text.splitlines(keepends=True):
        e.insert(line)
        done += size(line)
        e.report_accepted(done)
        e.wait(0.3)
    return "accepted", None


@habit(4)
def takes_two_words_and_writes_something_else(e: Editor) -> Truth:
    first = words(e.text)[:2]
    if len(words(e.text)) < 4 or len("".join(first)) < 3:
        return takes_it_with_tab(e)
    for word in first:
        e.insert(word)
        e.wait(0.2)
    if len(first[0]) < 2 or len(first[1]) < 2:
        e.report_accepted(size("".join(first)))
    e.type("~other")
    return "partial", None


@habit(8)
def types_the_same(e: Editor) -> Truth:
    e.type(e.text)
    return "typed_through", None


@habit(3)
def types_a_part_and_takes_the_rest(e: Editor) -> Truth:
    part = e.chance.randrange(1, max(2, len(e.text) // 2))
    rest = e.text[part:]
    if len(rest.strip()) < 3 or "\r" in e.text[part - 1 : part]:
        return takes_it_with_tab(e)
    for character in e.text[:part]:
        e.key(character)
    e.insert(rest)
    e.report_accepted()
    return "accepted", size(rest)


@habit(3)
def types_a_part_and_takes_a_name_from_the_list(e: Editor) -> Truth:
    name = words(e.text)[0]
    if not name.isidentifier() or len(name) < 4 or name == e.text:
        return types_the_same(e)
    e.key(name[0])
    e.key(name[1])
    e.send(Edit(e.cursor - 2, e.cursor, name))
    e.cursor += len(name) - 2
    e.wait(0.4)
    e.type(e.text[len(name) :])
    return "typed_through", None


@habit(12)
def types_something_else(e: Editor) -> Truth:
    other = next(o for o in (e.chance.choice(_OTHER), "~~") if o[0] != e.text[0])
    e.type(other)
    return "rejected", 0


@habit(2)
def begins_the_same_and_turns_away(e: Editor) -> Truth:
    if len(e.text) < 6:
        return types_something_else(e)
    e.key(e.text[0])
    e.key("~")
    e.type("other")
    return "rejected", None


@habit(4)
def sends_it_away(e: Editor) -> Truth:
    if e.reports:
        e.events += e.tracker.dismissed("s", e.now)
        e.wait(e.chance.uniform(0.1, 5))
    e.type("~other")
    return "rejected", None


@habit(2)
def sends_it_away_and_goes(e: Editor) -> Truth:
    if not e.reports:
        return types_something_else(e)
    e.events += e.tracker.dismissed("s", e.now)
    return "rejected", 0


@habit(2)
def types_one_key_elsewhere(e: Editor) -> Truth:
    place = e.elsewhere()
    e.send(Edit(place, place, "z"))
    return "ignored", 0


@habit(6)
def works_elsewhere(e: Editor) -> Truth:
    place = e.elsewhere()
    for count, character in enumerate("note"):
        e.send(Edit(place + count, place + count, character))
        e.wait(0.2)
    return "ignored", 0


@habit(4)
def does_nothing(e: Editor) -> Truth:
    e.wait(70)
    return "ignored", 0


@habit(4)
def gets_a_newer_one(e: Editor) -> Truth:
    e.events += e.tracker.offered("t", "a.py", e.cursor, "other_text()", e.now, e.content)
    return "superseded", None


@habit(3)
def types_on_and_is_offered_the_rest(e: Editor) -> Truth:
    if len(e.text) < 6 or "\r" in e.text[:3]:
        return gets_a_newer_one(e)
    e.key(e.text[0])
    e.key(e.text[1])
    e.events += e.tracker.offered("t", "a.py", e.cursor, e.text[2:] + "  # more", e.now, e.content)
    e.insert(e.text[2:] + "  # more")
    return "superseded", None


@habit(3)
def undoes_it_at_once(e: Editor) -> Truth:
    start = e.cursor
    e.insert(e.text)
    e.report_accepted()
    e.wait(e.chance.uniform(0.2, 2.4))
    e.send(Edit(start, e.cursor, ""))
    e.cursor = start
    return "rejected", 0


@habit(2)
def deletes_it_key_by_key(e: Editor) -> Truth:
    e.insert(e.text)
    e.report_accepted()
    e.wait(e.chance.uniform(0.1, 0.8))
    e.backspace(len(e.text))
    return "rejected", 0


@habit(1)
def undoes_the_import_too(e: Editor) -> Truth:
    start, line = e.cursor, f"import json{e.eol}"
    e.send(Edit(start, start, e.text), Edit(0, 0, line))
    e.report_accepted()
    e.wait(1)
    e.send(Edit(0, len(line), ""), Edit(start, start + len(e.text), ""))
    return "rejected", 0


@habit(2)
def is_formatted_after_taking_it(e: Editor) -> Truth:
    e.insert(e.text)
    e.report_accepted()
    e.wait(e.chance.uniform(0.3, 2.0))
    formatted = "\n\n".join(part.rstrip() for part in e.content.replace("'", '"').split("\n\n")) + "\n"
    e.send(Edit(0, len(e.content), formatted))
    return "accepted", size(e.text)


@habit(1)
def is_formatted_elsewhere_first(e: Editor) -> Truth:
    behind = e.content.find("def main")
    old = e.content[behind : behind + 40]
    if behind < e.cursor + 40:
        return takes_it_with_tab(e)
    e.send(Edit(behind, behind + 40, old.replace("(", "(  ").replace(":", " :")))
    e.wait(0.5)
    return takes_it_with_tab(e)


@habit(1)
def is_formatted_under_the_cursor(e: Editor) -> Truth:
    start = e.content.rfind("\n", 0, e.cursor) + 1
    end = e.cursor
    e.send(Edit(start, end, "\t\t" + e.content[start:end].strip() + " "), Edit(0, 0, e.eol), Edit(0, 0, e.eol))
    return "invalidated", 0


@habit(1)
def the_agent_edits_elsewhere(e: Editor) -> Truth:
    e.send(Edit(0, 0, f"import sys{e.eol}import json{e.eol}"), author="agent")
    e.cursor += len(f"import sys{e.eol}import json{e.eol}")
    e.wait(1.5)
    return takes_it_with_tab(e)


@habit(1)
def the_agent_edits_the_line(e: Editor) -> Truth:
    start = e.content.rfind("\n", 0, e.cursor) + 1
    end = e.content.find("\n", e.cursor)
    e.send(Edit(start, end, "agent = 1"), author="agent")
    return "invalidated", 0


@habit(1)
def another_extension_adds_a_block_elsewhere(e: Editor) -> Truth:
    place = e.elsewhere()
    block = f"# generated{e.eol}# by a tool{e.eol}"
    e.send(Edit(place, place, block))
    e.cursor += len(block) if place <= e.cursor else 0
    e.wait(2)
    return takes_it_with_tab(e)


@habit(1)
def types_it_with_several_cursors(e: Editor) -> Truth:
    if "\n" in e.text:
        return takes_it_with_tab(e)
    other = e.content.rfind("\n") + 1
    for character in e.text:
        e.send(Edit(other, other, character), Edit(e.cursor, e.cursor, character))
        e.cursor += 1
        other += 2
        e.wait(0.1)
    return "typed_through", None


@habit(1)
def takes_it_with_several_cursors(e: Editor) -> Truth:
    other = e.content.rfind("\n") + 1
    e.send(Edit(other, other, e.text), Edit(e.cursor, e.cursor, e.text))
    e.report_accepted()
    return "accepted", size(e.text)


@habit(2)
def closes_the_document(e: Editor) -> Truth:
    e.close()
    return "invalidated", 0


@habit(0.5)
def gets_a_notification_twice(e: Editor) -> Truth:
    e.key(e.text[0])
    e.version -= 1
    e.send(Edit(e.cursor - 1, e.cursor - 1, e.text[0]))
    return "invalidated", None


@habit(0.5)
def has_a_clock_that_jumps_back(e: Editor) -> Truth:
    e.now -= 3600
    return takes_it_with_tab(e)


@habit(0.2)
def takes_the_next_word_from_the_list_unbegun(e: Editor) -> Truth:
    name = words(e.text)[0]
    if len(name) < 3 or name == e.text:
        return types_the_same(e)
    e.insert(name)
    e.wait(0.4)
    e.type(e.text[len(name) :])
    return "typed_through", None
