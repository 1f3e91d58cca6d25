"""Which documents stay before the model, and what the user typed lately."""

from model.document import Document
from model.typing_trail import TypingTrail
from model.working_set import WorkingSet


def document(name: str, size: int = 10, text: str = "") -> Document:
    return Document(f"{name}.py", text or name * size)


def working_set(budget: int) -> WorkingSet:
    return WorkingSet(budget, lambda document: len(document.text))


def test_what_was_asked_for_earlier_stays_while_it_fits():
    chosen = working_set(30)
    a, b, c, d = (document(name) for name in "abcd")
    assert chosen.choose("x.py", [a, b]) == (a, b)
    assert chosen.choose("x.py", [c]) == (c, a, b)
    assert chosen.choose("x.py", [d]) == (d, c, a)
    assert chosen.choose("x.py", []) == (d, c, a)


def test_another_file_starts_anew():
    chosen = working_set(30)
    chosen.choose("x.py", [document("a")])
    assert chosen.choose("y.py", [document("b")]) == (document("b"),)


def test_a_new_version_takes_the_old_ones_place():
    chosen = working_set(100)
    chosen.choose("x.py", [document("a", text="old"), document("b")])
    assert chosen.choose("x.py", [document("a", text="new")]) == (document("a", text="new"), document("b"))


def test_units_of_one_file_stand_beside_each_other():
    first, second = Document("a.py", "one", "one"), Document("a.py", "two", "two")
    chosen = working_set(100)
    chosen.choose("x.py", [first])
    assert chosen.choose("x.py", [second]) == (second, first)


def test_what_does_not_fit_is_left_out_and_the_next_is_tried():
    assert working_set(15).choose("x.py", [document("a", 20), document("b", 10)]) == (document("b", 10),)


def test_fewer_fit_from_the_next_request_on():
    chosen = working_set(30)
    chosen.choose("x.py", [document("a"), document("b")])
    chosen.limit(10)
    assert chosen.choose("x.py", []) == (document("a"),)


def test_lines_are_told_once_they_are_finished():
    trail = TypingTrail()
    assert trail.typed("x.py", "import os\n") == ""
    assert trail.typed("x.py", "import os\nvalue") == ""
    assert trail.typed("x.py", "import os\nvalue = 1\nne") == "value = 1\n"
    assert trail.typed("x.py", "import os\nvalue = 1\nnext()\n") == "next()\n"


def test_a_jump_a_paste_and_another_file_are_not_typing():
    trail = TypingTrail()
    trail.typed("x.py", "one\n")
    assert trail.typed("x.py", "two\nthree\n") == ""
    assert trail.typed("x.py", "two\nthree\n" + "x\n" * 2000) == ""
    assert trail.typed("y.py", "two\nthree\n" + "x\n" * 2001) == ""
