"""The table of settings in README.md, made from the code: ``python -m tests.readme`` writes it anew."""

import re
from pathlib import Path

from pydantic import SecretStr
from pydantic_core import PydanticUndefined

from pygents_app.settings import PREFIX, Settings

README = Path(__file__).parents[1] / "README.md"
BLOCK = re.compile(r"(?<=<!-- settings -->\n).*?(?=<!-- /settings -->)", re.DOTALL)


def settings_table() -> str:
    rows = ["| variable | default | meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        rows.append(f"| `{PREFIX}{name.upper()}` | {_shown(field.default)} | {field.description} |")
    return "\n".join(rows) + "\n"


def _shown(default: object) -> str:
    if default is PydanticUndefined or default is None or default in ((), False) or isinstance(default, SecretStr):
        return ""
    return f"`{default}`"


if __name__ == "__main__":
    README.write_text(BLOCK.sub(lambda _: settings_table(), README.read_text()))
