"""A real issuer of tokens on a port of its own: its keys, its OpenID configuration, and what it signs."""

import base64
import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

AUDIENCE = "https://pygents.example"
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
"""One for all tests: they take long to find."""
OTHER_RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def jwk(private: Any, **members: Any) -> dict[str, Any]:
    """The public half."""
    kinds = {rsa.RSAPrivateKey: RSAAlgorithm, ec.EllipticCurvePrivateKey: ECAlgorithm}
    kind: Any = next((made for type_, made in kinds.items() if isinstance(private, type_)), OKPAlgorithm)
    return {**kind.to_jwk(private.public_key(), as_dict=True), **members}


def public_pem(private: Any) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return bytes(private.public_key().public_bytes(serialization.Encoding.PEM, form))


def part(value: object) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(header: Mapping[str, Any], payload: object, private: rsa.RSAPrivateKey = RSA_KEY) -> str:
    """RS256, whatever the header says, and whatever the payload is."""
    text = f"{part(header)}.{part(payload)}"
    return f"{text}.{part(private.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


class Issuer:
    """``keys`` by their ids: what is published; any of them can be changed at any time. ``fetched`` counts."""

    def __init__(self) -> None:
        self.keys: dict[str, Any] = {"first": RSA_KEY}
        self.fetched: list[str] = []
        self.documents: dict[str, Any] = {}
        """What is answered instead, by path: bytes, a status, or something that is JSON."""
        self.headers: dict[str, str] = {}
        """Further ones of each answer."""
        self._server: ThreadingHTTPServer | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def jwks(self) -> dict[str, Any]:
        return {"keys": [jwk(key, kid=kid, use="sig") for kid, key in self.keys.items()]}

    @property
    def settings(self) -> dict[str, str]:
        return {"jwt_issuer": self.url, "jwt_audience": AUDIENCE}

    def claims(self, scope: object = "", **changed: Any) -> dict[str, Any]:
        """Of a token that is valid for an hour; a claim that is None is left out."""
        now = int(time.time())
        claims = {"iss": self.url, "aud": AUDIENCE, "sub": "ann", "iat": now, "exp": now + 3600, "scope": scope}
        return {name: value for name, value in {**claims, **changed}.items() if value is not None}

    def token(
        self, scope: object = "", *, kid: str | None = "first", key: Any = None, algorithm: str = "RS256",
        header: Mapping[str, Any] | None = None, **changed: Any,
    ) -> str:  # fmt: skip
        headers = {**({"kid": kid} if kid is not None else {}), **(header or {})}
        key = key if key is not None else self.keys[str(kid)]
        return jwt.encode(self.claims(scope, **changed), key, algorithm=algorithm, headers=headers)

    # --- its life ----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """On the same port each time."""
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), self._handler())
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def answer(self, path: str) -> tuple[int, bytes]:
        self.fetched.append(path)
        known = {
            "/.well-known/openid-configuration": {"issuer": self.url, "jwks_uri": f"{self.url}/keys"},
            "/keys": self.jwks,
            **self.documents,
        }
        match known.get(path):
            case None:
                return 404, b""
            case bytes() as body:
                return 200, body
            case int() as status:
                return status, b""
            case document:
                return 200, json.dumps(document).encode()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, body = issuer.answer(self.path)
                self.send_response(status)
                if status in (301, 302):
                    self.send_header("Location", "/keys")
                for name, value in issuer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        return Handler


@contextmanager
def issuing() -> Iterator[Issuer]:
    issuer = Issuer()
    issuer.start()
    try:
        yield issuer
    finally:
        issuer.stop()


EC_KEYS = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}


def key_for(algorithm: str) -> Any:
    """A private key that signs so."""
    if algorithm.startswith("ES"):
        return ec.generate_private_key(EC_KEYS[algorithm])
    return ed25519.Ed25519PrivateKey.generate() if algorithm == "EdDSA" else RSA_KEY
