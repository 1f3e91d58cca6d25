"""Timers for admins: what is printed is what systemd and cron understand, and it starts an isolated Inkling."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from inkling.errors import UserError
from server.nights.schedule import Schedule
from server.nights.timers import MARK, SERVICE, TIMER, cron_line, install_cron, install_units, units, with_line

AT, OPTIONS = Schedule("daily", 3, 30), ["--base", "path:/models/one 100% $mine"]


def test_the_command_ignores_the_environment_and_the_current_folder() -> None:
    service, line = units(AT, OPTIONS)[SERVICE], cron_line(AT, OPTIONS)
    for text in (service, line):
        assert f"{sys.executable} -E -P -X utf8 -m inkling night" in text
    assert "WorkingDirectory=/\n" in service
    assert line.startswith("30 3 * * * cd / && ")
    assert line.endswith(MARK)


def test_where_things_lie_goes_with_it_and_nothing_else(inkling_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/planted")
    text = units(AT, OPTIONS)[SERVICE] + cron_line(AT, OPTIONS)
    assert f'Environment="INKLING_HOME={inkling_home}"' in text
    assert f"INKLING_HOME={inkling_home} " in text
    assert "planted" not in text


def test_signs_that_mean_something_to_systemd_and_cron_are_escaped() -> None:
    assert '"path:/models/one 100%% $$mine"' in units(AT, OPTIONS)[SERVICE]
    line = cron_line(AT, OPTIONS)
    words = shlex.split(line.replace(r"\%", "%").removesuffix(MARK))
    assert OPTIONS[1] in words


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    for name, text in units(AT, OPTIONS).items():
        (tmp_path / name).write_text(text)
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
    said = subprocess.run(
        ["systemd-analyze", "--user", "verify", str(tmp_path / SERVICE), str(tmp_path / TIMER)],
        capture_output=True,
        text=True,
        env=environment,
    )
    ours = [line for line in (said.stderr + said.stdout).splitlines() if "inkling-night" in line]
    assert ours == []
    calendar = subprocess.run(["systemd-analyze", "calendar", "*-*-* 03:30:00"], capture_output=True, text=True)
    assert "Normalized form: *-*-* 03:30:00" in calendar.stdout


def test_units_are_written_where_systemd_looks_and_twice_is_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))  # no systemctl
    for _ in range(2):
        told = install_units(units(AT, OPTIONS))
    assert sorted(path.name for path in (tmp_path / "systemd" / "user").iterdir()) == [SERVICE, TIMER]
    assert "systemctl --user enable --now inkling-night.timer" in told[-1]


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "systemd").write_text("")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    with pytest.raises(UserError, match="print them with --systemd"):
        install_units(units(AT, OPTIONS))


def test_the_line_takes_the_place_of_an_earlier_one_of_ours_only() -> None:
    held = f"# mine\n0 4 * * * backup\n0 1 * * * old {MARK}\n"
    assert with_line(held, f"new {MARK}") == f"# mine\n0 4 * * * backup\nnew {MARK}\n"


def test_the_users_own_lines_stay_in_the_crontab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tmp_path / "table"
    table.write_text("0 4 * * * backup\n")
    program = tmp_path / "crontab"
    program.write_text(
        f'#!/bin/sh\nif [ "$1" = -l ]; then cat {table}; else cat > {table}.new; mv {table}.new {table}; fi\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    for _ in range(2):
        install_cron(cron_line(AT, OPTIONS))
    lines = table.read_text().splitlines()
    assert lines == ["0 4 * * * backup", cron_line(AT, OPTIONS)]


def test_without_cron_the_other_way_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="--systemd"):
        install_cron(cron_line(AT, OPTIONS))
