"""Ways to run what came as data, as a function from source code to violations. Nothing here knows where the files are.

ruff looks for most of them, too, but a ``noqa`` on a line is soon written; here every exception is in one list.
"""

import ast
from collections.abc import Iterator
from typing import NamedTuple

from tests.architecture import Module, imports_of

BUILTINS = frozenset({"eval", "exec", "compile", "__import__", "execfile"})
MODULES = frozenset({"pickle", "_pickle", "marshal", "shelve", "dill", "cloudpickle", "jsonpickle", "code", "codeop"})
"""Whose very import is one: they turn bytes into objects, or text into code."""
FUNCTIONS = frozenset({
    "importlib.import_module", "importlib.__import__", "importlib.util.spec_from_file_location", "runpy.run_path",
    "runpy.run_module", "pkgutil.resolve_name", "yaml.load", "yaml.load_all", "yaml.full_load", "yaml.unsafe_load",
    "os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput", "asyncio.create_subprocess_shell",
    "tempfile.mktemp", "ctypes.CDLL", "ctypes.cdll",
})  # fmt: skip


class Danger(NamedTuple):
    """``what`` stands in ``module``."""

    module: str
    what: str


def dangers(module: Module) -> list[Danger]:
    found = {each.target.partition(".")[0] for each in imports_of(module)} & MODULES
    names = _names(module.tree)
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Attribute | ast.Name):
            told = _dotted(node, names)
            found |= {told} & FUNCTIONS
        if isinstance(node, ast.Name) and node.id in BUILTINS:
            found.add(node.id)
        if isinstance(node, ast.Call):
            found |= {f"{keyword.arg}=True" for keyword in node.keywords if _is_shell(keyword)}
    return [Danger(module.name, what) for what in sorted(found)]


def _names(tree: ast.Module) -> dict[str, str]:
    """What imported names stand for: ``sys_import`` after ``from importlib import import_module as sys_import``."""
    return dict(_imported(tree))


def _imported(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.asname:
                    yield alias.asname, alias.name
                else:
                    yield alias.name.partition(".")[0], alias.name.partition(".")[0]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            for alias in node.names:
                yield alias.asname or alias.name, f"{node.module}.{alias.name}"


def _dotted(node: ast.expr, names: dict[str, str]) -> str:
    match node:
        case ast.Name(id=name):
            return names.get(name, name)
        case ast.Attribute(value=value, attr=attribute):
            return f"{_dotted(value, names)}.{attribute}"
    return ""


def _is_shell(keyword: ast.keyword) -> bool:
    """Whatever is not plainly false may be true."""
    return keyword.arg == "shell" and not (isinstance(keyword.value, ast.Constant) and not keyword.value.value)
