"""The doctor finds what is wrong, names the mend, and never raises or changes anything."""

import sqlite3
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from feedback.consent import Consent, set_consent
from inkling.folders import config_folder, feedback_database, index_folder, logs_folder
from model.training import packages
from server import doctor
from server.doctor import Check


def _versions(monkeypatch: pytest.MonkeyPatch, **known: str) -> None:
    """Let only these distributions be installed (underscores stand for hyphens)."""
    table = {name.replace("_", "-"): version for name, version in known.items()}

    def version(name: str) -> str:
        if name not in table:
            raise metadata.PackageNotFoundError(name)
        return table[name]

    monkeypatch.setattr(metadata, "version", version)


def own(settings: str) -> None:
    """Write the user's settings file."""
    config_folder().mkdir(parents=True, exist_ok=True)
    (config_folder() / "settings.toml").write_text(settings)


def test_every_finding_that_is_not_ok_names_a_mend() -> None:
    found = doctor.checks(ask_torch=False)
    assert [check for check in found if check.state != "ok" and not check.mend] == []


def test_looking_creates_nothing_but_the_log_folder(inkling_home: Path) -> None:
    doctor.checks(ask_torch=False)
    assert [path for path in inkling_home.rglob("*") if path.is_file()] == []
    assert not feedback_database().exists()


def test_heavy_packages_are_not_imported_by_looking(repository: Path) -> None:
    code = (
        f"import sys; sys.path[:0] = [{str(repository)!r}]; from server import doctor; doctor.checks(ask_torch=False);"
        "print(sorted({'torch', 'transformers', 'sentence_transformers', 'faiss', 'onnxruntime'} & set(sys.modules)))"
    )
    answer = doctor.subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_both_onnx_runtimes_at_once_are_a_failure_that_keeps_one(monkeypatch: pytest.MonkeyPatch) -> None:
    _versions(monkeypatch, onnxruntime="1.32.0", onnxruntime_gpu="1.31.1")
    check = doctor.onnx_runtime()
    assert check.state == "fail"
    assert "uninstall -y onnxruntime onnxruntime-gpu" in check.mend


@pytest.mark.parametrize("only", ["onnxruntime", "onnxruntime_gpu"])
def test_one_onnx_runtime_is_fine(monkeypatch: pytest.MonkeyPatch, only: str) -> None:
    _versions(monkeypatch, **{only: "1.32.0"})
    assert doctor.onnx_runtime().state == "ok"


def test_no_onnx_runtime_is_a_warning_that_names_the_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    _versions(monkeypatch)
    check = doctor.onnx_runtime()
    assert check.state == "warn"
    assert "install onnxruntime (or onnxruntime-gpu" in check.mend


def test_a_package_that_is_too_old_is_a_failure() -> None:
    assert doctor.package(Requirement("platformdirs>=9999")).state == "fail"


def test_a_package_that_is_absent_is_a_failure_with_the_command_that_brings_it() -> None:
    check = doctor.package(Requirement("inkling-has-no-such-package>=2"))
    assert check.state == "fail"
    assert "pip install 'inkling-has-no-such-package>=2'" in check.mend


def test_nobody_is_told_to_install_what_an_index_has_under_our_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def requires(name: str) -> list[str]:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", requires)
    (check,) = doctor.packages()
    assert check.state == "fail"
    assert "README" in check.mend
    assert "pip" not in check.mend


def test_a_package_whose_module_is_gone_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    _versions(monkeypatch, inkling_has_no_such_package="1.0")
    assert doctor.package(Requirement("inkling-has-no-such-package")).state == "fail"


def test_every_requirement_of_ours_is_looked_at() -> None:
    names = {check.name for check in doctor.packages()}
    assert {"package torch", "package pygls", "package faiss-cpu"} <= names


@pytest.mark.slow
def test_torch_is_asked_in_a_child_process() -> None:
    check = doctor.torch_device()
    assert check.state in ("ok", "warn")
    assert metadata.version("torch") in check.found


def test_a_torch_that_crashes_is_a_finding() -> None:
    check = doctor.torch_device("raise ImportError('libcudart.so.13: cannot open shared object file')")
    assert check.state == "fail"
    assert "libcudart.so.13" in check.found


