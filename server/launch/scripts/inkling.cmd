@echo off
rem Starts Inkling with the interpreter beside this script; -E and -P keep PYTHONPATH and the current folder away.
if exist "%~dp0python.exe" ("%~dp0python.exe" -E -P -m inkling %*) else ("%~dp0..\python.exe" -E -P -m inkling %*)
