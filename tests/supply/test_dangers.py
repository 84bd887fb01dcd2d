"""Nothing of the product runs what came as data; and the rule is shown to notice when it is broken."""

from collections.abc import Mapping

import pytest

from tests.architecture import Module
from tests.supply.dangers import Danger, dangers
from tests.test_architecture import product

REASONED: Mapping[Danger, str] = {
    Danger("pygents_app.cli.code", "importlib.import_module"): "the code that the operator names on the command line",
}


def test_the_product_has_none_but_those_with_a_reason() -> None:
    assert {danger for module in product() for danger in dangers(module)} == set(REASONED)


@pytest.mark.parametrize(
    "source",
    [
        "eval('1')",
        "exec(code)",
        "run = eval",
        "compile(text, 'x', 'exec')",
        "__import__(name)",
        "import pickle",
        "from marshal import loads",
        "def f() -> None:\n    import shelve",
        "import importlib\nimportlib.import_module(name)",
        "from importlib import import_module as load\nload(name)",
        "import importlib.util\nimportlib.util.spec_from_file_location(n, p)",
        "from importlib import util\nutil.spec_from_file_location(n, p)",
        "import runpy\nrunpy.run_path(p)",
        "import yaml\nyaml.load(text)",
        "import yaml as y\ny.unsafe_load(text)",
        "import os\nos.system(line)",
        "import os as o\no.popen(line)",
        "import subprocess\nsubprocess.run(line, shell=True)",
        "from subprocess import run\nrun(line, shell=wanted)",
        "import asyncio\nawait asyncio.create_subprocess_shell(line)",
        "import tempfile\ntempfile.mktemp()",
        "from subprocess import getoutput\ngetoutput(line)",
        "import ctypes\nctypes.CDLL(name)",
    ],
)
def test_it_is_noticed(source: str) -> None:
    assert dangers(Module("pygents_app.x", source))


@pytest.mark.parametrize(
    "source",
    [
        "import re\nre.compile('x')",
        "import yaml\nyaml.safe_load(text)",
        "import subprocess\nsubprocess.run([a, b], shell=False)",
        "import importlib.metadata\nimportlib.metadata.version('x')",
        "self.exec(x)",
        "def evaluate() -> None: ...",
        "import json\njson.loads(x)",
        "import subprocess\nsubprocess.run([a, b])",
        "'eval(x)'",
    ],
)
def test_its_lawful_twin_is_not(source: str) -> None:
    assert not dangers(Module("pygents_app.x", source))
