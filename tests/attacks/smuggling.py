"""Requests that two readers take differently (RFC 9112 §11.2), each with another request hidden behind it.

A proxy in front and the service behind it must agree on where one request ends: what one takes for a body, the other
may take for the next request, which then passes for that of somebody else.
"""

from collections.abc import Mapping

HIDDEN = b"GET /info HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
HEAD = b"POST /agents/code/turns HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n"
LAST = b"Connection: close\r\n"
END = b"\r\n0\r\n\r\n"


def _lengths(*fields: bytes) -> bytes:
    return HEAD + b"".join(field + b"\r\n" for field in fields) + b"\r\n{}"


AMBIGUOUS: Mapping[str, bytes] = {
    "two lengths": _lengths(b"Content-Length: 2", b"Content-Length: 3"),
    "two lengths that are the same": _lengths(b"Content-Length: 2", b"Content-Length: 2"),
    "a list of lengths": _lengths(b"Content-Length: 2, 2"),
    "a length and chunks": HEAD + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and a length": CHUNKED + b"Content-Length: 4\r\n\r\n0\r\n\r\n",
    "two codings": CHUNKED + b"Transfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "chunks of chunks": CHUNKED + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks not at the end": HEAD + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "another coding": HEAD + b"Transfer-Encoding: identity\r\n\r\n{}",
    "almost chunked": HEAD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked behind a control character": HEAD + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "a space before the colon of a coding": HEAD + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "a space before the colon of a length": _lengths(b"Content-Length : 2"),
    "a coding on the next line": HEAD + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "a folded line": _lengths(b"X: a\r\n b", b"Content-Length: 2"),
    "a space before the first header": HEAD.replace(b"\r\nHost", b"\r\n Host") + b"Content-Length: 2\r\n\r\n{}",
    "line feeds only": _lengths(b"Content-Length: 2").replace(b"\r\n", b"\n"),
    "one line feed": _lengths(b"X: a\nContent-Length: 2"),
    "one carriage return": _lengths(b"X: a\rContent-Length: 2"),
    "a carriage return in a value": _lengths(b"X: a\rb", b"Content-Length: 2"),
    "a NUL in a value": _lengths(b"X: a\0b", b"Content-Length: 2"),
    "a NUL in a name": _lengths(b"X\0: a", b"Content-Length: 2"),
    "a letter beyond ASCII in a name": _lengths("X-\u00e9: a".encode(), b"Content-Length: 2"),
    "no colon": _lengths(b"X", b"Content-Length: 2"),
    "no name": _lengths(b": a", b"Content-Length: 2"),
    "a length with a sign": _lengths(b"Content-Length: +2"),
    "a negative length": _lengths(b"Content-Length: -2"),
    "a length in hexadecimal": _lengths(b"Content-Length: 0x2"),
    "an empty length": _lengths(b"Content-Length: "),
    "a length in two": _lengths(b"Content-Length: 1 2"),
    "a length beyond 64 bits": _lengths(b"Content-Length: 18446744073709551618"),
    "a size with a prefix": CHUNKED + b"\r\n0x2\r\n{}" + END,
    "a negative size": CHUNKED + b"\r\n-2\r\n{}" + END,
    "a size beyond 64 bits": CHUNKED + b"\r\n10000000000000002\r\n{}" + END,
    "a space behind a size": CHUNKED + b"\r\n2 \r\n{}" + END,
    "a space before a size": CHUNKED + b"\r\n 2\r\n{}" + END,
    "no size": CHUNKED + b"\r\n\r\n{}" + END,
    "sizes ended by line feeds": CHUNKED + b"\r\n2\n{}\n0\n\n",
    "a piece ended by a line feed": CHUNKED + b"\r\n2\r\n{}\n0\r\n\r\n",
    "a piece that does not end": CHUNKED + b"\r\n2\r\n{}0\r\n\r\n",
    "a piece that is longer": CHUNKED + b"\r\n2\r\n{}XX0\r\n\r\n",
    "an extension ended by a line feed": CHUNKED + b"\r\n2;a\n{}" + END,
    "an extension with a carriage return": CHUNKED + b"\r\n2;\rxx\r\n{}" + END,
    "a length in a trailer": CHUNKED + b"\r\n2\r\n{}\r\n0\r\nContent-Length: 9\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/1.2": HIDDEN.replace(b"1.1", b"1.2"),
    "a version in small letters": HIDDEN.replace(b"HTTP", b"http"),
    "tabs in the first line": b"GET\t/info\tHTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a space in the address": b"GET /info x HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a backslash for an address": b"GET \\info HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a letter beyond ASCII in the address": b"GET /inf\xf6 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a control character in the address": b"GET /in\x01fo HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a tunnel": b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a NUL first": b"\0",
    "a TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40) + b"\r\n\r\n",
}
"""Each is answered 400 and nothing more: what is behind it is not looked at."""

CONTAINED: Mapping[str, bytes] = {
    "the body of a GET": HEAD.replace(b"POST", b"GET") + LAST + b"Content-Length: %d\r\n\r\n" % len(HIDDEN),
    "the body of a HEAD": HEAD.replace(b"POST", b"HEAD") + LAST + b"Content-Length: %d\r\n\r\n" % len(HIDDEN),
    "the body of a POST": HEAD + LAST + b"Content-Length: %d\r\n\r\n" % len(HIDDEN),
    "a body that is too long": HEAD + b"Content-Length: 20000000\r\n\r\n",
    "a body of a request to speak otherwise":
        HEAD + b"Connection: Upgrade, close\r\nUpgrade: h2c\r\nContent-Length: %d\r\n\r\n" % len(HIDDEN),
    "behind the last request": b"GET /nothing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    "behind a request of HTTP/1.0": b"GET /nothing HTTP/1.0\r\nHost: localhost\r\n\r\n",
    "behind a request of HTTP/1.0 in chunks":
        CHUNKED.replace(b"HTTP/1.1", b"HTTP/1.0") + b"\r\n2\r\n{}\r\n0\r\n\r\n",
    "behind a request without a version": b"GET /nothing\r\n\r\n",
}  # fmt: skip
"""These are clear. What is behind their heads is a body, or comes too late: it must not be taken for a request."""
