"""What a person names becomes a history, or a sentence that says what was expected."""

from pathlib import Path

import pytest

from model.evaluation.replay_sources import Source, SourceError, of_package, old_packages, somebody_else, unique


def test_folders_are_versions_in_the_order_in_which_they_are_named(tmp_path: Path):
    for version in ("b", "a"):
        (tmp_path / version / "shop").mkdir(parents=True)
        (tmp_path / version / "shop" / "orders.py").write_text(f"x = '{version}'\n")
    source = of_package(f"{tmp_path}/b/shop,{tmp_path}/a/shop")
    assert (source.name, source.versions) == ("shop", ["1", "2"])
    assert [snapshot.files["orders.py"] for snapshot in source.snapshots] == ["x = 'b'\n", "x = 'a'\n"]


def test_folders_whose_texts_changed_are_another_history(tmp_path: Path):
    for version in ("1", "2"):
        (tmp_path / version / "shop").mkdir(parents=True)
        (tmp_path / version / "shop" / "orders.py").write_text(f"x = '{version}'\n")
    named = f"{tmp_path}/1/shop,{tmp_path}/2/shop"
    before = of_package(named)
    assert of_package(named).digest == before.digest
    (tmp_path / "1" / "shop" / "orders.py").write_text("x = 'another'\n")
    after = of_package(named)
    assert after.versions == before.versions
    assert after.digest != before.digest


@pytest.mark.parametrize("text", ["shop", "shop==1.0", "shop==", "shop==1.0,", "==1.0,2.0", "shop>=1.0,2.0"])
def test_one_version_is_no_history(text: str):
    with pytest.raises(SourceError, match="at least two versions"):
        of_package(text)


def test_a_version_that_is_none_is_named():
    with pytest.raises(SourceError, match="later"):
        of_package("shop==1.0,later")


def test_one_folder_is_no_history(tmp_path: Path):
    with pytest.raises(SourceError, match="at least two"):
        of_package(f"{tmp_path}/")


def test_a_package_is_named_once():
    with pytest.raises(SourceError, match="shop: named twice"):
        unique([Source("shop", ()), Source("mill", ()), Source("shop", ())])


def test_others_come_with_python():
    other = somebody_else()
    assert other.snapshots[0].files == {}
    assert len(other.snapshots[1].files) > 5
    assert all(package.files for package in old_packages())
    assert other.name not in {package.name for package in old_packages()}
