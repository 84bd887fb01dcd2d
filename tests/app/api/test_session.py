"""Browsers that sign in: who gets a cookie, what it lets in, and whose pages it is not for."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from pygents_app.api.session import scopes_of
from pygents_app.auth import ANYBODY, SETTINGS_ADMIN, Principal
from pygents_app.clock import new_id
from pygents_app.grants import parse_grant
from pygents_app.settings import Settings
from tests.app.api.serving import Served, serving
from tests.app.api.test_guard import problem
from tests.app.api.test_keys import ADMIN, SETTINGS_KEY, make, of

OWN = {"Sec-Fetch-Site": "same-origin"}
FORMS = ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data")


@pytest.fixture(scope="module")
def closed() -> Iterator[Served]:
    allowed = "https://app.example.org"
    settings = {"admin_key": SETTINGS_KEY, "cors_origins": allowed, "allowed_hosts": "agents.example.org"}
    with serving(Settings.model_validate(settings)) as served:
        yield served


def sign_in(served: Served, key: str = SETTINGS_KEY, **headers: str) -> dict[str, str]:
    """The header that the browser has from then on."""
    answer = served.call("POST", "/session", json={"key": key}, headers=headers)
    assert answer.status_code == 201, answer.text
    return {"Cookie": cookie_of(answer)}


def cookie_of(answer: httpx.Response) -> str:
    (header,) = answer.headers.get_list("set-cookie")
    return str(header).partition(";")[0]


def status(served: Served, *, method: str = "GET", path: str = "/session", **headers: str) -> int:
    return served.call(method, path, headers=headers).status_code


class TestSigningIn:
    def test_it_says_who_one_is(self, closed: Served) -> None:
        key = make(closed, "agents:read", "turns:write@a-*", name="the é page", expires_in=60)
        answer = closed.call("POST", "/session", json={"key": key["key"]})
        assert answer.status_code == 201
        who = {"id": key["id"], "name": "the é page", "scopes": ["agents:read", "turns:write@a-*"]}
        assert answer.json() == {"credential": "cookie", **who, "expires_at": key["expires_at"]}
        assert closed.get("/session", headers={"Cookie": cookie_of(answer)}) == answer.json()
        assert closed.get("/session", headers=of(key)) == {**answer.json(), "credential": "key"}

    def test_with_a_header(self, closed: Served) -> None:
        answer = closed.call("POST", "/session", headers=ADMIN)
        assert (answer.status_code, answer.json()["id"]) == (201, "admin")
        assert closed.get("/session", headers={"Cookie": cookie_of(answer)})["scopes"] == ["admin"]
        assert closed.get("/session", headers=ADMIN)["expires_at"] is None

    def test_no_script_can_read_the_cookie(self, closed: Served) -> None:
        answer = closed.call("POST", "/session", json={"key": SETTINGS_KEY}, headers={"Origin": closed.url})
        (cookie,) = answer.headers.get_list("set-cookie")
        assert cookie.startswith(f"pygents-{closed.port}=pys_")
        assert cookie.split("; ")[1:] == ["Path=/", "HttpOnly", "SameSite=Strict"]
        assert cookie.partition("=")[2][:68] not in answer.text
        assert answer.headers["cache-control"] == "no-store"

    def test_by_https_it_is_for_https_and_this_host_only(self, closed: Served) -> None:
        headers = {"Host": "agents.example.org", "Origin": "https://agents.example.org"}
        answer = closed.call("POST", "/session", json={"key": SETTINGS_KEY}, headers=headers)
        (cookie,) = answer.headers.get_list("set-cookie")
        assert cookie.startswith("__Host-pygents=pys_")
        assert cookie.split("; ")[1:] == ["Path=/", "HttpOnly", "SameSite=Strict", "Secure"]
        sent = {"Cookie": cookie_of(answer), "Host": "agents.example.org"}
        assert status(closed, **sent) == 200
        assert status(closed, method="DELETE", **{**sent, "Origin": "http://agents.example.org"}) == 403
        ended = closed.call("DELETE", "/session", headers={**headers, **sent})
        assert (ended.status_code, cookie_of(ended)) == (204, "__Host-pygents=")

    def test_one_that_was_planted_does_not_count_by_https(self, closed: Served) -> None:
        name, _, token = sign_in(closed)["Cookie"].partition("=")
        planted = {"Host": "agents.example.org", "Cookie": f"pygents={token}"}
        assert name == f"pygents-{closed.port}"
        assert status(closed, **planted) == 200
        assert status(closed, **planted, **{"X-Forwarded-Proto": "https"}) == 401

    @pytest.mark.parametrize(
        "body", [{"key": "wrong"}, {"key": ""}, {"key": "é"}, {"key": "pyg_" + "0" * 77}, {"key": None}, {}]
    )
    def test_a_wrong_key_signs_nobody_in(self, closed: Served, body: Any) -> None:
        answer = closed.call("POST", "/session", json=body)
        problem(answer, "unauthorized")
        assert answer.headers["www-authenticate"] == "Bearer"
        assert "set-cookie" not in answer.headers

    @pytest.mark.parametrize(
        ("body", "slug"),
        [(b"[]", "invalid-request"), (b'{"key":1}', "invalid-request"), (b'{"key":"a","b":1}', "invalid-request"),
         (b"{", "malformed-body"), (b'{"key":"%s"}' % (b"x" * 16_385), "invalid-request"),
         (b'{"key":"\\ud800"}', "malformed-body")],
    )  # fmt: skip
    def test_other_bodies_are_none(self, closed: Served, body: bytes, slug: str) -> None:
        headers = {"Content-Type": "application/json"}
        problem(closed.call("POST", "/session", content=body, headers=headers), slug)

    def test_a_wrong_header_counts_before_a_right_body(self, closed: Served) -> None:
        for headers in ({"X-API-Key": "wrong"}, {"Authorization": "Bearer wrong"}, ADMIN):
            problem(closed.call("POST", "/session", json={"key": SETTINGS_KEY}, headers=headers), "unauthorized")

    def test_wrong_keys_are_counted(self) -> None:
        settings = {"admin_key": SETTINGS_KEY, "wrong_keys": 2}
        with serving(Settings.model_validate(settings)) as served:
            stored = make(served, "admin")["key"]
            for _ in range(2):
                problem(served.call("POST", "/session", json={"key": "wrong"}), "unauthorized")
            answer = served.call("POST", "/session", json={"key": SETTINGS_KEY})
            problem(answer, "too-many-wrong-keys")
            assert int(answer.headers["retry-after"]) >= 1
            assert served.call("POST", "/session", json={"key": stored}).status_code == 201

    def test_stale_cookies_are_not(self) -> None:
        with serving(Settings.model_validate({"admin_key": SETTINGS_KEY, "wrong_keys": 1})) as served:
            stale = {"Cookie": f"pygents-{served.port}=pys_{'0' * 64}"}
            for _ in range(5):
                problem(served.call("GET", "/agents", headers=stale), "unauthorized")

    def test_nor_are_passwords_for_a_proxy(self) -> None:
        """Or a page that asks whether one is signed in would keep the admin of the settings out."""
        with serving(Settings.model_validate({"admin_key": SETTINGS_KEY, "wrong_keys": 1})) as served:
            for _ in range(5):
                answer = served.call("GET", "/session", headers={"Authorization": "Basic Zm9vOmJhcg=="})
                problem(answer, "unauthorized")
            assert served.call("GET", "/session", headers=ADMIN).status_code == 200

    def test_it_is_a_request_of_the_keys(self, closed: Served) -> None:
        key = make(closed, "agents:read", rate=0.001, burst=2)
        cookie = sign_in(closed, key["key"])
        assert status(closed, **cookie) == 200
        problem(closed.call("POST", "/session", json={"key": key["key"]}), "rate-limited")
        assert status(closed, **cookie) == 429
        assert status(closed, method="DELETE", **cookie, **OWN) == 204, "to sign out is always possible"

    @pytest.mark.parametrize("chunked", [False, True])
    def test_nobody_has_a_large_body_read(self, closed: Served, chunked: bool) -> None:
        large = b'{"key": "%s"}' % (b"k" * 100_000)
        content = iter([large[:50_000], large[50_000:]]) if chunked else large
        answer = closed.call("POST", "/session", content=content, headers={"Content-Type": "application/json"})
        problem(answer, "body-too-large")

    def test_attempts_without_a_key_are_counted_for_their_address(self) -> None:
        settings = {"admin_key": SETTINGS_KEY, "rate": 0.001, "rate_burst": 2, "wrong_keys": 0}
        with serving(Settings.model_validate(settings)) as served:
            for _ in range(2):
                problem(served.call("POST", "/session", json={"key": "wrong"}), "unauthorized")
            problem(served.call("POST", "/session", json={"key": SETTINGS_KEY}), "rate-limited")

    def test_the_browsers_session_before_ends(self, closed: Served) -> None:
        first = sign_in(closed)
        second = sign_in(closed, **first)
        assert (status(closed, **first), status(closed, **second)) == (401, 200)


class TestWithoutKeys:
    def test_nobody_has_to_sign_in(self) -> None:
        with serving(Settings()) as served:
            who = served.get("/session")
            assert who == {
                "credential": None, "id": None, "name": "anonymous", "scopes": ["admin"], "expires_at": None,
            }  # fmt: skip
            for options in ({"json": {"key": "anything"}}, {}):
                answer = served.call("POST", "/session", **options)
                assert (answer.status_code, answer.json()) == (200, who)
                assert "set-cookie" not in answer.headers
            assert status(served, method="DELETE") == 204

    def test_until_there_is_one(self) -> None:
        with serving(Settings()) as served:
            key = served.call("POST", "/keys", json={"scopes": ["admin"]}).json()["key"]
            problem(served.call("GET", "/session"), "unauthorized")
            assert status(served, **sign_in(served, key)) == 200


class TestSigningOut:
    def test_the_cookie_is_void_and_gone(self, closed: Served) -> None:
        cookie, other = sign_in(closed), sign_in(closed)
        answer = closed.call("DELETE", "/session", headers={**cookie, **OWN})
        assert answer.status_code == 204
        (ended,) = answer.headers.get_list("set-cookie")
        assert ended == f"pygents-{closed.port}=; Max-Age=0; Path=/; HttpOnly; SameSite=Strict"
        assert status(closed, **cookie) == 401
        assert status(closed, method="DELETE", **cookie, **OWN) == 401
        assert status(closed, **other) == 200

    def test_a_key_has_no_session_to_end(self, closed: Served) -> None:
        cookie = sign_in(closed)
        assert status(closed, method="DELETE", **ADMIN, **cookie) == 204
        assert status(closed, **cookie) == 200

    def test_a_revoked_key_takes_its_browsers_with_it(self, closed: Served) -> None:
        key = make(closed, "agents:read")
        cookies = [sign_in(closed, key["key"]) for _ in range(2)]
        assert [status(closed, path="/agents", **cookie) for cookie in cookies] == [200, 200]
        closed.call("DELETE", f"/keys/{key['id']}", headers=ADMIN)
        assert [status(closed, path="/agents", **cookie) for cookie in cookies] == [401, 401]


class TestReading:
    def test_it_may_what_the_key_may(self, closed: Served) -> None:
        agent, other = closed.create(), closed.create()
        cookie = sign_in(closed, make(closed, f"agents:read@{agent}")["key"])
        assert status(closed, path=f"/agents/{agent}", **cookie) == 200
        assert status(closed, path=f"/agents/{other}", **cookie) == 404
        assert status(closed, path=f"/agents/{agent}/events", **cookie) == 403
        assert status(closed, method="POST", path=f"/agents/{agent}/pause", **cookie, **OWN) == 403
        assert status(closed, path="/docs", **cookie, **{"Sec-Fetch-Site": "none"}) == 200

    @pytest.mark.parametrize("site", ["same-site", "cross-site", ""])
    def test_a_page_of_the_same_site_has_no_cookie_either(self, closed: Served, site: str) -> None:
        cookie, stream = sign_in(closed), f"/agents/{closed.create()}/stream"
        for path in ("/agents", stream, "/session"):
            problem(closed.call("GET", path, headers={**cookie, "Sec-Fetch-Site": site}), "unauthorized")
            problem(closed.call("GET", path, headers={**cookie, "Origin": "http://127.0.0.1:1"}), "unauthorized")

    def test_what_it_is_answered_is_for_its_own_pages(self, closed: Served) -> None:
        answer = closed.call("GET", "/agents", headers={**sign_in(closed), "Origin": closed.url})
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert "access-control-allow-credentials" not in answer.headers

    @pytest.mark.parametrize("headers", [{"X-API-Key": "wrong"}, {"Authorization": "Bearer wrong"}])
    def test_a_header_counts_before_it(self, closed: Served, headers: dict[str, str]) -> None:
        cookie = sign_in(closed)
        assert status(closed, **cookie, **headers) == 401
        key = make(closed, "agents:read")
        assert closed.get("/session", headers={**cookie, **of(key)})["id"] == key["id"]

    def test_what_is_for_the_proxy_does_not(self, closed: Served) -> None:
        basic = {"Authorization": "Basic Zm9vOmJhcg=="}
        assert status(closed, **sign_in(closed, **basic), **basic) == 200

    def test_a_ticket_counts_before_it(self, closed: Served) -> None:
        path = f"/agents/{closed.create()}/stream?ticket=pyt_{'0' * 64}"
        assert status(closed, path=path, **sign_in(closed)) == 401

    def test_a_ticket_of_it_ends_with_it(self, closed: Served) -> None:
        agent, cookie = closed.create(), sign_in(closed)
        asked = closed.call("POST", "/stream-tickets", json={"agents": [agent]}, headers={**cookie, **OWN})
        assert asked.status_code == 201
        path = f"/agents/{agent}/stream?ticket={asked.json()['ticket']}"
        closed.call("DELETE", "/session", headers={**cookie, **OWN})
        assert status(closed, path=path) == 401

    def test_garbage_is_nobodys(self, closed: Served) -> None:
        name, _, token = sign_in(closed)["Cookie"].partition("=")
        wrong = ("", "=", ";;;", "\xff" * 99, f"{name}=", f"{name}={token}0", f"{name}={token}; {name}={token}",
                 f'{name}="{token}"', f"pygents={token}", f"{name}=" * 999, f"{name}={'é' * 64}")  # fmt: skip
        for cookie in wrong:
            sent = [("Cookie", cookie.encode("latin-1"))]
            problem(closed.call("GET", "/agents", headers=sent), "unauthorized")
        sent = [("Cookie", f"{name}={token}".encode())] * 2
        problem(closed.call("GET", "/agents", headers=sent), "unauthorized")


class TestWriting:
    def write(self, closed: Served, **options: Any) -> httpx.Response:
        headers = {**sign_in(closed), **options.pop("headers", {})}
        return closed.call("POST", f"/agents/{closed.create()}/turns", headers=headers, **options)

    @pytest.mark.parametrize("site", ["same-origin", None])
    def test_the_own_page_can(self, closed: Served, site: str | None) -> None:
        headers = {"Origin": closed.url, **({"Sec-Fetch-Site": site} if site else {})}
        assert self.write(closed, json={"tool": "echo"}, headers=headers).status_code == 202
        assert self.write(closed, json={"tool": "echo"}, headers=OWN).status_code == 202

    @pytest.mark.parametrize(
        "headers",
        [
            {}, {"Sec-Fetch-Site": "same-site"}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "none"},
            {"Origin": "null"}, {"Origin": "https://evil.example"}, {"Origin": "http://sub.127.0.0.1"},
            {"Origin": "https://app.example.org"}, {"Origin": "http://127.0.0.1:1"}, {**OWN, "Origin": "null"},
            {**OWN, "Origin": "https://app.example.org"}, {"Referer": "http://127.0.0.1:8000/"},
        ],
    )  # fmt: skip
    def test_no_other_page_can(self, closed: Served, headers: dict[str, str]) -> None:
        """With whatever body, also one that the page could only send after a preflight."""
        problem(self.write(closed, json={"tool": "echo"}, headers=headers), "foreign-origin")
        for kind in FORMS:
            sent = {**headers, "Content-Type": kind}
            problem(self.write(closed, content=b'{"tool":"echo"}', headers=sent), "foreign-origin")

    def test_nor_one_of_the_same_site_whose_origin_looks_as_ours(self, closed: Served) -> None:
        headers = {"Origin": closed.url, "Sec-Fetch-Site": "same-site"}
        problem(self.write(closed, json={"tool": "echo"}, headers=headers), "foreign-origin")

    @pytest.mark.parametrize("kind", [*FORMS, None])
    def test_the_own_page_sends_no_forms(self, closed: Served, kind: str | None) -> None:
        headers = {**sign_in(closed), **OWN, **({"Content-Type": kind} if kind else {})}
        for path in ("turns", "pause"):
            answer = closed.call("POST", f"/agents/{closed.create()}/{path}", content=b"{}", headers=headers)
            problem(answer, "foreign-origin")

    def test_without_a_body_it_needs_no_type(self, closed: Served) -> None:
        cookie, agent = sign_in(closed), closed.create()
        assert status(closed, method="POST", path=f"/agents/{agent}/pause", **cookie, **OWN) == 200
        assert status(closed, method="DELETE", path=f"/agents/{agent}", **cookie, **OWN) == 204
        problem(closed.call("DELETE", f"/agents/{agent}", headers=cookie), "foreign-origin")

    @pytest.mark.parametrize(
        "headers",
        [{"Origin": "null"}, {"Origin": "https://app.example.org"}, {"Origin": "https://evil.example"},
         {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}],
    )  # fmt: skip
    def test_no_other_page_signs_the_browser_in_or_out(self, closed: Served, headers: dict[str, str]) -> None:
        """In, too: a person would go on in the name of whoever has made the page."""
        body = {"key": SETTINGS_KEY}
        problem(closed.call("POST", "/session", json=body, headers=headers), "foreign-origin")
        cookie = sign_in(closed)
        problem(closed.call("DELETE", "/session", headers={**cookie, **headers}), "foreign-origin")
        assert status(closed, **cookie) == 200

    def test_nor_does_a_form(self, closed: Served) -> None:
        for kind in FORMS:
            sent = {"Content-Type": kind, "Origin": closed.url}
            answer = closed.call("POST", "/session", content=b'{"key":"%s"}' % SETTINGS_KEY.encode(), headers=sent)
            problem(answer, "unsupported-media-type")


class TestWhatIsKnownOfIt:
    def test_an_admins_are_in_the_audit_log(self, closed: Served) -> None:
        key = make(closed, "admin@a*", name="a desk")
        before = closed.get("/audit?limit=1000", headers=ADMIN)["items"][-1]["number"]
        cookie = sign_in(closed, key["key"])
        reader = sign_in(closed, make(closed, "agents:read")["key"])
        for each in (cookie, reader):
            assert status(closed, method="DELETE", **each, **OWN) == 204
        entries = closed.get(f"/audit?after={before}", headers=ADMIN)["items"]
        of_it = [entry for entry in entries if entry["action"] in {"signIn", "signOut"}]
        assert [entry["action"] for entry in of_it] == ["signIn", "signOut"]
        assert {(entry["by"]["id"], entry["by"]["name"]) for entry in of_it} == {(key["id"], "a desk")}
        assert "pys_" not in str(entries)

    def test_a_caller_is_its_key(self, closed: Served) -> None:
        """One and the same, by whatever it comes: for idempotency keys, quotas and logs."""
        agent, key, header = closed.create(), make(closed, "turns:write"), {"Idempotency-Key": new_id()}
        first = closed.submit(agent, headers={**of(key), **header})
        again = closed.submit(agent, headers={**sign_in(closed, key["key"]), **OWN, **header})
        assert first["id"] == again["id"]

    @pytest.mark.parametrize(
        ("granted", "shown"),
        [
            (["admin"], ["admin"]),
            (["admin", "agents:read@a"], ["admin"]),
            (["admin@a*", "agents:read@a*", "stream:read"], ["admin@a*", "stream:read"]),
            (["turns:write@b*", "turns:write@a", "turns:write@b1"], ["turns:write@a", "turns:write@b*"]),
            ([], []),
        ],
    )
    def test_scopes_are_shown_as_they_are_written(self, granted: list[str], shown: list[str]) -> None:
        assert scopes_of(Principal.of("k", "", map(parse_grant, granted))) == shown

    def test_who_may_do_everything_is_an_admin(self) -> None:
        assert scopes_of(ANYBODY) == scopes_of(SETTINGS_ADMIN) == ["admin"]
