"""Nothing that comes from outside is ever run: no pickle, no eval, no library of operators, in any module."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MODULES = sorted(path for folder in ("geolocate", "export") for path in (ROOT / folder).rglob("*.py"))
#: Modules that read code or objects out of files.
UNSAFE_MODULES = {"marshal", "shelve", "dill", "cloudpickle", "joblib", "yaml", "pickletools", "runpy", "imp"}
#: Calls by their last name, whatever they are called on.
UNSAFE_CALLS = {
    "Unpickler",
    "register_custom_ops_library",
    "load_library",
    "load_state_dict_from_url",
}
#: Functions of the interpreter; a method of that name, as torch's `eval`, is another thing.
UNSAFE_BUILTINS = {"eval", "exec", "compile", "__import__"}
#: What these modules may do all the same, and why it is safe there.
EXCEPTIONS = {
    "export/clip_weights.py": {"torch.jit.load"},  # OpenAI's archives alone, by their SHA-256
}


#: Calls by their full name, whatever they were imported as.
UNSAFE_FUNCTIONS = {
    "pickle.load",
    "pickle.loads",
    "os.system",
    "os.popen",
    "torch.jit.load",
    "torch.hub.load",
    "torch.package",
}


def dotted(node: ast.expr) -> str:
    """`a.b.c` of such an expression; what is not a name in it is "?"."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else "?"


def imported(tree: ast.AST) -> dict[str, str]:
    """What names stand for: `np` for numpy, `load` for pickle.load."""
    names = {"np": "numpy"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update({alias.asname: alias.name for alias in node.names if alias.asname})
        elif isinstance(node, ast.ImportFrom):
            names.update({alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names})
    return names


def full_name(written: str, names: dict[str, str]) -> str:
    """With what its first name stands for, and the public module in place of the one behind it."""
    first, dot, rest = written.partition(".")
    module, inner, last = (names.get(first, first) + dot + rest).partition(".")
    return {"_pickle": "pickle", "posix": "os", "nt": "os"}.get(module, module) + inner + last


def keyword(call: ast.Call, name: str) -> object:
    value = next((word.value for word in call.keywords if word.arg == name), None)
    return value.value if isinstance(value, ast.Constant) else None


def unsafe(source: str, name: str = "geolocate/x.py") -> Iterator[str]:
    """What a module does that could run content."""
    tree = ast.parse(source)
    names = imported(tree)
    yield from set(names.values()) & UNSAFE_FUNCTIONS - EXCEPTIONS.get(name, set())  # for others to call
    called = {node.func for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            modules = (
                [alias.name for alias in node.names] if isinstance(node, ast.Import) else [str(node.module)]
            )
            yield from (module for module in modules if module.split(".")[0] in UNSAFE_MODULES)
            if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names):
                yield f"everything of {node.module}"
        if isinstance(node, ast.Name | ast.Attribute):  # called here, or handed on to be
            found = full_name(dotted(node), names)
            if found in EXCEPTIONS.get(name, ()):
                continue
            if found in UNSAFE_FUNCTIONS:
                yield found
            if found in ("torch.load", "numpy.load") and node not in called:
                yield f"{found} by another name"
        if not isinstance(node, ast.Call):
            continue
        call = full_name(dotted(node.func), names)
        last = call.rpartition(".")[2]
        if last in UNSAFE_CALLS or call.removeprefix("builtins.") in UNSAFE_BUILTINS:
            yield call
        if call == "torch.load" and keyword(node, "weights_only") is not True:
            yield "torch.load without weights_only=True"
        if call == "numpy.load" and keyword(node, "allow_pickle") is not False:
            yield "np.load without allow_pickle=False"
        if keyword(node, "allow_pickle") is True or keyword(node, "trust_remote_code") is True:
            yield call
        if keyword(node, "shell") is True:
            yield f"{call} through a shell"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_module_runs_what_it_reads(path: Path) -> None:
    name = path.relative_to(ROOT).as_posix()
    assert list(unsafe(path.read_text(encoding="utf-8"), name)) == []


@pytest.mark.parametrize(
    "source",
    [
        "import yaml",
        "from joblib import load",
        "import pickle; pickle.loads(data)",
        "from pickle import loads; loads(data)",
        "from pickle import load; load(file)",
        "from pickle import load as read; read(file)",
        "from pickle import loads",
        "import pickle as p; p.loads(data)",
        "import _pickle; _pickle.loads(data)",
        "from pickle import *",
        "from pickle import Unpickler as Reader; Reader(f).load()",
        "map(pickle.loads, parts)",
        "from torch import load; load(path)",
        "import torch as t; t.load(path)",
        "from torch import jit; jit.load(path)",
        "from numpy import load; load(path)",
        "import numpy; numpy.load(path)",
        "read = np.load; read(path)",
        "from os import system; system(words)",
        "import os as o; o.popen(words)",
        "import builtins as b; b.eval(text)",
        "pickle.Unpickler(f).load()",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "torch.jit.load(path)",
        "options.register_custom_ops_library(path)",
        "eval(text)",
        "builtins.exec(text)",
        "subprocess.run(words, shell=True)",
        "os.system(words)",
    ],
)
def test_the_search_itself_finds_what_it_looks_for(source: str) -> None:
    assert list(unsafe(source))


@pytest.mark.parametrize(
    "source",
    [
        "from numpy import load; load(path, allow_pickle=False)",
        "import torch as t; t.load(path, weights_only=True)",
        "from json import load, loads; load(file); loads(text)",
        "self.load(path); model.eval(); re.compile(text)",
    ],
)
def test_the_search_finds_nothing_in_what_is_safe(source: str) -> None:
    assert list(unsafe(source)) == []
