"""``pygents keys``: through the running server, which alone may write to its file, or in the file while none runs."""

import asyncio
import getpass
import os
import re
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from .. import settings as settings_module
from ..access.records import (
    KEY_NAME,
    MOST_A_SECOND,
    MOST_AT_ONCE,
    MOST_STREAMS,
    NO_LIMITS,
    Actor,
    KeyLimits,
)
from ..access.rules import LONGEST_LIFE_SECONDS
from ..access.shown import shown
from ..auth import Gate
from ..clock import system_clock
from ..errors import ServiceError, StartupError
from ..grants import MOST_GRANTS, parse_grant
from ..ports import Store
from ..runtime.keys import Keys
from ..settings import Settings
from ..store.lockfile import LockFile
from ..store.naming import SQLITE
from ..store.opening import open_store
from .files import database_of
from .remote import by_proxy, key_headers, own_url

T = TypeVar("T")
UNITS: Mapping[str, int] = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}
COLUMNS = ("id", "status", "name", "scopes", "expires_at", "limits")


class Place(NamedTuple):
    """Where the keys are: a server, or a file that none uses."""

    settings: Settings
    url: str | None
    database: Path | None


def create(
    name: str,
    scopes: Sequence[str],
    expires: str | None,
    limits: KeyLimits = NO_LIMITS,
    *,
    url: str | None,
    store: str | None,
) -> None:
    """Print the key, alone on stdout, so that a script can take it; all else goes to stderr. Raises StartupError."""
    _check(name, scopes, limits)
    seconds = _seconds(expires) if expires is not None else None
    fields = {"name": name, "scopes": list(scopes), "expires_in": seconds, **limits._asdict()}
    body = {field: value for field, value in fields.items() if value is not None}
    place = _place(url, store, makes=True)
    made = _ask(place, "POST", "/keys", body) if place.url is not None else _in_file(place, _creating(body))
    where = place.url or place.database
    print(f"Key {made['id']} of {where}: {' '.join(made['scopes'])}. It is shown this once.", file=sys.stderr)
    print(made["key"])


