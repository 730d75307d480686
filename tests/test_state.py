"""What a program holds is held by objects: no module keeps state that changes, or another's names.

Two things of one process that share a module's state cannot be told apart by any test, and a fork
or a thread may find it half made. What is made once and never changes may stay with its module.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = sorted(
    file.relative_to(ROOT)
    for file in [
        *ROOT.glob("playground/**/*.py"),
        *ROOT.glob("strategies/**/*.py"),
        ROOT / "app.py",
    ]
)

CONTAINERS = (ast.Dict, ast.List, ast.Set)
# What changes, or waits for threads, whatever is done with it. A context variable is none of them
# here: what it holds ends with the block that set it.
MAKES_STATE = {
    *("Lock", "RLock", "Condition", "Event", "Semaphore", "BoundedSemaphore", "Barrier", "local"),
    *("Queue", "SimpleQueue", "LifoQueue", "PriorityQueue", "Thread", "Timer", "Popen"),
    *("ThreadPoolExecutor", "ProcessPoolExecutor", "Generator"),
    *("WeakSet", "WeakKeyDictionary", "WeakValueDictionary", "OrderedDict", "defaultdict"),
    *("deque", "Counter", "dict", "list", "set", "bytearray", "count"),
}
CHANGES = {
    *("append", "extend", "insert", "remove", "pop", "popitem", "clear", "add", "discard"),
    *("update", "setdefault", "sort", "reverse"),
}
AT_END = {"register_at_fork", "register", "signal", "setrlimit"}  # of os, atexit, signal, resource
CACHES = {"cache", "lru_cache"}
# A cached function is a function of values, and gives one. Tensors and arrays are never written to.
VALUES = {
    *("str", "int", "bool", "float", "bytes", "tuple", "frozenset", "type", "Path", "Mapping"),
    *("Tensor", "NDArray", "Registry", "Metrics", "Comparison"),
}
# Names of other libraries that begin with an underscore stand in one file each, with a test.
OF_LIBRARIES = {
    "playground/backends/cluster/serve_compat.py",
    "playground/engine/forward/constant_pooling.py",  # a pass over torch's programs
    "playground/engine/forward/operation_check.py",  # hooks of torch's modules
    "playground/engine/forward/packed_linear.py",  # operators of torch
    "playground/engine/forward/rebuilt_weight.py",  # a class of torch's tensors
    "playground/transformers_compat.py",
    "playground/ui/gradio_compat.py",
    "playground/ui/gradio_import.py",
}


def name_of(node: ast.expr) -> str:
    """The last name of what is called or annotated: ``Lock`` of ``threading.Lock()``."""
    while isinstance(node, ast.Call | ast.Subscript):
        node = node.func if isinstance(node, ast.Call) else node.value
    return (
        node.attr
        if isinstance(node, ast.Attribute)
        else node.id
        if isinstance(node, ast.Name)
        else ""
    )


def bodies(tree: ast.Module) -> Iterator[list[ast.stmt]]:
    """The statements that run when a module is imported: its own, and those of its classes."""
    yield tree.body
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            yield node.body


def state(tree: ast.Module) -> Iterator[str]:
    """What a module keeps that changes."""
    tables: set[str] = set()
    for body in bodies(tree):
        for node in body:
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
                if name_of(node.value.func) in AT_END:
                    yield f"line {node.lineno}: {ast.unparse(node)}"
                continue
            if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
                continue
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            value, written = node.value, ast.unparse(target)
            empty = isinstance(value, CONTAINERS) and not getattr(
                value, "keys", getattr(value, "elts", None)
            )
            model_field = body is not tree.body and isinstance(node, ast.AnnAssign)  # pydantic's
            if (isinstance(value, ast.Call) and name_of(value) in MAKES_STATE) or (
                empty and not model_field
            ):
                yield f"line {node.lineno}: {written} is there to be filled or held"
            if body is tree.body:
                tables.add(written)
    for node in ast.walk(tree):
        if isinstance(node, ast.Global):
            yield f"line {node.lineno}: global {', '.join(node.names)}"
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from caches(node)
            yield from changes(node, tables)


def caches(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    """What a cache keeps of a function that is not one of values."""
    if not any(name_of(one) in CACHES for one in function.decorator_list):
        return
    given = [one.annotation for one in function.args.args if one.annotation is not None]
    kinds = {name_of(one) for one in [*given, function.returns] if one is not None}
    if len(given) < len(function.args.args) or not kinds <= VALUES:
        yield f"line {function.lineno}: {function.name} is cached, and is no function of values"


def changes(function: ast.AST, tables: set[str]) -> Iterator[str]:
    """Where a function writes into a table of its module."""
    local = {
        node.id
        for node in ast.walk(function)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    } | {node.arg for node in ast.walk(function) if isinstance(node, ast.arg)}
    for node in ast.walk(function):
        written: ast.expr | None = None
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
            written = node.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            written = node.func.value if node.func.attr in CHANGES else None
        if isinstance(written, ast.Name) and written.id in tables - local:
            yield f"line {node.lineno}: {written.id} is changed"


def taken(tree: ast.Module) -> Iterator[str]:
    """The private names that a module takes from another."""
    own = {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            own.add(node.target.id)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            own.add(node.attr)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.Attribute) and name_of(node.value) not in {"self", "cls", "os"}:
            names = [node.attr] if node.attr not in own else []
        else:
            continue
        yield from (
            f"line {node.lineno}: {name}"
            for name in names
            if name.startswith("_") and not name.startswith("__")
        )


def parsed(file: Path) -> ast.Module:
    return ast.parse((ROOT / file).read_text(encoding="utf-8"))


@pytest.mark.parametrize("file", FILES, ids=str)
def test_no_module_keeps_state(file: Path) -> None:
    assert list(state(parsed(file))) == []


@pytest.mark.parametrize("file", [f for f in FILES if f.as_posix() not in OF_LIBRARIES], ids=str)
def test_no_module_takes_private_names(file: Path) -> None:
    assert list(taken(parsed(file))) == []


@pytest.mark.parametrize("file", FILES, ids=str)
def test_nothing_is_kept_by_identity(file: Path) -> None:
    """The number of an object is another's once it is gone."""
    calls = [node for node in ast.walk(parsed(file)) if isinstance(node, ast.Call)]
    assert not [
        one.lineno for one in calls if isinstance(one.func, ast.Name) and one.func.id == "id"
    ]


