"""The settings of a service: flags > environment > .env > pygents.toml > defaults, validated once at the start.

Nothing is ignored silently: a variable or key that looks like one of these settings and is none ends the start with the
nearest known name. Variables of others under the same prefix (the client's, Kubernetes' service links) are left alone.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError, model_validator

from .errors import StartupError
from .failpoints import VARIABLE as FAILPOINTS
from .urls import HOST, ORIGIN, is_loopback, is_trustworthy, masked

PREFIX = "PYGENTS_"
CLIENTS = frozenset({"PYGENTS_URL", "PYGENTS_API_KEY"})
"""Variables of the client; they may stand beside those of the service."""
SECRETS = frozenset({"admin_key", "store"})
"""Settings that may come from a file named by ``PYGENTS_…_FILE``, and whose values are never printed."""

SERVICE_LINK = re.compile(
    r"PYGENTS_(?:[A-Z0-9_]+_)?(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]+)?|PORT_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)"
)
SERVICE_ADDRESS = re.compile(r"(?:tcp|udp|sctp)://")
"""What Kubernetes puts into every container for a service named ``pygents…``."""


def _split(value: object) -> object:
    """``a, b`` as in an environment variable; lists stay as they are."""
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


class Settings(BaseModel):
    """Every setting with its unit. ``load`` collects them; the constructor takes only what it is given."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    store: str = Field(
        "sqlite:///./pygents.db", min_length=1,
        description="Where everything is kept: `sqlite:///./relative.db`, `sqlite:////absolute.db` or `memory://`.",
    )  # fmt: skip
    host: str = Field("127.0.0.1", min_length=1, description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="TCP port to listen on; 0 takes a free one.")
    drain: float = Field(30, ge=0, le=3600, description="Seconds that running turns may take to finish at shutdown.")
    cancel_grace: float = Field(10, gt=0, le=3600, description="Seconds that code may take to stop when told to.")
    hook_timeout: float = Field(5, gt=0, le=3600, description="Seconds that a hook may take.")
    mailbox_limit: int = Field(1000, ge=1, description="Turns that may wait in one mailbox.")
    max_body: int = Field(1024 * 1024, ge=1024, description="Bytes of the largest request body.")
    head_timeout: float = Field(10, gt=0, le=3600, description="Seconds that the head of a request may take to arrive.")
    body_timeout: float = Field(60, gt=0, le=3600, description="Seconds that its body may take then.")
    max_batch: int = Field(1000, ge=1, description="Turns that one request may submit.")
    max_crashes: int = Field(3, ge=1, description="Ends of the process that a turn with `retry` may be running at.")
    max_hops: int = Field(32, ge=1, description="Sends that one chain of turns may take.")
    concurrency: int = Field(1000, ge=1, description="Turns that this process runs at once.")
    rate: float = Field(
        0, ge=0, le=1_000_000, description="Requests per second of one key or, without keys, address; 0: any number.",
    )  # fmt: skip
    rate_burst: int = Field(100, ge=1, le=10**9, description="Requests that it may send at once before `rate` holds.")
    wrong_keys: int = Field(
        100, ge=0, le=10**9,
        description="Wrong keys and tokens that one address may send at once; then one a second. 0: any number.",
    )  # fmt: skip
    max_streams: int = Field(
        10_000, ge=0, le=10**9, description="Streams that this process has open at once; 0: any number.",
    )  # fmt: skip
    max_caller_streams: int = Field(
        0, ge=0, le=10**9, description="Streams of one key or, without keys, address, tickets included; 0: any number.",
    )  # fmt: skip
    retention_events: int = Field(100_000, ge=1, description="Events that are kept of each agent.")
    retention_age: float = Field(604_800, gt=0, le=10**9, description="Seconds that events are kept.")
    ping: float = Field(15, gt=0, le=3600, description="Seconds of silence on a stream before a ping.")
    durability: Literal["full", "relaxed"] = Field(
        "full", description="`full`: a 202 survives a power cut. `relaxed`: it survives a crash of the process only.",
    )  # fmt: skip
    log: Literal["debug", "info", "warning", "error"] = Field("info", description="The least severe level to log.")
    log_format: Literal["console", "json"] = Field(
        "console", description="`console`: a log for people. `json`: one object for each line, for programs.",
    )  # fmt: skip
    access_log: Literal["off", "errors", "sampled", "all"] = Field(
        "sampled",
        description="Requests to log. `errors`: answers of 500 and above, and slow ones. `sampled`: those and, of all "
        "others, at most ten a second. `all`: probes and scrapes, too.",
    )
    admin_key: SecretStr | None = Field(None, description="A key that admits to everything.")
    insecure: bool = Field(False, description="Listen beyond loopback without a key.")
    allowed_hosts: Annotated[tuple[str, ...], BeforeValidator(_split)] = Field(
        (), description="Names, separated by commas, that clients may reach this service by, besides loopback's.",
    )  # fmt: skip
    cors_origins: Annotated[tuple[str, ...], BeforeValidator(_split)] = Field(
        (), description="Origins, separated by commas, whose pages may use this service: `https://app.example.org`.",
    )  # fmt: skip

    jwt_issuer: str | None = Field(
        None, description="The issuer whose tokens (JWT) admit beside keys, exactly as their `iss` has it.",
    )  # fmt: skip
    jwt_audience: str | None = Field(None, min_length=1, description="What the `aud` of those tokens must name.")
    jwt_jwks_url: str | None = Field(
        None, description="Where the issuer's keys are; by default its OpenID configuration says where.",
    )  # fmt: skip
    jwt_scope_claim: str = Field(
        "scope", min_length=1, description="Their claim with the scopes: words with spaces between them, or an array.",
    )  # fmt: skip

    @property
    def needs_key(self) -> bool:
        """Whether it may be served only if there is a key in the store: nothing else says who may come in."""
        return not (self.loopback or self.insecure or self.admin_key is not None or self.jwt_issuer is not None)

    @property
    def loopback(self) -> bool:
        """Whether only this machine can connect."""
        return is_loopback(self.host)

    @model_validator(mode="after")
    def _key_is_usable(self) -> Self:
        key = self.admin_key.get_secret_value() if self.admin_key is not None else "-" * 16
        if not re.fullmatch(r"[!-~]{16,1024}", key):
            raise ValueError("admin_key must be 16 to 1024 visible ASCII characters, without spaces")
        return self

    @model_validator(mode="after")
    def _hosts_are_exact(self) -> Self:
        for host in self.allowed_hosts:
            if not HOST.fullmatch(host):
                raise ValueError(
                    "allowed_hosts must be exact names, or addresses (pygents.example.org, [::1]), without scheme, "
                    f"path or wildcard, not {host[:80]!r}"
                )
        return self

    @model_validator(mode="after")
    def _origins_are_exact(self) -> Self:
        for origin in self.cors_origins:
            if not ORIGIN.fullmatch(origin):
                raise ValueError(
                    "cors_origins must be exact origins, as browsers send them (https://app.example.org), "
                    f"not {origin[:80]!r}"
                )
        return self

    @model_validator(mode="after")
    def _issuer_is_whole(self) -> Self:
        for name, url in (("jwt_issuer", self.jwt_issuer), ("jwt_jwks_url", self.jwt_jwks_url)):
            if url is not None and not is_trustworthy(url):
                raise ValueError(f"{name} must be an https address (or http of this machine), not {url[:80]!r}")
        if (self.jwt_issuer is None) != (self.jwt_audience is None):
            raise ValueError("jwt_issuer and jwt_audience go together: a token for somebody else must not admit here")
        if self.jwt_issuer is None and not self.model_fields_set.isdisjoint({"jwt_jwks_url", "jwt_scope_claim"}):
            raise ValueError("jwt_jwks_url and jwt_scope_claim mean nothing without jwt_issuer")
        return self

    def printable(self) -> dict[str, Any]:
        """By name, as JSON, without what is secret: keys, and the user and password of a store's URL."""
        return self.model_dump(mode="json") | {"store": masked(self.store)}