def test_a_torch_that_is_killed_is_a_finding() -> None:
    assert doctor.torch_device("import os; os.abort()").state == "fail"


def test_a_torch_that_answers_nonsense_is_a_finding() -> None:
    assert doctor.torch_device("print('hello')").state == "fail"


def test_missing_weights_name_the_command_that_brings_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("INKLING_MODELS", str(tmp_path))
    found = list(doctor.weights())
    assert {check.state for check in found} == {"fail"}
    assert all(check.mend.startswith("inkling models pull ") for check in found)


def test_the_weights_that_the_user_chose_are_looked_for() -> None:
    own("[model]\nbase = 'path:/nowhere'\n")
    (base,) = [check for check in doctor.weights() if check.name == "weights base"]
    assert base.state == "fail"
    assert "inkling.model.base" in base.mend


def test_the_settings_file_is_named_and_what_is_wrong_with_it_said() -> None:
    (there,) = doctor.settings()
    assert there.state == "ok"
    assert str(config_folder()) in there.found
    own("[completion]\nmax_tokens = 3\n")
    states = [check.state for check in doctor.settings()]
    assert states == ["ok", "warn"]
    own("completion =")
    (broken,) = doctor.settings()
    assert broken.state == "fail"
    assert doctor.worst(doctor.checks(ask_torch=False)) == "fail"


def test_without_what_trains_nights_are_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor.training().state == "ok"
    monkeypatch.setattr(packages, "NEEDED", ("peft", "inkling_has_no_such_package"))
    check = doctor.training()
    assert check.state == "warn"
    assert "inkling_has_no_such_package" in check.found
    with pytest.raises(packages.NoTrainingError, match=f"{sys.executable} -m pip install peft"):
        packages.require()


def test_a_database_elsewhere_is_asked_and_its_address_not_told() -> None:
    own("[feedback]\ndatabase = 'postgresql+psycopg://me:secret@127.0.0.1:1/inkling'\n")
    check = doctor.feedback()
    assert check.state == "fail"
    assert "secret" not in check.found + check.mend


def test_without_a_database_nothing_is_wrong_with_feedback() -> None:
    assert doctor.feedback().state == "ok"


def test_the_workspaces_with_consent_are_counted(tmp_path: Path) -> None:
    set_consent(tmp_path / "one", Consent.LOCAL)
    set_consent(tmp_path / "two", Consent.OFF)
    check = doctor.feedback()
    assert check.state == "ok"
    assert "consent from 1 workspaces" in check.found


def test_a_broken_database_is_a_failure_and_stays_as_it_is() -> None:
    place = feedback_database()
    place.parent.mkdir(parents=True)
    place.write_bytes(b"this is no database, and long enough to be taken for one" * 100)
    before = place.read_bytes()
    assert doctor.feedback().state == "fail"
    assert place.read_bytes() == before


def test_the_size_of_the_index_is_told() -> None:
    index_folder().mkdir(parents=True)
    (index_folder() / "one.sqlite").write_bytes(b"x" * 1500)
    assert doctor.index().found.startswith("1.5 kB in 1 files")


def test_a_full_disk_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "NO_SPACE", 10**18)
    assert doctor.disk().state == "fail"


def test_a_log_folder_that_cannot_be_made_is_a_failure(inkling_home: Path) -> None:
    logs_folder().parent.mkdir(parents=True)
    logs_folder().write_text("a file where the folder should be")
    assert doctor.logs().state == "fail"


def test_the_sqlite_of_this_python_has_full_text_search() -> None:
    assert doctor.full_text_search() == Check("sqlite", "ok", f"{sqlite3.sqlite_version} with FTS5")


def test_a_missing_program_is_a_warning_only() -> None:
    assert {check.state for check in doctor.programs(lambda name: None)} == {"warn"}


def test_either_pyright_will_do() -> None:
    found = {check.name: check.state for check in doctor.programs(lambda name: "/x" if name == "pyright" else None)}
    assert found["program pyright"] == "ok"


def test_the_whole_is_as_bad_as_its_worst_part() -> None:
    ok, warn, fail = Check("a", "ok", ""), Check("b", "warn", "", "x"), Check("c", "fail", "", "x")
    assert [doctor.worst(found) for found in ([ok], [ok, warn], [warn, fail, ok])] == ["ok", "warn", "fail"]
