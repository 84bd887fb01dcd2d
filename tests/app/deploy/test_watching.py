"""The dashboard and the alert rules ask for what there is: metrics and labels that the service really has."""

import asyncio
import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

import pygents_app
from pygents_app.metrics.counting import Counting
from pygents_app.metrics.exposition import Exposition
from pygents_app.metrics.looking import Figures
from pygents_app.metrics.tallies import Histogram
from pygents_app.ports import Measures

APP = Path(pygents_app.__path__[0])
DASHBOARD: Mapping[str, Any] = json.loads((APP / "deploy" / "grafana" / "pygents.json").read_text())
ALERTS: Mapping[str, Any] = yaml.safe_load((APP / "deploy" / "prometheus" / "alerts.yaml").read_text())
GUIDE = (APP / "guide" / "observing.md").read_text()
PROMETHEUS_OWN = {"up"}
TARGET_LABELS = {"job", "instance"}
SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_count", "_sum")}

PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]


@cache
def exposed() -> Mapping[str, frozenset[str]]:
    """Every name that a scrape can have, with the labels that tell its series apart."""

    async def measure() -> Measures:
        return Measures(0, 0, 0, 0, None)

    counting, figures = Counting(), Figures(0, 0, 0, 0, False, False, 0)
    made = Exposition(
        counting=counting, figures=lambda: figures, measure=measure, clock=lambda: 0, info={"version": ""}
    )
    text = asyncio.run(made.text(ready=True)).decode()
    labels = {"pygents_info": frozenset({"version"})}
    for family in counting.families:
        name = family.name if isinstance(family, Histogram) else f"{family.name}_total"
        labels[name] = frozenset(family.labels) | ({"le"} if isinstance(family, Histogram) else frozenset())
    found = dict[str, frozenset[str]]()
    for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE):
        for suffix in SUFFIXES[kind]:
            found[name.removesuffix("_total") + suffix] = labels.get(name, frozenset())
    return found


def parsed(query: str) -> Any:
    """Raises ValueError if it is no query."""
    for variable, value in (("$__rate_interval", "5m"), ("$job", "pygents"), ("$instance", ".*")):
        query = query.replace(variable, value)
    assert "$" not in query
    return promql_parser.parse(query)


def selectors(expression: Any) -> Iterator[Any]:
    match type(expression).__name__:
        case "VectorSelector":
            yield expression
        case "MatrixSelector":
            yield expression.vector_selector
        case "BinaryExpr":
            yield from selectors(expression.lhs)
            yield from selectors(expression.rhs)
        case "Call":
            for argument in expression.args:
                yield from selectors(argument)
        case "AggregateExpr" | "ParenExpr":
            yield from selectors(expression.expr)


def queries() -> Iterator[tuple[str, str]]:
    for panel in PANELS:
        for target in panel["targets"]:
            yield f"{panel['title']} {target['refId']}", target["expr"]
    for rule in RULES:
        yield rule["alert"], rule["expr"]


NAMED = dict(queries())


@pytest.mark.parametrize("name", NAMED)
def test_a_query_asks_for_what_there_is(name: str) -> None:
    asked = list(selectors(parsed(NAMED[name])))
    assert asked
    for selector in asked:
        assert selector.name in exposed().keys() | PROMETHEUS_OWN
        labels = exposed().get(selector.name, frozenset()) | TARGET_LABELS
        assert {matcher.name for matcher in selector.matchers.matchers} <= labels
        by = set(re.findall(r"\w+", " ".join(re.findall(r"by \(([^)]*)\)", NAMED[name]))))
        assert by <= labels


def test_every_metric_of_ours_is_looked_at() -> None:
    looked_at = {selector.name for query in NAMED.values() for selector in selectors(parsed(query))}
    not_looked_at = {_family(name) for name in exposed()} - {_family(name) for name in looked_at}
    ours = {name for name in not_looked_at if name.startswith("pygents_")}
    assert ours == {"pygents_info", "pygents_draining"}, "the variables ask for the one, and the other passes"


@pytest.mark.parametrize("name", sorted(name for name in exposed() if name.startswith("pygents_")))
def test_the_guide_tells_of_it(name: str) -> None:
    assert f"`{_family(name)}`" in GUIDE


class TestDashboard:
    def test_panels_lie_beside_each_other(self) -> None:
        places = [panel["gridPos"] for panel in DASHBOARD["panels"]]
        assert all(place["x"] >= 0 and place["x"] + place["w"] <= 24 for place in places)
        assert not [pair for pair in combinations(places, 2) if _overlap(*pair)]

    def test_each_has_an_id_of_its_own_and_says_what_it_shows(self) -> None:
        assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
        assert all(panel["description"] and panel["title"] for panel in PANELS)

    def test_a_legend_names_labels_that_its_query_leaves(self) -> None:
        for panel in PANELS:
            for target in panel["targets"]:
                left = set(re.findall(r"by \(([^)]*)\)", target["expr"]))
                names = {name for part in left for name in re.findall(r"\w+", part)} | TARGET_LABELS
                assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= names

    def test_any_data_source_will_do(self) -> None:
        text = json.dumps(DASHBOARD)
        assert set(re.findall(r'"uid": "([^"]*)"', text)) == {"pygents", "${datasource}"}
        assert {variable["name"] for variable in DASHBOARD["templating"]["list"]} == {"datasource", "job", "instance"}


class TestAlerts:
    @pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
    def test_the_guide_says_what_to_do(self, rule: Mapping[str, Any]) -> None:
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert rule["annotations"]["summary"]
        assert re.search(rf"^\| `{rule['alert']}` \|.{{30,}}\|$", GUIDE, re.MULTILINE)

    def test_it_tells_of_no_other(self) -> None:
        assert set(re.findall(r"`(Pygents\w+)`", GUIDE)) == {rule["alert"] for rule in RULES}


class TestTheRulesHere:
    @pytest.mark.parametrize("query", ["sum(", "rate(pygents_x[5m]", "sum by (le rate(x[5m]))"])
    def test_what_is_no_query_is_noticed(self, query: str) -> None:
        with pytest.raises(ValueError, match=r"."):
            parsed(query)

    def test_all_names_of_a_query_are_found(self) -> None:
        query = "histogram_quantile(0.9, sum by (le) (rate(a[5m]))) / (b{x='y'} > 1) or up"
        assert [selector.name for selector in selectors(parsed(query))] == ["a", "b", "up"]


def _overlap(one: Mapping[str, int], other: Mapping[str, int]) -> bool:
    def meet(start: str, size: str) -> bool:
        return one[start] < other[start] + other[size] and other[start] < one[start] + one[size]

    return meet("x", "w") and meet("y", "h")


def _family(name: str) -> str:
    return re.sub(r"_(bucket|count|sum)$", "", name)