class Origin(NamedTuple):
    """``where`` a setting was given, and the ``name`` that it has there: a flag's, a variable's, a key's."""

    where: str
    name: str


class Given(NamedTuple):
    """A value as it was given, not yet validated."""

    value: Any
    origin: Origin


class Collected(NamedTuple):
    """``origins`` has only the settings that somebody has given: all others are as they are by default."""

    settings: Settings
    origins: Mapping[str, Origin]


def no_verifier() -> StartupError:
    """Why a service that trusts an issuer is not served without what its tokens are verified with."""
    return StartupError("PYGENTS_JWT_ISSUER needs what verifies tokens: pip install 'pygents[jwt]'")


def no_key(host: str) -> StartupError:
    """Why a service that needs a key is not served without."""
    return StartupError(
        f"{host} can be reached from other machines and there is no key. Set PYGENTS_ADMIN_KEY (or "
        "PYGENTS_ADMIN_KEY_FILE), or make a key (pygents keys create --scope admin), or listen on 127.0.0.1, or say "
        "--insecure."
    )


def load(
    flags: Mapping[str, Any] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Settings:
    """Collect the settings. ``flags`` go by field name, None if not given; ``folder`` has .env and pygents.toml.

    Raises ``StartupError`` with one line for an unknown name or a value that is not valid.
    """
    return collect(flags, environ=environ, folder=folder).settings


def collect(
    flags: Mapping[str, Any] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Collected:
    """The same as ``load``, and where each setting has come from."""
    folder = folder or Path()
    sources = (
        _flags(flags or {}),
        _variables(_without_failpoints(os.environ if environ is None else environ), "the environment"),
        _variables(dotenv(folder / ".env"), ".env"),
        _toml(folder / "pygents.toml"),
    )
    merged: dict[str, Given] = {}
    for source in reversed(sources):
        merged |= source
    values = {name: given.value for name, given in merged.items()}
    try:
        return Collected(Settings(**values), {name: given.origin for name, given in merged.items()})
    except ValidationError as error:
        raise StartupError(_explain(error, values)) from None


# --- sources ---------------------------------------------------------------------------------------------------------


def _flags(flags: Mapping[str, Any]) -> dict[str, Given]:
    return {
        name: Given(value, Origin("flag", f"--{name.replace('_', '-')}"))
        for name, value in flags.items()
        if value is not None
    }


def _variables(variables: Mapping[str, str | None], where: str) -> dict[str, Given]:
    """The settings among variables; empty ones are as good as absent, but for secrets, where that would be a hole."""
    found: dict[str, Given] = {}
    for name, text in _ours(variables):
        field, value = name.removeprefix(PREFIX).lower(), text
        if field.endswith("_file") and field.removesuffix("_file") in SECRETS:
            field = field.removesuffix("_file")
            value = _read_secret(name, text)
        elif field not in Settings.model_fields:
            raise StartupError(f"{where} has {name}, which is not a setting{_nearest(field, PREFIX, str.upper)}")
        elif not value and field not in SECRETS:
            continue
        if field in found:
            raise StartupError(f"{where} has both {PREFIX}{field.upper()} and {PREFIX}{field.upper()}_FILE; keep one.")
        found[field] = Given(value, Origin(where, name))
    return found


def _without_failpoints(environ: Mapping[str, str]) -> Mapping[str, str]:
    """They are read where they are, and only from the environment: a file would keep them armed by mistake."""
    return {name: value for name, value in environ.items() if name != FAILPOINTS}


def _ours(variables: Mapping[str, str | None]) -> Iterator[tuple[str, str]]:
    for name, value in variables.items():
        if not name.startswith(PREFIX) or name in CLIENTS or SERVICE_LINK.fullmatch(name):
            continue
        if not (name.endswith("PORT") and SERVICE_ADDRESS.match(value or "")):
            yield name, value or ""


def _read_secret(name: str, path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise StartupError(f"{name} names a file that cannot be read ({reason}).") from None


def _read(path: Path) -> str:
    """ "" if there is no such file."""
    try:
        return path.read_text("utf-8")
    except (FileNotFoundError, IsADirectoryError):
        return ""
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text in UTF-8"
        raise StartupError(f"{path.name} cannot be read ({reason}).") from None


def dotenv(path: Path) -> dict[str, str | None]:
    if not (text := _read(path)):
        return {}
    from io import StringIO  # noqa: PLC0415 (most starts need neither this nor the other two)

    from dotenv import dotenv_values  # noqa: PLC0415

    return dotenv_values(stream=StringIO(text))


def _toml(path: Path) -> dict[str, Given]:
    if not (text := _read(path)):
        return {}
    import tomllib  # noqa: PLC0415

    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise StartupError(f"pygents.toml is not valid TOML: {error}") from None
    for name in values:
        if name not in Settings.model_fields:
            raise StartupError(f"pygents.toml has {name}, which is not a setting{_nearest(name, '', str.lower)}")
    return {name: Given(value, Origin(path.name, name)) for name, value in values.items()}


def _nearest(field: str, prefix: str, case: Callable[[str], str]) -> str:
    import difflib  # noqa: PLC0415

    close = difflib.get_close_matches(field.lower(), Settings.model_fields, n=1)
    return f"; did you mean {prefix}{case(close[0])}?" if close else f". Those are: {', '.join(Settings.model_fields)}."


# --- errors ----------------------------------------------------------------------------------------------------------


def _explain(error: ValidationError, given: Mapping[str, Any]) -> str:
    first = error.errors(include_url=False, include_context=False)[0]
    message = first["msg"].removeprefix("Value error, ").removesuffix(".")
    if not first["loc"]:
        return f"{message}."
    field = str(first["loc"][0])
    shown = "" if field in SECRETS else f" ({str(given.get(field))[:80]!r})"
    return f"The setting {field} ({PREFIX}{field.upper()}){shown} is not valid: {message}."
