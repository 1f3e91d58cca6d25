"""The HTTP face of a team: facts in, adapters out, nights for admins, a page of plots.

A handler checks whose token it is and calls what does the work. What always holds: without a token nothing but
`/health` and the page to log in answers; a member reaches only their own facts; only admins start nights and see the
dashboard; a body is bounded while it is read.
"""

import asyncio
import contextlib
import logging
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import psutil
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from feedback.consent import Consents
from feedback.database import Place, open_database
from feedback.history import Selection, ids_of
from feedback.retention import Keep, prune
from inkling.errors import InklingError, UserError
from inkling.folders import adapters_folder, data_folder
from model.adapters import CONFIG_FILE, WEIGHTS_FILE, Registry
from model.lineage import ANCHOR
from server.erasing import MANIFESTS, erase_everywhere
from server.nights.schedule import Schedule, due
from server.nights.scheduler import night_options, spawn
from server.nights.state import read_state, runs
from server.settings import Settings
from server.team.dashboard import dashboard, login_page
from server.team.ingest import facts_in, ingest
from server.team.members import Member, Members

log = logging.getLogger(__name__)

LARGEST_BODY = 32_000_000  # bytes, unpacked
COOKIE = "inkling-token"
_LOOK_SECONDS = 20.0  # whether a night is due
_PRUNE_SECONDS = 900.0  # whether texts have to go
_WEEK = 7 * 86_400
_TOLD = ("gain", "gain_lower", "gain_upper", "robust_gain", "robust_gain_lower", "robust_gain_upper", "training",
         "later", "later_before", "later_after", "exact_before", "exact_after")  # fmt: skip

Handler = Callable[[Request, Member], Awaitable[Response]]


class Team:
    """The state behind the handlers. `schedule`: when a night begins by itself."""

    def __init__(self, place: Place, members: Members, settings: Settings, schedule: Schedule) -> None:
        self.members = members
        self.database: Engine = open_database(place)
        self.consents = Consents(place)
        self.registry = Registry(adapters_folder())
        self.settings = settings
        self._traces = data_folder() / "traces"
        self._schedule = schedule
        self._since = datetime.now()
        self._starting = asyncio.Lock()
        # Process of the last night and its beginning: the night itself says that it runs only after a while.
        self._last: tuple[int, float] | None = None

    async def night(self) -> int | None:
        """Start a night; its process, or None if one runs."""
        async with self._starting:
            last = await asyncio.to_thread(read_state)
            if (last is not None and last.alive) or (self._last and runs(*self._last)):
                return None
            await asyncio.to_thread(self.let_go)
            options = night_options(self.settings)
            options[options.index("--canary-share") + 1] = "0"  # members have canaries of their own
            pid = await spawn(options)
            with contextlib.suppress(psutil.Error):  # it may be over by now
                self._last = (pid, psutil.Process(pid).create_time())
            return pid

    async def keep_schedule(self) -> None:
        """Start nights that are due, until cancelled."""
        while self._schedule.kind != "off":
            await asyncio.sleep(_LOOK_SECONDS)
            last = await asyncio.to_thread(read_state)
            if due(self._schedule, last, datetime.now(), self._since):
                with contextlib.suppress(OSError):
                    await self.night()

    async def keep_within_bounds(self) -> None:
        """Let go of texts now and then, until cancelled: no editor's server runs here that would."""
        while True:
            await asyncio.to_thread(self.let_go)
            await asyncio.sleep(_PRUNE_SECONDS)

    def let_go(self) -> None:
        """Take away the texts that are too old or too many."""
        try:
            prune(self.database, Keep(self.settings.feedback.texts_days, self.settings.feedback.most_megabytes))
        except (SQLAlchemyError, OSError) as error:
            log.info("old texts could not be removed now: %s", error)

    def champion(self, member: str) -> dict[str, Any]:
        """What members should serve, and which of this member's own suggestions its night had seen; no others'."""
        base = self.settings.model.base
        adapter = self.registry.champion(base)
        if adapter is None:
            return {"base": base, "name": None}
        record = self.registry.record(adapter.name)
        figures = record.get("figures", {})
        seen = {name: tuple(record.get(name, ())) for name in MANIFESTS}
        return {
            "base": base, "name": adapter.name, "digest": adapter.digest, "at": adapter.at,
            "reason": record.get("reason"), "champion": record.get("champion"),
            "figures": {name: figures.get(name) for name in _TOLD},
            **({ANCHOR: record[ANCHOR]} if ANCHOR in record else {}),
            **{name: self._own(member, ids) for name, ids in seen.items()},
        }  # fmt: skip

    def _own(self, member: str, ids: tuple[str, ...]) -> list[str]:
        """Those of these suggestions that this member sent."""
        roots = self._roots(member) if ids else ()
        return [id for root in roots for id in ids_of(self.database, Selection(ids=ids, workspace=root))]

    def _roots(self, member: str) -> list[str]:
        return [root for root in self.consents.all() if root.startswith(f"{member}/")]

    def erase(self, member: str, workspace: str | None) -> dict[str, int]:
        """What a member sent: of one workspace, or all of it."""
        meant = self._roots(member)
        if workspace is not None:
            meant = [root for root in meant if root == f"{member}/{workspace}"]
        gone = 0
        for root in meant:
            selection = Selection(workspace=root)
            found = erase_everywhere(self.database, selection, False, self.registry, self._traces)
            gone += found.rows.suggestions
        return {"suggestions": gone, "workspaces": len(meant)}

    def page(self) -> str:
        """What admins see."""
        return dashboard(self.database, self.members.all(), self.registry, read_state())

    def close(self) -> None:
        self.consents.close()
        self.database.dispose()


