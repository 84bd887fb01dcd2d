"""Whether what is locked has known vulnerabilities: ``python -m tests.supply.audit extras.lock``.

pip-audit by itself is content with packages that it could not look up. Here that is an answer of its own, because "no
known vulnerabilities" and "nobody was asked" must not look alike: exit code 0, 1 for vulnerabilities, 2 for not known.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]
PIP_AUDIT = ROOT / ".cache" / "audit" / "bin" / "pip-audit"
SECONDS = 300
ADVICE = "Run it on a machine that reaches a database of vulnerabilities, for example in your CI."


class Verdict(NamedTuple):
    code: int
    lines: tuple[str, ...]


def judge(report: dict[str, Any]) -> Verdict:
    """``report``: what pip-audit has printed as JSON."""
    packages = report["dependencies"]
    unknown = [each for each in packages if "skip_reason" in each]
    known = [
        f"{each['name']} {each['version']}: {vulnerability['id']}, mended in "
        f"{', '.join(vulnerability['fix_versions']) or 'no release yet'}"
        for each in packages
        for vulnerability in each.get("vulns", ())
    ]
    if known:
        return Verdict(1, (*known, f"{len(known)} known vulnerabilities."))
    if unknown or not packages:
        first = f" ({unknown[0]['skip_reason']})" if unknown else ""
        return Verdict(
            2, (f"Not audited: {len(unknown)} of {len(packages)} packages could not be looked up{first}.", ADVICE)
        )
    return Verdict(0, (f"No known vulnerabilities in {len(packages)} packages.",))


def failed(message: str) -> Verdict:
    """pip-audit itself has given up; the last line of what it says is the cause."""
    lines = message.strip().splitlines() or ["it said nothing"]
    return Verdict(2, (f"Not audited: {lines[-1][:300]}", ADVICE))


def main(lock: str) -> int:
    command = [str(PIP_AUDIT), "--require-hashes", "--disable-pip", "--progress-spinner", "off", "--format", "json"]
    done = subprocess.run(
        [*command, "--requirement", lock], capture_output=True, text=True, timeout=SECONDS, check=False
    )
    try:
        verdict = judge(json.loads(done.stdout))
    except ValueError:
        verdict = failed(done.stderr)
    print("\n".join(verdict.lines))
    return verdict.code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
