"""Where spans go: a provider of our own, or the one that the user's code has set before.

Spans are sent by a thread of the SDK's, in batches. What it cannot send it drops: nothing waits for it but the end of
the process, and that not for long.
"""

import asyncio
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from importlib.metadata import version

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from .port import Tracing
from .spans import Spans

CLOSE_SECONDS = 1.0
"""For the last spans. A collector that does not answer takes ten seconds by default, and a shutdown has five."""


def make_tracing(environment: Mapping[str, str], *, node: str) -> Tracing:
    """With a provider for the whole process, so that spans of the user's code belong to the same traces."""
    known = trace.get_tracer_provider()
    if isinstance(known, TracerProvider):
        return _spans(known, known.force_flush)  # whoever has made it ends it
    provider = TracerProvider(resource=Resource.create(_resource(environment, node)), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    return _spans(provider, provider.shutdown)


def _spans(provider: TracerProvider, end: Callable[[], object]) -> Spans:
    return Spans(tracer=provider.get_tracer("pygents", version("pygents")), close=partial(_in_time, end))


def _resource(environment: Mapping[str, str], node: str) -> dict[str, str]:
    """Attributes given here would win over those of the variables."""
    named = environment.get("OTEL_SERVICE_NAME", "").strip()
    if named or "service.name=" in environment.get("OTEL_RESOURCE_ATTRIBUTES", ""):
        return {"service.instance.id": node}
    return {"service.name": "pygents", "service.instance.id": node}


async def _in_time(end: Callable[[], object]) -> None:
    """The SDK's own end waits up to 30 seconds, so it waits in a thread that keeps no process alive."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()

    def work() -> None:
        try:
            end()
        finally:
            with suppress(RuntimeError):  # the loop is closed, nobody waits any more
                loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=work, name="tracing-close", daemon=True).start()
    with suppress(TimeoutError):
        await asyncio.wait_for(ended.wait(), CLOSE_SECONDS)