def application(team: Team) -> Starlette:
    """The service as an ASGI application."""

    async def health(request: Request) -> Response:
        return JSONResponse({"ok": True})

    async def facts(request: Request, member: Member) -> Response:
        body = await _body(request)
        found = await asyncio.to_thread(facts_in, body)
        return JSONResponse(await asyncio.to_thread(ingest, team.database, team.consents, member.name, found))

    async def erase(request: Request, member: Member) -> Response:
        gone = await asyncio.to_thread(team.erase, member.name, request.query_params.get("workspace"))
        return JSONResponse(gone)

    async def champion(request: Request, member: Member) -> Response:
        return JSONResponse(await asyncio.to_thread(team.champion, member.name))

    async def adapter(request: Request, member: Member) -> Response:
        files = {"config": CONFIG_FILE, "weights": WEIGHTS_FILE}
        found = await asyncio.to_thread(team.registry.get, request.path_params["name"])
        if request.path_params["part"] not in files:
            return _no(404, "An adapter has the parts config and weights.")
        return FileResponse(found.folder / files[request.path_params["part"]])

    async def night(request: Request, member: Member) -> Response:
        pid = await team.night()
        if request.cookies.get(COOKIE) and not request.headers.get("authorization"):
            return RedirectResponse("/", 303)
        return JSONResponse({"pid": pid}, 202) if pid else _no(409, "A night is running: wait until it is over.")

    async def nights(request: Request, member: Member) -> Response:
        last = await asyncio.to_thread(read_state)
        return JSONResponse({"last": last.values() if last else None})

    async def page(request: Request, member: Member) -> Response:
        return HTMLResponse(await asyncio.to_thread(team.page))

    async def login(request: Request) -> Response:
        token = parse_qs((await _body(request)).decode("utf-8", "replace")).get("token", [""])[0]
        known = await asyncio.to_thread(team.members.of_token, token)
        if known is None or known.role != "admin":
            return HTMLResponse(login_page("This is no admin's token."), 403)
        answer = RedirectResponse("/", 303)
        secure = request.url.scheme == "https"
        answer.set_cookie(COOKIE, token, max_age=_WEEK, httponly=True, samesite="strict", secure=secure)
        return answer

    guarded = _guard(team.members)
    routes = [
        Route("/health", health),
        Route("/v1/facts", guarded(facts), methods=["POST"]),
        Route("/v1/facts", guarded(erase), methods=["DELETE"]),
        Route("/v1/champion", guarded(champion)),
        Route("/v1/adapters/{name}/{part}", guarded(adapter)),
        Route("/v1/nights", guarded(nights)),
        Route("/v1/nights", guarded(night, admin=True), methods=["POST"]),
        Route("/", guarded(page, admin=True, page=True)),
        Route("/login", login, methods=["POST"]),
    ]

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        tasks = [
            asyncio.create_task(team.keep_schedule(), name="team nights"),
            asyncio.create_task(team.keep_within_bounds(), name="team texts"),
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            team.close()

    return Starlette(routes=routes, lifespan=lifespan, exception_handlers={InklingError: _told})


def _guard(members: Members) -> Any:
    """Handlers that are only reached with a token: in the header, or for the dashboard in the cookie."""

    def guarded(handler: Handler, *, admin: bool = False, page: bool = False) -> Any:
        async def checked(request: Request) -> Response:
            scheme, _, token = request.headers.get("authorization", "").partition(" ")
            if scheme.lower() != "bearer":
                token = request.cookies.get(COOKIE, "") if admin and _same_site(request) else ""
            member = await asyncio.to_thread(members.of_token, token) if token else None
            if member is None:
                if page:
                    return HTMLResponse(login_page(""), 401)
                return _no(401, "Expected a member's token: Authorization: Bearer TOKEN.")
            if admin and member.role != "admin":
                return _no(403, "This is for admins of the team.")
            await asyncio.to_thread(members.saw, member.name)
            return await handler(request, member)

        return checked

    return guarded


def _same_site(request: Request) -> bool:
    """No other page sent the browser here with its cookie. Browsers that do not say so keep the cookie back."""
    return request.headers.get("sec-fetch-site", "same-origin") in ("same-origin", "none")


async def _body(request: Request) -> bytes:
    """The body, unpacked. Raises UserError for one that is too large."""
    unpack = zlib.decompressobj(wbits=31) if request.headers.get("content-encoding") == "gzip" else None
    found = bytearray()
    async for part in request.stream():
        try:
            found += unpack.decompress(part, LARGEST_BODY + 1 - len(found)) if unpack is not None else part
        except zlib.error as error:
            raise UserError(f"The body is no gzip: {error}.") from error
        if len(found) > LARGEST_BODY:
            raise UserError(f"More than {LARGEST_BODY} bytes: send less at once.")
    return bytes(found)


async def _told(request: Request, error: Exception) -> Response:
    return _no(400, str(error))


def _no(code: int, sentence: str) -> JSONResponse:
    return JSONResponse({"error": sentence}, code)


def certificates(certificate: Path | None, key: Path | None) -> dict[str, Any]:
    """What uvicorn needs for HTTPS. Raises UserError where one of the two is missing."""
    if (certificate is None) != (key is None):
        raise UserError("HTTPS needs both --certificate and --key.")
    for file in (certificate, key):
        if file is not None and not file.is_file():
            raise UserError(f"{file} is no file.")
    return {"ssl_certfile": certificate, "ssl_keyfile": key} if certificate is not None else {}
