"""Whether turns are traced: if the extra ``otel`` is installed and the standard variables name where spans go.

The variables are those of https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/; what the
SDK reads by itself (sampler, limits, headers, timeouts) is left to it. Nothing is imported unless traces are on.
"""

import logging
from collections.abc import Mapping
from importlib.util import find_spec

from .port import Tracing

log = logging.getLogger("pygents.tracing")

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
PROTOCOL = "http/protobuf"
NEEDED = ("opentelemetry.sdk.trace", "opentelemetry.exporter.otlp.proto.http")


def open_tracing(environment: Mapping[str, str], *, node: str) -> Tracing | None:
    """None: nothing is traced. What is asked for and cannot be done is logged; no reason for not serving."""
    if not is_wanted(environment):
        return None
    if (protocol := _first(environment, PROTOCOLS) or PROTOCOL) != PROTOCOL:
        log.warning("nothing is traced: the protocol is %s, and traces are sent by %s only", protocol, PROTOCOL)
        return None
    if not _is_installed():
        log.warning("nothing is traced: an endpoint for OTLP is set, but pygents[otel] is not installed")
        return None
    from .provider import make_tracing  # noqa: PLC0415 (takes 0.2 s, and what is not installed everywhere)

    try:
        return make_tracing(environment, node=node)
    except Exception as error:  # a variable may have a value that the SDK cannot take
        log.warning("nothing is traced: %s", error)
        return None


def is_wanted(environment: Mapping[str, str]) -> bool:
    """Whether the variables ask for traces: an endpoint is set, and nothing is switched off."""
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    exporter = environment.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    exports = {one.strip() for one in exporter.split(",")}
    return not exports.isdisjoint({"", "otlp"}) and _first(environment, ENDPOINTS) is not None


def _first(environment: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    """An empty variable is one that is not set."""
    return next((value for name in names if (value := environment.get(name, "").strip())), None)


def _is_installed() -> bool:
    try:
        return all(find_spec(name) is not None for name in NEEDED)
    except ModuleNotFoundError:  # not even the package that it would be in
        return False
