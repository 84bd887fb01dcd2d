"""Settings: where they come from, who wins, and what is refused at the start."""

import re
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import ValidationError

from pygents_app.errors import StartupError
from pygents_app.settings import Settings, load

KEY = "0123456789abcdef"


def refusal(folder: Path, environ: dict[str, str] | None = None, **flags: Any) -> str:
    with pytest.raises(StartupError) as caught:
        load(flags, environ=environ or {}, folder=folder)
    assert "\n" not in caught.value.detail
    return caught.value.detail


def test_defaults_need_nothing(tmp_path: Path) -> None:
    settings = load(environ={}, folder=tmp_path)
    assert settings == Settings()
    assert (settings.host, settings.port, settings.store) == ("127.0.0.1", 8000, "sqlite:///./pygents.db")
    assert settings.loopback


def test_they_are_frozen() -> None:
    with pytest.raises(ValidationError):
        Settings().port = 1  # type: ignore[misc]


def test_every_setting_is_described() -> None:
    assert all(field.description for field in Settings.model_fields.values())


class TestIssuer:
    VARIABLES: ClassVar[dict[str, str]] = {
        "PYGENTS_JWT_ISSUER": "https://issuer.example/a",
        "PYGENTS_JWT_AUDIENCE": "here",
    }

    def test_one_is_enough_to_listen_to_everybody(self, tmp_path: Path) -> None:
        settings = load({"host": "0.0.0.0"}, environ=self.VARIABLES, folder=tmp_path)  # noqa: S104
        assert not settings.needs_key
        assert settings.jwt_scope_claim == "scope"

    @pytest.mark.parametrize("url", ["http://127.0.0.1:9000", "http://localhost", "http://[::1]:9/", "https://a.b/c?d"])
    def test_addresses_that_can_be_trusted(self, url: str) -> None:
        assert Settings(jwt_issuer=url, jwt_audience="here", jwt_jwks_url=url).jwt_issuer == url

    @pytest.mark.parametrize(
        "url",
        [
            "http://issuer.example", "http://127.0.0.1.example", "http://localhost.example", "http://192.0.2.1",
            "https://", "https://me:secret@issuer.example", "https://issuer.example/#a", "file:///etc/passwd",
            "https://issuer.example:x", "https://[::1", "issuer.example", " https://issuer.example", "https://a\n.b",
        ],
    )  # fmt: skip
    def test_addresses_that_cannot(self, tmp_path: Path, url: str) -> None:
        for name in ("jwt_issuer", "jwt_jwks_url"):
            assert "must be an https address" in refusal(tmp_path, {**self.VARIABLES, f"PYGENTS_{name.upper()}": url})

    @pytest.mark.parametrize("name", VARIABLES)
    def test_both_or_none(self, tmp_path: Path, name: str) -> None:
        assert "go together" in refusal(tmp_path, {name: self.VARIABLES[name]})

    @pytest.mark.parametrize("name", ["PYGENTS_JWT_JWKS_URL", "PYGENTS_JWT_SCOPE_CLAIM"])
    def test_what_means_nothing_alone(self, tmp_path: Path, name: str) -> None:
        assert "without jwt_issuer" in refusal(tmp_path, {name: "https://issuer.example"})


class TestPrecedence:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        (tmp_path / "pygents.toml").write_text('port = 1\ndrain = 1\nping = 1\nhook_timeout = 1.5\nlog = "error"\n')
        (tmp_path / ".env").write_text("PYGENTS_PORT=2\nPYGENTS_DRAIN=2\nPYGENTS_PING=2\nOTHER=x\nPYGENTS_URL=y\n")
        return tmp_path

    def test_flags_environment_dotenv_toml_defaults(self, folder: Path) -> None:
        settings = load({"port": 4, "host": None}, environ={"PYGENTS_PORT": "3", "PYGENTS_DRAIN": "3"}, folder=folder)
        shown = settings.port, settings.drain, settings.ping, settings.hook_timeout, settings.log, settings.cancel_grace
        assert shown == (4, 3, 2, 1.5, "error", 10)

    def test_an_empty_variable_is_absent(self, folder: Path) -> None:
        assert load(environ={"PYGENTS_PORT": ""}, folder=folder).port == 2


class TestNames:
    @pytest.mark.parametrize(
        ("name", "meant"), [("PYGENTS_PROT", "PYGENTS_PORT"), ("PYGENTS_MAXBODY", "PYGENTS_MAX_BODY")]
    )
    def test_a_misspelt_variable(self, tmp_path: Path, name: str, meant: str) -> None:
        assert f"{name}, which is not a setting; did you mean {meant}?" in refusal(tmp_path, {name: "1"})

    def test_one_that_is_like_none(self, tmp_path: Path) -> None:
        detail = refusal(tmp_path, {"PYGENTS_XYZZY": "1"})
        assert "PYGENTS_XYZZY" in detail
        assert "mailbox_limit" in detail

    def test_in_dotenv(self, tmp_path: Path) -> None:
        (tmp_path / ".env").write_text("PYGENTS_HOSTS=x\n")
        assert ".env has PYGENTS_HOSTS" in refusal(tmp_path)

    def test_in_toml(self, tmp_path: Path) -> None:
        (tmp_path / "pygents.toml").write_text("prot = 1\n")
        assert "pygents.toml has prot, which is not a setting; did you mean port?" in refusal(tmp_path)

    def test_of_others_are_left_alone(self, tmp_path: Path) -> None:
        environ = {
            "PYGENTS_URL": "http://x", "PYGENTS_API_KEY": "x", "PYGENTS_SERVICE_HOST": "10.0.0.1",
            "PYGENTS_SERVICE_PORT": "80", "PYGENTS_SERVICE_PORT_HTTP": "80", "PYGENTS_PORT": "tcp://10.0.0.1:80",
            "PYGENTS_PORT_8000_TCP": "tcp://10.0.0.1:80", "PYGENTS_PORT_8000_TCP_ADDR": "10.0.0.1",
            "PYGENTS_PORT_8000_TCP_PORT": "80", "PYGENTS_PORT_8000_TCP_PROTO": "tcp",
            "PYGENTS_STORE_PORT": "tcp://10.0.0.2:5432", "PYGENTS_STORE_SERVICE_HOST": "10.0.0.2", "PORT": "1",
        }  # fmt: skip
        assert load(environ=environ, folder=tmp_path) == Settings()


