"""The rules of the house, as functions from source code to violations. Nothing here knows where the files are."""

import ast
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

MAX_FILE_LINES = 350
MAX_FUNCTION_LINES = 50

# Low to high; a unit imports only from rows below its own. A unit is a module or package directly in app/, or all of
# pygents_core. `store` shares its row with those who use it, because they meet only in `ports`.
ROWS: tuple[tuple[str, ...], ...] = (
    ("pygents_core",),
    ("errors", "clock", "nesting", "pointers", "merging", "grants", "urls"),
    ("failpoints", "logs"),
    ("model", "explanations", "access", "rates"),
    ("commands", "payloads", "retries"),
    ("draft",),
    ("lifecycle",),
    ("telemetry", "tracing"),
    ("ports", "settings", "auth", "metrics"),
    ("store", "runtime", "streaming", "tokens"),
    ("api", "console", "guide", "deploy"),
    ("main", "demo"),
    ("protocol",),
    ("server",),
    ("cli",),
    ("__main__",),
)
# What a unit imports within its own row.
NEIGHBOURS: Mapping[str, frozenset[str]] = {
    "auth": frozenset({"ports", "settings"}),
    "metrics": frozenset({"ports"}),
    "api": frozenset({"guide"}),
}
# Where less is allowed than the rows would allow.
ONLY: Mapping[str, frozenset[str]] = {
    "demo": frozenset({"pygents_core"}),
    "__init__": frozenset(),
}
NEVER: Mapping[str, frozenset[str]] = {
    "api": frozenset({"store"}),
    "console": frozenset({"store"}),
}
# Units that receive what they work with; `main` constructs it (and `cli`, for the verbs that work on a closed store).
RECEIVERS = frozenset({"api", "console"})
CONCRETE = frozenset({"store", "runtime", "streaming"})

CORE_NEVER = frozenset({"app", "pygents_app", "fastapi", "starlette", "uvicorn", "sqlite3", "asyncpg"})
DATABASES = frozenset({"sqlite3", "asyncpg"})
SPAWNERS = frozenset({"create_task", "ensure_future"})
SQL = re.compile(r"\s*(SELECT|INSERT INTO|UPDATE|DELETE FROM|PRAGMA|BEGIN|CREATE (TABLE|INDEX)|WITH \w+ AS)\b")


@dataclass(frozen=True, slots=True)
class Import:
    """One imported module, or name of a module, by its absolute dotted name; ``relative`` is how it was written."""

    target: str
    relative: bool
    line: int


@dataclass(frozen=True, slots=True)
class Module:
    """One source file by its dotted name: ``pygents_app.api.turns``; a package's ``__init__.py`` has the package's."""

    name: str
    source: str
    is_package: bool = False

    @property
    def unit(self) -> str:
        head, *rest = self.name.split(".")
        if head != "pygents_app":
            return head
        return rest[0] if rest else "__init__"

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.source)


