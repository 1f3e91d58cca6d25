@echo off
rem Starts Inkling with the interpreter that it was installed for; -E and -P keep PYTHONPATH and the current folder away.
setlocal
set "PY=%~dp0python.exe"
if not exist "%PY%" set "PY=%~dp0..\python.exe"
if exist "%PY%" (
  "%PY%" -E -P -X utf8 -m inkling %*
) else (
  py -3 -E -P -X utf8 -m inkling %*
)
exit /b %ERRORLEVEL%
