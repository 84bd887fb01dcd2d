"""``make attacks``: for five minutes all that is known to be tried; writes tests/attacks/results.json.

All choices follow from the seed, which is printed: ``make attacks SEED=… MINUTES=1``.
"""

import argparse
import asyncio
import json
import secrets
import sys
import tempfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

from tests.attacks.campaign import campaign
from tests.attacks.target import attacked
from tests.provenance import commit, machine

RESULTS = Path(__file__).with_name("results.json")


def main() -> int:
    parser = argparse.ArgumentParser(prog="make attacks", description=__doc__)
    parser.add_argument("--seed", default=str(secrets.randbelow(1 << 32)), help="all choices follow from it")
    parser.add_argument("--minutes", type=float, default=5, help="how long")
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    begun, code = monotonic(), commit()
    with tempfile.TemporaryDirectory(prefix="attacks-") as folder, attacked(Path(folder)) as target:
        report = asyncio.run(campaign(target, given.seed, seconds=given.minutes * 60))
    results = {
        "command": "make attacks" + "".join(f" {word}" for word in sys.argv[1:]),
        "seed": given.seed,
        "commit": code,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(monotonic() - begun),
        "machine": machine(),
        "attacks": dict(sorted(report.attacks.items())),
        "answers": {name: dict(sorted(counts.items())) for name, counts in sorted(report.answers.items())},
        "grown_bytes": report.grown,
        "through": report.through,
    }
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    print("\n".join(report.through))
    print(f"{Counter(report.attacks).total():,} attacks, {len(report.through)} got through, seed {given.seed}")
    return 1 if report.through else 0


if __name__ == "__main__":
    sys.exit(main())
