"""Edits in places like the cursor's come as one document, the likest first."""

from feedback.records import SIMILAR_EDITS, is_of_edits
from model.document import Document
from model.similar_edits import Edited, ranked, similar_edits

OPEN = Edited("a.py", ("    with open(path) as file:",), ("def load(path):",), ("    return file.read()",))
CLOSE = Edited("b.py", ("    connection.close()",), ("def leave(connection):",))
SAVE = Edited(
    "c.py", ("    with open(path, 'w') as file:",), ("def save(path, text):", ""), ("        file.write(text)",)
)


def test_what_shares_rare_words_comes_first_and_what_shares_none_not_at_all():
    assert ranked([OPEN, CLOSE, SAVE], ["def keep(path, text):"])[0] == 2
    assert ranked([OPEN, CLOSE], ["lonely"]) == []
    assert ranked([], ["lonely"]) == []


def test_of_equals_the_newest_comes_first():
    assert ranked([OPEN, OPEN, CLOSE], ["def load(path):"])[:2] == [1, 0]


def test_the_likest_stands_first_below_the_lines_above_it():
    made = similar_edits(
        [SAVE, CLOSE, OPEN], ["", "def keep(path, text):", ""], ["        file.write(text)"], ".py", 1000, len
    )
    assert made is not None
    assert (made.path, made.unit) == ("similar_edits.py", SIMILAR_EDITS)
    assert is_of_edits(made.path)
    assert made.text.startswith("# c.py\ndef save(path, text):\n    with open(path, 'w') as file:\n")
    assert "# a.py" in made.text


def test_what_another_document_says_is_left_out():
    besides = Document("recent_edits.py", f"# c.py\n{SAVE.lines[0]}\n")
    made = similar_edits([SAVE, OPEN], ["def keep(path):"], [], ".py", 1000, len, besides)
    assert made is not None
    assert "'w'" not in made.text


def test_only_so_much_is_said():
    for room in range(0, 200, 7):
        made = similar_edits([SAVE, CLOSE, OPEN], ["def keep(path, text):"], [], ".py", room, len)
        assert made is None or len(made.text) <= room
        assert made is None or made.text.startswith("# "), "what is shown is told by its file"


def test_a_long_line_is_read_only_so_far():
    wide = Edited("d.py", ("x" + " y" * 5000 + " needle",))
    assert ranked([wide], ["needle"]) == []