def imports_of(module: Module) -> Iterator[Import]:
    """Yield every import of the file, wherever it stands: in functions and under TYPE_CHECKING, too."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, False, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _base(module, node)
            yield from (Import(f"{base}.{alias.name}", node.level > 0, node.lineno) for alias in node.names)


def broken_layers(module: Module) -> list[str]:
    """Imports that do not go down, by the tables above."""
    allowed = _allowed(module.unit)
    if allowed is None:
        return [f"{module.name}: {module.unit} has no row in the table of layers"]
    uses = ((found, _unit_of(found.target)) for found in imports_of(module))
    return [
        f"{module.name}:{found.line}: {module.unit} must not import {unit}"
        for found, unit in uses
        if unit is not None and unit != module.unit and unit not in allowed
    ]


def absolute_imports(module: Module) -> list[str]:
    """Imports of the service by its name from inside: the folder has one name in the tree and another one installed."""
    return [
        f"{module.name}:{found.line}: write the import of {found.target} relative"
        for found in imports_of(module)
        if not found.relative and _root(found.target) in {"app", "pygents_app"}
    ]


def forbidden_imports(module: Module, roots: Collection[str]) -> list[str]:
    """Imports of any of the top-level packages ``roots``."""
    return [
        f"{module.name}:{found.line}: must not import {_root(found.target)}"
        for found in imports_of(module)
        if _root(found.target) in roots
    ]


def cycles(modules: Collection[Module]) -> list[str]:
    """Circles of imports between modules, each told once. Importing a module is not importing its package."""
    known = {module.name for module in modules}
    graph = {module.name: {_resolve(found.target, known) for found in imports_of(module)} for module in modules}
    found: set[frozenset[str]] = set()
    told: list[str] = []
    for start in sorted(graph):
        circle = _circle(start, graph)
        if circle and frozenset(circle) not in found:
            found.add(frozenset(circle))
            told.append(" -> ".join([*circle, circle[0]]))
    return told


def too_long(module: Module) -> list[str]:
    """A file over 350 lines, functions over 50; a function's docstring counts, its decorators do not."""
    lines = len(module.source.splitlines())
    functions = (node for node in ast.walk(module.tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    sizes = ((node.name, (node.end_lineno or node.lineno) - node.lineno + 1) for node in functions)
    long = [f"{module.name}: {name} has {size} lines" for name, size in sizes if size > MAX_FUNCTION_LINES]
    return [*long, *([f"{module.name} has {lines} lines"] if lines > MAX_FILE_LINES else [])]


def sql_in(module: Module) -> list[str]:
    """String literals that are SQL (docstrings apart), and imports of a database driver."""
    tree = module.tree
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    literals = (node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in docstrings)
    statements = [
        f"{module.name}:{node.lineno}: SQL in a literal"
        for node in literals
        if isinstance(node.value, str) and SQL.match(node.value)
    ]
    return [*statements, *forbidden_imports(module, DATABASES)]


def tasks_in(module: Module) -> list[str]:
    """Calls that start an asyncio task, by whatever object."""
    return [
        f"{module.name}:{node.lineno}: starts a task"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call) and _called(node) in SPAWNERS
    ]


def constructions(module: Module) -> list[str]:
    """Classes of ``store``, ``runtime`` or ``streaming`` that the module constructs itself, by their names."""
    classes = {found.target.rpartition(".")[2] for found in imports_of(module) if _unit_of(found.target) in CONCRETE}
    return [
        f"{module.name}:{node.lineno}: constructs {_called(node)}; main hands it over"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call) and _called(node) in classes and _called(node)[:1].isupper()
    ]


def hosts_in(text: str, hosts: Collection[str]) -> list[str]:
    """Names of ``hosts`` in a text."""
    return [host for host in hosts if host in text.lower()]


def machine_paths_in(text: str) -> list[str]:
    """Absolute paths into somebody's own folders: not part of a URL's path, and not of a relative one."""
    return re.findall(r"(?<![\w.}-])/(?:root|work)/[\w.-]*", text)


def _base(module: Module, node: ast.ImportFrom) -> str:
    """The absolute name of the module that ``from … import`` names."""
    if not node.level:
        return node.module or ""
    parts = module.name.split(".")
    kept = parts[: len(parts) - node.level + (1 if module.is_package else 0)]
    return ".".join([*kept, *([node.module] if node.module else [])])


def _allowed(unit: str) -> frozenset[str] | None:
    if unit in ONLY:
        return ONLY[unit]
    for number, row in enumerate(ROWS):
        if unit in row:
            below = frozenset(name for lower in ROWS[:number] for name in lower)
            return (below | NEIGHBOURS.get(unit, frozenset())) - NEVER.get(unit, frozenset())
    return None


def _unit_of(target: str) -> str | None:
    """The unit that an absolute name lies in; None for what is not ours."""
    return Module(target, "").unit if _root(target) in {"pygents_core", "pygents_app"} else None


def _root(target: str) -> str:
    return target.partition(".")[0]


def _resolve(target: str, known: Collection[str]) -> str:
    """The module that is loaded for ``from a.b import c``: ``a.b.c`` if that is one, else ``a.b``."""
    return target if target in known else target.rpartition(".")[0]


def _circle(start: str, graph: Mapping[str, Collection[str]]) -> list[str]:
    """A shortest way from ``start`` back to itself, or nothing."""
    ways = [[start]]
    seen: set[str] = set()
    for way in ways:
        for target in sorted(graph[way[-1]]):
            if target == start:
                return way
            if target in graph and target not in seen:
                seen.add(target)
                ways.append([*way, target])
    return []


def _called(node: ast.Call) -> str:
    match node.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""
