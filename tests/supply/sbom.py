"""The bill of materials of what the locks install, as CycloneDX 1.6: ``python -m tests.supply.sbom``.

requirements.lock has what every service needs, extras.lock that and what its extras need.

Made of the lock and pyproject.toml alone, so that the same tree gives the same bytes: no time, no random number, no
look at what happens to be installed. It names packages by purl, never by a registry's address.
"""

import json
import re
import tomllib
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from tests.supply.locked import Pin, normal, pins

ROOT = Path(__file__).parents[2]


def bill(project: dict[str, Any], lock: str, extras: str) -> dict[str, Any]:
    """``extras``: the lock of all that ``lock`` has, and of what the optional dependencies need."""
    own, required = project["project"], {pin.name for pin in pins(lock)}
    build = {_name(each) for each in project["dependency-groups"]["build"]}
    direct = {_name(each) for each in own["dependencies"]}

    def scope(name: str) -> str:
        if name not in required:
            return "optional"
        return "excluded" if name in build - direct else "required"

    components = [_component(pin, scope(pin.name)) for pin in sorted(pins(extras))]
    root = _reference(normal(own["name"]), own["version"])
    content: dict[str, Any] = {
        "metadata": {
            "component": {
                "type": "application", "bom-ref": root, "name": own["name"], "version": own["version"],
                "description": own["description"], "licenses": [{"license": {"id": own["license"]}}], "purl": root,
            },
        },
        "components": components,
        "dependencies": [
            {"ref": root, "dependsOn": [each["bom-ref"] for each in components if each["name"] in direct]},
        ],
    }  # fmt: skip
    number = uuid5(NAMESPACE_URL, json.dumps(content, sort_keys=True))
    head = {"bomFormat": "CycloneDX", "specVersion": "1.6", "serialNumber": f"urn:uuid:{number}", "version": 1}
    return {"$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json", **head, **content}


def _component(pin: Pin, scope: str) -> dict[str, Any]:
    """``excluded``: it builds the package and is no part of what runs. ``optional``: an extra asks for it."""
    reference = _reference(pin.name, pin.version)
    found: dict[str, Any] = {
        "type": "library", "bom-ref": reference, "name": pin.name, "version": pin.version, "purl": reference,
        "scope": scope,
        "hashes": [{"alg": "SHA-256", "content": digest} for digest in sorted(pin.hashes)],
    }  # fmt: skip
    if pin.marker:
        found["properties"] = [{"name": "pygents:marker", "value": pin.marker}]
    return found


def _reference(name: str, version: str) -> str:
    return f"pkg:pypi/{name}@{version}"


def _name(requirement: str) -> str:
    return normal(re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0])


def main() -> None:
    lock, extras = ((ROOT / name).read_text() for name in ("requirements.lock", "extras.lock"))
    print(json.dumps(bill(tomllib.loads((ROOT / "pyproject.toml").read_text()), lock, extras), indent=2))


if __name__ == "__main__":
    main()
