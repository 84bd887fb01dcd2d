"""``/problems``: whoever is answered with a problem can look it up."""

import re
from urllib.parse import quote

import pytest

from pygents_app.explanations.catalogue import catalogue
from tests.app.api.serving import Served
from tests.app.api.test_guard import problem


def test_the_list_has_all(service: Served) -> None:
    page = service.get("/problems")
    assert [item["name"] for item in page["items"]] == sorted(catalogue())
    assert page["next"] is None
    for item in page["items"]:
        assert service.get(item["links"]["self"]) == item


def test_the_list_has_pages(service: Served) -> None:
    names, after = [], ""
    while True:
        page = service.get(f"/problems?limit=7{after}")
        names += [item["name"] for item in page["items"]]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    assert names == sorted(catalogue())


@pytest.mark.parametrize(
    "name", ["mailbox-full", "urn:pygents:problem:mailbox-full", quote("urn:pygents:problem:mailbox-full", safe="")]
)
def test_by_its_name_and_by_its_whole_type(service: Served, name: str) -> None:
    found = service.get(f"/problems/{name}")
    assert (found["name"], found["status"], found["repeat"]) == ("mailbox-full", 429, "later")


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/agents/nobody"), ("GET", "/nowhere"), ("PUT", "/agents"), ("GET", "/agents?x=1"), ("POST", "/agents")],
)
def test_every_problem_leads_to_its_explanation(service: Served, method: str, path: str) -> None:
    answer = service.call(method, path)
    link = re.fullmatch(r'<(/problems/[a-z-]+)>; rel="help"', answer.headers["link"])
    assert link
    found = service.get(link[1])
    assert (found["type"], found["status"]) == (answer.json()["type"], answer.status_code)


def test_those_of_the_guard_do_too(service: Served, locked: Served) -> None:
    assert locked.call("GET", "/agents").headers["link"] == '</problems/unauthorized>; rel="help"'
    refused = service.call("GET", "/agents", headers={"Host": "evil.example"})
    assert refused.headers["link"] == '</problems/misdirected-host>; rel="help"'


@pytest.mark.parametrize("name", ["unknown", "%00", "%2e%2e", "<script>", "x" * 5000])
def test_what_is_not_there(service: Served, name: str) -> None:
    problem(service.call("GET", f"/problems/{name}"), "not-found")


def test_it_takes_no_parameters_and_no_writes(service: Served) -> None:
    problem(service.call("GET", "/problems?x=1"), "invalid-request")
    problem(service.call("GET", "/problems/draining?x=1"), "invalid-request")
    problem(service.call("POST", "/problems"), "method-not-allowed")
