"""Timers of the system that start nights where no editor runs: a systemd user timer, or a line for cron. For admins.

Texts first, and what installs them apart. What always holds: the command ignores PYTHONPATH and the current folder,
and installing twice leaves one timer.
"""

import os
import shlex
import shutil
import subprocess
from pathlib import Path

from inkling.errors import UserError
from inkling.process import command
from server.nights.schedule import Schedule

SERVICE, TIMER = "inkling-night.service", "inkling-night.timer"
MARK = "# inkling night"
PAUSED_CODE = 75  # of a night that gave way and is to be started again (EX_TEMPFAIL of sysexits.h)
_VARIABLES = ("INKLING_HOME", "INKLING_MODELS")  # where things lie; everything else a night reads from its settings


def units(schedule: Schedule, options: list[str]) -> dict[str, str]:
    """The two unit files by name. A machine that slept through the time makes up for it when it wakes."""
    words = command("night", *options)
    variables = "".join(f'Environment="{_doubled(f"{name}={value}")}"\n' for name, value in _environment().items())
    service = f"""[Unit]
Description=Inkling: a night of learning

[Service]
Type=oneshot
ExecStart={" ".join(_systemd(word) for word in words)}
WorkingDirectory=/
{variables}Nice=19
CPUSchedulingPolicy=idle
IOSchedulingClass=idle
SuccessExitStatus=3
Restart=on-failure
RestartSec=15min
RestartPreventExitStatus=2 130
TimeoutStartSec=infinity
"""
    timer = f"""[Unit]
Description=Inkling: a night of learning at {schedule}

[Timer]
OnCalendar=*-*-* {schedule}:00
RandomizedDelaySec=10min
Persistent=true

[Install]
WantedBy=timers.target
"""
    return {SERVICE: service, TIMER: timer}


def cron_line(schedule: Schedule, options: list[str]) -> str:
    """One line of a crontab. A percent sign would be a line break there."""
    settings = [f"{name}={shlex.quote(value)}" for name, value in _environment().items()]
    words = " ".join([*settings, shlex.join(command("night", *options))])
    escaped = words.replace("%", r"\%")
    return f"{schedule.minute} {schedule.hour} * * * cd / && {escaped} >/dev/null 2>&1 {MARK}"


def install_units(texts: dict[str, str]) -> list[str]:
    """Write the unit files and enable the timer; what was done, as sentences."""
    folder = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "systemd" / "user"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"The units cannot be written to {folder} ({error.strerror}): print them with --systemd instead."
        ) from error
    done = [f"{SERVICE} and {TIMER} are in {folder}."]
    enable = (["systemctl", "--user", "daemon-reload"], ["systemctl", "--user", "enable", "--now", TIMER])
    if shutil.which("systemctl") is None:
        return [*done, f"There is no systemctl here; where there is: {' && '.join(map(shlex.join, enable))}"]
    for words in enable:
        ran = subprocess.run(words, capture_output=True, text=True)
        if ran.returncode:
            told = (ran.stderr or ran.stdout).strip()
            return [*done, f"`{shlex.join(words)}` failed: {told}. Run it in a session of your own."]
    lingering = "`loginctl enable-linger` makes it run while you are not logged in."
    return [*done, f"The timer is enabled. {lingering}"]


def with_line(crontab: str, line: str) -> str:
    """The crontab with this line in place of an earlier one of ours, and everything else as it was."""
    others = [kept for kept in crontab.splitlines() if not kept.rstrip().endswith(MARK)]
    return "\n".join([*others, line, ""])


def install_cron(line: str) -> list[str]:
    """Put the line into the user's crontab; what was done, as sentences."""
    if shutil.which("crontab") is None:
        raise UserError("There is no crontab here: print the line with --cron, or use --systemd.")
    held = subprocess.run(["crontab", "-l"], capture_output=True, text=True)  # ends with 1 where there is none yet
    wanted = with_line(held.stdout if held.returncode == 0 else "", line)
    ran = subprocess.run(["crontab", "-"], input=wanted, capture_output=True, text=True)
    if ran.returncode:
        raise UserError(f"The crontab was not changed: {ran.stderr.strip() or ran.returncode}.")
    return ["The line is in your crontab; `crontab -e` changes or removes it."]


def _environment() -> dict[str, str]:
    return {name: str(Path(value).absolute()) for name in _VARIABLES if (value := os.environ.get(name))}


def _systemd(word: str) -> str:
    """A word of a command line as systemd reads it (systemd.service(5))."""
    doubled = _doubled(word).replace("$", "$$")
    return f'"{doubled}"' if any(sign in word for sign in " \t\"';\\") or not word else doubled


def _doubled(text: str) -> str:
    """With the signs doubled that mean something between quotes in a unit (systemd.syntax(7), systemd.unit(5))."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