class TestValues:
    @pytest.mark.parametrize(
        ("name", "value"),
        [("PORT", "abc"), ("PORT", "70000"), ("DRAIN", "-1"), ("DRAIN", "nan"), ("DURABILITY", "half"), ("LOG", "loud"),
         ("MAILBOX_LIMIT", "0"), ("MAX_BODY", "1.5"), ("INSECURE", "perhaps"), ("PING", "0")],
    )  # fmt: skip
    def test_one_line_names_the_setting_and_the_value(self, tmp_path: Path, name: str, value: str) -> None:
        detail = refusal(tmp_path, {f"PYGENTS_{name}": value})
        assert f"PYGENTS_{name}" in detail
        assert repr(value) in detail

    def test_broken_toml(self, tmp_path: Path) -> None:
        (tmp_path / "pygents.toml").write_text("port =\n")
        assert "pygents.toml is not valid TOML" in refusal(tmp_path)

    @pytest.mark.parametrize("name", [".env", "pygents.toml"])
    def test_a_file_that_is_not_text(self, tmp_path: Path, name: str) -> None:
        (tmp_path / name).write_bytes(b"\xff\xfe")
        assert refusal(tmp_path) == f"{name} cannot be read (it is not text in UTF-8)."

    @pytest.mark.parametrize("given", ["a.example, b.example", "a.example,b.example,"])
    def test_hosts_are_a_comma_list(self, tmp_path: Path, given: str) -> None:
        assert load(environ={"PYGENTS_ALLOWED_HOSTS": given}, folder=tmp_path).allowed_hosts == (
            "a.example",
            "b.example",
        )


class TestSecrets:
    def test_from_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "key").write_text(KEY + "\n")
        settings = load(environ={"PYGENTS_ADMIN_KEY_FILE": str(tmp_path / "key")}, folder=tmp_path)
        assert settings.admin_key is not None
        assert settings.admin_key.get_secret_value() == KEY
        assert KEY not in repr(settings)

    def test_from_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        assert "PYGENTS_ADMIN_KEY_FILE names a file" in refusal(tmp_path, {"PYGENTS_ADMIN_KEY_FILE": "/nowhere/key"})

    def test_both_are_one_too_many(self, tmp_path: Path) -> None:
        (tmp_path / "key").write_text(KEY)
        environ = {"PYGENTS_ADMIN_KEY_FILE": str(tmp_path / "key"), "PYGENTS_ADMIN_KEY": KEY}
        assert "keep one" in refusal(tmp_path, environ)

    @pytest.mark.parametrize("key", ["", "short", "with a space in it", "é" * 20, "x" * 2000])
    def test_an_unusable_key_is_refused_and_not_shown(self, tmp_path: Path, key: str) -> None:
        detail = refusal(tmp_path, {"PYGENTS_ADMIN_KEY": key})
        assert "admin_key" in detail
        assert not key or key not in detail

    def test_only_secrets_come_from_files(self, tmp_path: Path) -> None:
        assert "PYGENTS_PORT_FILE" in refusal(tmp_path, {"PYGENTS_PORT_FILE": "/x"})


class TestBind:
    @pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "example.org"])  # noqa: S104
    def test_beyond_loopback(self, tmp_path: Path, host: str) -> None:
        assert not load({"host": host}, environ={}, folder=tmp_path).loopback

    @pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost"])
    def test_loopback(self, tmp_path: Path, host: str) -> None:
        assert load({"host": host}, environ={}, folder=tmp_path).loopback


@pytest.mark.parametrize(
    "host", ["https://a.example", "*.b.example", "c.example/", "d.example:port", "::1", "e example", "f.example,"]
)
def test_a_host_that_could_never_match_is_refused(tmp_path: Path, host: str) -> None:
    (tmp_path / "pygents.toml").write_text(f'allowed_hosts = ["fine.example", "{host}"]')
    with pytest.raises(StartupError, match=re.escape(host)):
        load(environ={}, folder=tmp_path)


@pytest.mark.parametrize("host", ["a.example", "A.example:8443", "[::1]", "[2001:db8::1]:80", "10.0.0.7"])
def test_a_host_that_a_client_may_send(host: str) -> None:
    assert Settings(allowed_hosts=(host,)).allowed_hosts == (host,)


@pytest.mark.parametrize(
    ("store", "shown"),
    [("postgresql://u:secret@host/db", "postgresql://***@host/db"), ("mysql://u:sec/re@t@host/db", "mysql://***@host/db"),
     ("sqlite:////data/a@b/x.db", "sqlite:////data/a@b/x.db"), ("memory://", "memory://")],
)  # fmt: skip
def test_a_store_is_shown_without_its_password(store: str, shown: str) -> None:
    assert Settings(store=store).printable()["store"] == shown
