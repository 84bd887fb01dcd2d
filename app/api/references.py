"""How one part of the OpenAPI document points to another."""

from typing import Literal

Kind = Literal["schemas", "headers", "examples"]


def reference(name: str, kind: Kind = "schemas") -> dict[str, str]:
    return {"$ref": f"#/components/{kind}/{name}"}