@pytest.mark.parametrize(
    "code",
    [
        "_lock = threading.Lock()",
        "known: dict[str, int] = {}",
        "all = set()",
        "class A:\n    known = {}",
        "class A:\n    lock = RLock()",
        "atexit.register(close)",
        "TABLE = {'a': 1}\ndef f():\n    TABLE['b'] = 2",
        "NAMES = ['a']\ndef f():\n    NAMES.append('b')",
        "ONE = None\ndef f():\n    global ONE\n    ONE = 1",
        "@cache\ndef f() -> Trials: ...",
        "@functools.lru_cache(maxsize=4)\ndef f(text: Callable[[], str]) -> str: ...",
        "@cache\ndef f(a) -> str: ...",
        "@cache\ndef f() -> dict[str, int]: ...",
    ],
)
def test_the_rule_sees_state(code: str) -> None:
    assert len(list(state(ast.parse(code)))) == 1


@pytest.mark.parametrize(
    "code",
    [
        "TABLE = {'a': 1}\ndef f():\n    TABLE = {}\n    TABLE['b'] = 2",
        "log = logging.getLogger(__name__)",
        "@cache\ndef f(a: str, n: int) -> Mapping[str, int]: ...",
        "class A(BaseModel):\n    given: dict[str, int] = {}",
        "def f():\n    lock = Lock()\n    return lock",
    ],
)
def test_the_rule_lets_values_be(code: str) -> None:
    assert not list(state(ast.parse(code)))


@pytest.mark.parametrize("code", ["from a import _b", "def f(run):\n    return run._lanes"])
def test_the_rule_sees_private_names(code: str) -> None:
    assert len(list(taken(ast.parse(code)))) == 1
    assert not list(taken(ast.parse("class A:\n    def f(self):\n        self._a = self._b()")))
