"""The cookie of a session: which one counts, and which requests are those of our own pages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygents_app.api.cookies import (
    Presented,
    begin_cookie,
    by_https,
    end_cookie,
    is_foreign,
    presented,
    proves_own,
)
from pygents_app.api.heads import Heads, gather

TOKEN = b"pys_" + b"0" * 64
OTHER = b"pys_" + b"1" * 64
HOST = (b"host", b"127.0.0.1:8000")
COOKIE = b"pygents-8000=" + TOKEN
SECURE = b"__Host-pygents-8000=" + OTHER


def heads(*headers: tuple[bytes, bytes]) -> Heads:
    return gather((HOST, *headers))


def found(*cookies: bytes, **others: bytes) -> Presented | None:
    further = ((name.replace("_", "-").encode(), value) for name, value in others.items())
    return presented(heads(*((b"cookie", cookie) for cookie in cookies), *further))


class TestWhichCounts:
    @pytest.mark.parametrize(
        "cookie",
        [COOKIE, b"a=b; " + COOKIE, COOKIE + b"; a=b", COOKIE + b";", b" \t" + COOKIE + b" ; pygents=x; pygents-9000=y",
         b"=;;=a;" + COOKIE, b'q="x; ' + COOKIE, b"\xff\x00=\xfe; " + COOKIE, b"a" * 60_000 + b"; " + COOKIE],
    )  # fmt: skip
    def test_ours_among_others(self, cookie: bytes) -> None:
        assert found(cookie) == (TOKEN, False)
        assert found(b"a=b", cookie) == (TOKEN, False)

    @pytest.mark.parametrize(
        "cookies",
        [
            [], [b""], [b"a=b"], [b"pygents-8000"], [b"pygents-8000="], [b"pygents-8000=" + TOKEN[:-1]],
            [COOKIE + b"0"], [COOKIE.upper()], [b"PYGENTS-8000=" + TOKEN], [b'pygents-8000="' + TOKEN + b'"'],
            [b"pygents=" + TOKEN], [b"pygents-8001=" + TOKEN], [b"x" + COOKIE], [COOKIE + b"; " + COOKIE],
            [COOKIE, COOKIE], [COOKIE, b"pygents-8000=" + OTHER], [COOKIE + b"," + COOKIE], [COOKIE + b"\n"],
            [b"pygents-8000=pys_" + b"\xd9\xa0" * 32], [b"pygents-8000=" * 5_000],
            [b"__Host-pygents-8000=garbage; " + COOKIE],
        ],
    )  # fmt: skip
    def test_nothing_else(self, cookies: list[bytes]) -> None:
        assert found(*cookies) is None

    def test_the_one_that_nobody_else_can_set_goes_first(self) -> None:
        assert found(COOKIE + b"; " + SECURE) == found(SECURE + b"; " + COOKIE) == (OTHER, True)

    def test_by_https_the_other_may_be_planted(self) -> None:
        assert found(COOKIE, x_forwarded_proto=b"https") is None
        assert found(COOKIE, origin=b"https://127.0.0.1:8000") is None
        assert found(COOKIE, origin=b"http://127.0.0.1:8000", x_forwarded_proto=b"https") == (TOKEN, False)
        assert found(SECURE, x_forwarded_proto=b"https") == (OTHER, True)

    @pytest.mark.parametrize(
        ("host", "name"),
        [(b"a.example", "pygents"), (b"a.example:443", "pygents-443"), (b"[::1]", "pygents"),
         (b"[::1]:80", "pygents-80")],
    )  # fmt: skip
    def test_the_name_is_by_the_port(self, host: bytes, name: str) -> None:
        given = gather([(b"host", host), (b"cookie", name.encode() + b"=" + TOKEN)])
        assert presented(given) == (TOKEN, False)
        assert begin_cookie("t", given) == f"{name}=t; Path=/; HttpOnly; SameSite=Strict"

    @given(st.lists(st.tuples(st.sampled_from([b"cookie", b"host", b"origin", b"sec-fetch-site"]), st.binary())))
    def test_nothing_fails(self, headers: list[tuple[bytes, bytes]]) -> None:
        given = gather(headers)
        assert presented(given) is None
        assert not (is_foreign(given) and proves_own(given))
        begin_cookie("t", given)


class TestSetting:
    def test_by_http(self) -> None:
        given = heads((b"origin", b"http://127.0.0.1:8000"))
        assert begin_cookie("t", given) == "pygents-8000=t; Path=/; HttpOnly; SameSite=Strict"
        assert end_cookie(given, secure=False) == "pygents-8000=; Max-Age=0; Path=/; HttpOnly; SameSite=Strict"

    @pytest.mark.parametrize("header", [(b"origin", b"https://127.0.0.1:8000"), (b"x-forwarded-proto", b"HTTPS")])
    def test_by_https(self, header: tuple[bytes, bytes]) -> None:
        given = heads(header)
        attributes = "Path=/; HttpOnly; SameSite=Strict; Secure"
        assert begin_cookie("t", given) == f"__Host-pygents-8000=t; {attributes}"
        assert end_cookie(given, secure=True) == f"__Host-pygents-8000=; Max-Age=0; {attributes}"

    def test_what_the_browser_says_goes_before_what_the_proxy_says(self) -> None:
        assert not by_https(heads((b"origin", b"http://127.0.0.1:8000"), (b"x-forwarded-proto", b"https")))
        assert not by_https(heads((b"x-forwarded-proto", b"http, https")))
        assert not by_https(heads((b"x-forwarded-proto", b"https"), (b"x-forwarded-proto", b"https")))


class TestWhosePage:
    OWN, FOREIGN, UNKNOWN = (False, True), (True, False), (False, False)
    ORIGIN = b"http://127.0.0.1:8000"

    @pytest.mark.parametrize(
        ("site", "origin", "whose"),
        [
            (b"same-origin", None, OWN), (b"same-origin", ORIGIN, OWN), (None, ORIGIN, OWN),
            (None, ORIGIN.upper(), OWN), (None, b"https://127.0.0.1:8000", OWN),
            (None, None, UNKNOWN), (b"none", None, UNKNOWN), (b"none", ORIGIN, UNKNOWN),
            (b"same-site", ORIGIN, FOREIGN), (b"cross-site", ORIGIN, FOREIGN), (b"cross-site", None, FOREIGN),
            (b"", None, FOREIGN), (b"Same-Origin", None, FOREIGN), (b"same-origin", b"http://127.0.0.1:8001", FOREIGN),
            (None, b"null", FOREIGN), (b"same-origin", b"null", FOREIGN), (None, b"", FOREIGN),
            (None, b"http://127.0.0.1", FOREIGN), (None, b"127.0.0.1:8000", FOREIGN),
            (None, b"ftp://127.0.0.1:8000", FOREIGN), (None, b"http://evil.example", FOREIGN),
            (None, b"http://127.0.0.1:8000.evil.example", FOREIGN), (None, b"http://sub.127.0.0.1:8000", FOREIGN),
        ],
    )  # fmt: skip
    def test_by_what_the_browser_says(self, site: bytes | None, origin: bytes | None, whose: tuple[bool, bool]) -> None:
        said = [(b"sec-fetch-site", site), (b"origin", origin)]
        given = heads(*((name, value) for name, value in said if value is not None))
        assert (is_foreign(given), proves_own(given)) == whose

    @pytest.mark.parametrize("name", [b"origin", b"sec-fetch-site"])
    def test_twice_is_no_word(self, name: bytes) -> None:
        value = self.ORIGIN if name == b"origin" else b"same-origin"
        assert not proves_own(heads((name, value), (name, value)))