def list_(*, url: str | None, store: str | None) -> None:
    """Print a line for each key, those that are void included."""
    place = _place(url, store)
    keys = _all(place) if place.url is not None else _in_file(place, _listing)
    rows = [COLUMNS, *(tuple(_cell({**key, "limits": _limits(key)}[column]) for column in COLUMNS) for key in keys)]
    widths = [max(len(row[index]) for row in rows) for index in range(len(COLUMNS))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def revoke(id: str, *, url: str | None, store: str | None) -> None:
    place = _place(url, store)
    if not re.fullmatch(r"[0-9a-f]{12}", id):
        raise StartupError(f"{id[:20]!r} is not the id of a key; pygents keys list shows those that exist.")
    if place.url is not None:
        _ask(place, "DELETE", f"/keys/{id}")
    else:
        _in_file(place, lambda keys, _: keys.revoke(id, actor=_somebody_here()))
    print(f"Key {id} is revoked.")


def _place(url: str | None, store: str | None, *, makes: bool = False) -> Place:
    """``makes``: a database that is not there is made."""
    settings = settings_module.load()
    if url is not None:
        return Place(settings, url.rstrip("/"), None)
    database = database_of(store)
    if not makes and not database.is_file():
        raise StartupError(f"There is no file {database}. Name it with --store, or a server with --url.")
    try:
        LockFile(database).release()
    except StartupError:
        if store is not None:
            raise StartupError(f"A server uses {database}. Ask it: --url http://…") from None
        return Place(settings, own_url(settings), None)
    except OSError as error:
        raise StartupError(f"There is no database in {database.parent} ({error.strerror}).") from None
    return Place(settings, None, database)


# --- a server --------------------------------------------------------------------------------------------------------


def _ask(place: Place, method: str, path: str, body: object = None) -> Any:
    import httpx  # noqa: PLC0415 (not for a file)

    url, headers = place.url or "", key_headers(place.settings)
    try:
        answer = httpx.request(
            method, f"{url}{path}", json=body, headers=headers, timeout=30, trust_env=by_proxy(url, place.settings)
        )
        said = answer.json() if answer.content else None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise StartupError(f"The server at {place.url} does not answer ({error}). Name another with --url.") from None
    except ValueError:
        raise StartupError(f"What answers at {place.url} is not a pygents service.") from None
    if answer.is_success:
        return said
    advice = " Set PYGENTS_API_KEY to a key with the scope admin." if answer.status_code in (401, 403) else ""
    detail = said.get("detail", "") if isinstance(said, dict) else ""
    raise StartupError(f"The server at {place.url} answers {answer.status_code}: {detail}{advice}")


def _all(place: Place) -> list[dict[str, Any]]:
    keys: list[dict[str, Any]] = []
    after = ""
    while True:
        page = _ask(place, "GET", f"/keys?limit=1000{after}")
        keys += page["items"]
        if page["next"] is None:
            return keys
        after = f"&after={page['next']}"


# --- a file ----------------------------------------------------------------------------------------------------------


def _in_file(place: Place, work: Callable[[Keys, Store], Awaitable[T]]) -> T:
    async def run() -> T:
        store = open_store(f"{SQLITE}{place.database}")
        keys = Keys(store=store, gate=Gate(admin_key=_admin_key(place.settings)), end_streams=lambda id: None)
        try:
            await keys.start()
            return await work(keys, store)
        except StartupError:
            raise
        except ServiceError as error:
            raise StartupError(error.detail) from None
        finally:
            keys.stop()
            await store.close()

    return asyncio.run(run())


def _creating(body: Mapping[str, Any]) -> Callable[[Keys, Store], Awaitable[dict[str, Any]]]:
    async def work(keys: Keys, _store: Store) -> dict[str, Any]:
        seconds = body.get("expires_in")
        end = system_clock() + int(seconds * 1_000_000) if seconds is not None else None
        grants = [parse_grant(text) for text in body["scopes"]]
        limits = KeyLimits(*(body.get(name) for name in KeyLimits._fields))
        key, token = await keys.create(body["name"], grants, expires_at=end, actor=_somebody_here(), limits=limits)
        return {"id": key.id, "key": token, "scopes": [str(grant) for grant in key.grants]}

    return work


async def _listing(_keys: Keys, store: Store) -> list[dict[str, Any]]:
    return [shown(key, system_clock()) for key in await store.all_keys()]


def _admin_key(settings: Settings) -> str | None:
    return settings.admin_key.get_secret_value() if settings.admin_key is not None else None


def _somebody_here() -> Actor:
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a number that has no name, as in containers
        name = f"uid {os.getuid()}"
    return Actor("local", name)


# --- what was typed --------------------------------------------------------------------------------------------------


def _check(name: str, scopes: Sequence[str], limits: KeyLimits) -> None:
    if not KEY_NAME.fullmatch(name):
        raise StartupError(f"--name {name[:40]!r} must have at most 100 characters, and no control characters.")
    if len(scopes) > MOST_GRANTS:
        raise StartupError(f"A key may have {MOST_GRANTS} scopes, not {len(scopes)}.")
    for text in scopes:
        try:
            parse_grant(text)
        except ValueError as error:
            raise StartupError(f"--scope {text[:80]!r}: {error}.") from None
    bounds = {"rate": (0, MOST_A_SECOND), "burst": (1, MOST_AT_ONCE), "streams": (0, MOST_STREAMS)}
    for limit, value in limits._asdict().items():
        least, most = bounds[limit]
        if value is not None and not least <= value <= most:  # no number at all is not, either
            raise StartupError(f"--{limit} {value} must be at least {least} and at most {most}.")


def _seconds(text: str) -> float:
    found = re.fullmatch(r"([0-9]{1,10})([smhd]?)", text)
    seconds = int(found[1]) * UNITS[found[2]] if found else 0
    if not 0 < seconds <= LONGEST_LIFE_SECONDS:
        raise StartupError(f"--expires {text[:40]!r} is no time: write 30d, 12h, 90m or a number of seconds.")
    return seconds


def _limits(key: Mapping[str, Any]) -> str:
    """Those that it has of its own; a server of before knows of none."""
    own = {limit: key.get(limit) for limit in KeyLimits._fields}
    return " ".join(f"{limit}={value:g}" for limit, value in own.items() if value is not None)


def _cell(value: object) -> str:
    text = " ".join(value) if isinstance(value, list) else str(value or "-")
    return "".join(
        character if character.isprintable() else "?" for character in text
    )  # what is damaged may be anything
