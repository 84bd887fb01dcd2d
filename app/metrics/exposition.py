"""The metrics as Prometheus reads them. What makes that text is imported when somebody first asks."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from ..clock import Clock
from ..errors import ServiceError
from ..ports import Measures
from .counting import Counting
from .looking import Figures, Gauge, gauge_of_readiness, gauges_of, gauges_of_store
from .tallies import Counter, Histogram

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

log = logging.getLogger("pygents.metrics")


class Exposition:
    """``figures`` is called on the loop that asks; ``info`` are the labels of ``pygents_info``."""

    def __init__(
        self,
        *,
        counting: Counting,
        figures: Callable[[], Figures],
        measure: Callable[[], Awaitable[Measures]],
        clock: Clock,
        info: Mapping[str, str],
    ) -> None:
        self._counting, self._figures, self._measure = counting, figures, measure
        self._clock, self._info = clock, dict(info)
        self._one_at_a_time = asyncio.Lock()

    async def text(self, *, ready: bool) -> bytes:
        """All metrics, now; ``ready`` as it was just found.

        Those of the store are left out while it cannot be read; nothing else depends on it.
        """
        async with self._one_at_a_time:  # each reads the store: a crowd that asks must not crowd out the readers
            gauges = [gauge_of_readiness(ready), *gauges_of(self._figures())]
            gauges += gauges_of_store(await self._measured(), self._clock)
            return await asyncio.to_thread(self._made, gauges)

    async def _measured(self) -> Measures | None:
        try:
            return await self._measure()
        except ServiceError as error:
            log.debug("the store cannot be measured: %s", error)
            return None

    def _made(self, gauges: Sequence[Gauge]) -> bytes:
        """On a thread of its own: importing and formatting take some milliseconds."""
        from prometheus_client.exposition import generate_latest  # noqa: PLC0415

        return generate_latest(_Families(lambda: _families(self._counting, gauges, self._info)))


class _Families:
    """As much of a registry as making the text needs; the library's own are filled by what is imported."""

    def __init__(self, collect: "Callable[[], Iterator[Metric]]") -> None:
        self.collect = collect


def _families(counting: Counting, gauges: Sequence[Gauge], info: Mapping[str, str]) -> "Iterator[Metric]":
    from prometheus_client.metrics_core import GaugeMetricFamily  # noqa: PLC0415
    from prometheus_client.process_collector import ProcessCollector  # noqa: PLC0415

    about = GaugeMetricFamily("pygents_info", "What runs here.", labels=list(info))
    about.add_metric(list(info.values()), 1)
    yield about
    for gauge in gauges:
        yield GaugeMetricFamily(gauge.name, gauge.help, value=gauge.value)
    for family in counting.families:
        yield _counter(family) if isinstance(family, Counter) else _histogram(family)
    yield from ProcessCollector(registry=None).collect()


def _counter(counter: Counter) -> "Metric":
    from prometheus_client.metrics_core import CounterMetricFamily  # noqa: PLC0415

    family = CounterMetricFamily(counter.name, counter.help, labels=counter.labels)
    for labels, value in counter.read():
        family.add_metric([str(label) for label in labels], value)
    return family


def _histogram(histogram: Histogram) -> "Metric":
    from prometheus_client.metrics_core import HistogramMetricFamily  # noqa: PLC0415

    family = HistogramMetricFamily(histogram.name, histogram.help, labels=histogram.labels)
    for labels, distribution in histogram.read():
        family.add_metric(labels, distribution.cumulated(), distribution.sum)
    return family
