"""Rankings become one: copies and pieces are folded, and the folders of a search are judged alike."""

from pathlib import Path

import pytest

from index.builder import Builder
from index.fusion import best, features
from index.search import Search
from tests.unit.index.workspace import CountingEncoder, PartsEncoder, repository

LONG = "".join(f"    lava_{number} = volcano_{number}(crater, {number})\n\n" for number in range(200))


def searching(root: Path, files: dict[str, str | bytes]) -> Search:
    repository(root, files)
    Builder(root, CountingEncoder).build()
    return Search(root, CountingEncoder())


def places(search: Search, query: str, limit: int = 10) -> list[tuple[str, int]]:
    return sorted((hit.path, hit.start_line) for hit in search.search(query, limit=limit))


def test_a_definition_that_was_cut_is_one_hit(tmp_path: Path) -> None:
    search = searching(tmp_path, {"a.py": f"def erupt(crater):\n{LONG}", "b.py": "def erupt_softly(crater): pass\n"})
    assert search.stats()["chunks"] > 4
    assert sorted(hit.name for hit in search.search("crater")) == ["erupt", "erupt_softly"]


def test_definitions_of_one_name_are_hits_of_their_own(tmp_path: Path) -> None:
    padding = "\n".join(f"    crater_{number} = {number}" for number in range(40))
    setter = f"class Lamp:\n    @property\n    def glow(self):\n{padding}\n\n    @glow.setter\n    def glow(self, v):\n"
    texts: dict[str, str | bytes] = {
        "lamp.py": setter.replace("    crater", "        crater") + padding.replace("    crater", "        lava"),
        "guide.md": "# Guide\n\n" + "".join(f"## Setup\n\nCrater {'of lava ' * 80} {n}.\n\n" for n in range(3)),
    }
    search = searching(tmp_path, texts)
    setups = [hit.start_line for hit in search.search("crater lava", path="*.md") if hit.name == "Setup"]
    assert len(setups) == 3
    glows = [hit.start_line for hit in search.search("glow lava crater", path="*.py") if hit.name == "glow"]
    assert len(glows) == 2


@pytest.mark.parametrize("copies", [2, 60])
def test_copies_of_a_file_leave_room_for_what_else_fits(tmp_path: Path, copies: int) -> None:
    vendored = {f"vendor/{n}/volcano.py": "def erupt(volcano):\n    return volcano.lava\n" for n in range(copies)}
    others = {f"{n}.py": f"def other_{n}(volcano):\n    return {n}\n" for n in range(4)}
    found = places(searching(tmp_path, vendored | others), "volcano", limit=5)
    assert [path for path, _ in found if not path.startswith("vendor")] == ["0.py", "1.py", "2.py", "3.py"]
    assert len(found) == 5


def test_two_clones_show_everything_once(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {f"{n}.py": f"def erupt_{n}(volcano):\n    return {n}\n" for n in range(3)}
    answers = [searching(tmp_path / name, files).answer("volcano", limit=10) for name in ("one", "two")]
    assert sorted(hit.path for _, hit in best(answers, 10)) == ["0.py", "1.py", "2.py"]


def test_what_fits_best_in_a_folder_is_not_the_best_of_all(tmp_path: Path) -> None:
    fitting = {f"{n}.py": f"def pour_lava_{n}(volcano):\n    return volcano.crater.lava({n})\n" for n in range(3)}
    loose = {f"{n}.py": f"def other_{n}(crater):\n    return {n}\n" for n in range(3)}
    one = searching(tmp_path / "loose", loose).answer("pour lava of the volcano into the crater", limit=10)
    two = searching(tmp_path / "fitting", fitting).answer("pour lava of the volcano into the crater", limit=10)
    assert [place for place, _ in best([one, two], 6)] == [1, 1, 1, 0, 0, 0]


def test_chunks_are_as_close_as_their_parts_and_who_has_none_yet_as_the_others(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "lava.py": "def pour(lava):\n    return crater\n",
        "ash.py": "def blow(ash):\n    return crater\n",
        "later.py": "def crater(lava):\n    pass\n",
    }
    repository(tmp_path, files)
    Builder(tmp_path, PartsEncoder).build()
    (tmp_path / "later.py").write_text("def crater(lava):\n    return ash\n")
    Builder(tmp_path, None).build()
    answer = Search(tmp_path, PartsEncoder()).answer("lava crater", limit=10)
    paths = {chunk: hit.path for chunk, hit in answer.hits.items()}
    close = {paths[chunk]: value for chunk, value in answer.closeness.items()}
    assert close == {"lava.py": pytest.approx(1), "ash.py": pytest.approx(0.5)}
    found = features(answer.rankings, answer.candidates, answer.query, answer.closeness)
    figures = {paths[chunk]: (one.closest, one.closest_rank) for chunk, one in found.items()}
    assert [figures[path][0] for path in files] == pytest.approx([1, 0.5, 0.75])
    assert [figures[path][1] for path in files] == pytest.approx([1, 21 / 23, 21 / 22])
    doubled = best([answer, answer], 10)
    assert [hit.path for _, hit in doubled] == [hit.path for _, hit in best([answer], 10)]


def test_without_parts_nothing_is_close(tmp_path: Path) -> None:
    answer = searching(tmp_path, {"lava.py": "def pour(lava): pass\n"}).answer("lava", limit=10)
    assert answer.closeness == {}
    found = features(answer.rankings, answer.candidates, answer.query, answer.closeness)
    assert [(one.closest, one.closest_rank) for one in found.values()] == [(0, 0)]


def test_no_answers_are_no_hits() -> None:
    assert best([], 10) == []
