"""The order of the rooms: nothing imports what comes later in the line, and light commands import nothing heavy."""

import ast
import functools
import subprocess
import sys

import pytest

from repro import paths

# Each room, and the rooms that it may import, all of them above it. Keep the order: it is the way through the project.
ROOMS = {
    "errors": "",
    "paths": "errors",
    "launched": "",
    "processes": "launched",
    "progress": "",
    "damaged": "errors",
    "machine": "paths",
    "cluster": "errors paths progress machine",  # dask.distributed is optional: imported by name where it is asked for
    "elsewhere": "errors launched cluster",
    "packed": "paths",
    "checked": "errors",
    "config": "errors checked",
    "parameters": "errors checked config",
    "papers": "errors config parameters",
    "metrics": "errors",
    "stored": "checked metrics packed",
    "records": "errors paths damaged packed checked config stored",
    "models": "errors paths",
    "data": "errors paths processes cluster progress checked config",
    "evaluate": "errors metrics data",
    "losses": "errors config models",
    "microbatches": "errors config models",
    "train": "errors config models data evaluate losses microbatches",
    "networks": "errors paths config parameters progress records models",
    "make": "errors paths launched machine config records models data evaluate microbatches train networks",
    "follow": "processes progress config make",
    "execute": "errors launched processes cluster config records models data networks make follow",
    "evidence": "errors paths progress damaged machine checked config parameters papers metrics records models data networks",
    "maps": "errors paths progress damaged machine packed checked config parameters records data networks evidence",
    "figures": "errors paths parameters papers records data evidence maps",
    "notebooks": "errors paths checked config parameters papers",
    "again": "errors paths damaged machine checked parameters papers records notebooks",
    "report": "errors paths damaged config parameters papers records models evidence notebooks again",
    "rebuild": "errors paths damaged parameters papers records evidence figures notebooks report",
    "rerun": "errors paths config records networks execute again",
    "reproduce": "errors paths launched processes elsewhere execute notebooks report",
    "verify": "errors parameters papers records rebuild rerun",
    "doctor": "paths machine config records models",
    "overrides": "errors config parameters",
    "single": (
        "errors paths processes progress cluster elsewhere packed config parameters papers metrics records models data networks "
        "make execute overrides"
    ),
    "endings": "errors launched",
    "pages": "errors paths notebooks report endings",
    "commands": (
        "errors damaged paths elsewhere parameters papers records models data notebooks again report rebuild rerun reproduce "
        "verify doctor single"
    ),
    "__main__": "endings commands",
    "__init__": "evidence",  # load_results, on first use
}


@functools.cache
def modules() -> dict[str, ast.Module]:
    """Every module of the package, by its dotted name below it."""
    folder = paths.ROOT / "repro"
    names = {path: ".".join(path.relative_to(folder).with_suffix("").parts) for path in folder.rglob("*.py")}
    return {name: ast.parse(path.read_text()) for path, name in names.items()}


def imports(tree: ast.Module) -> set[str]:
    """Dotted names, below the package, that a module imports anywhere; `from x import y` gives x.y."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name.removeprefix("repro.") for name in found if name.startswith("repro.")}


def upward(tree: ast.Module, room: str) -> set[str]:
    """The rooms that a module of `room` imports and may not."""
    return {name.split(".")[0] for name in imports(tree)} - {room, *ROOMS[room].split()}


def test_the_table_is_in_order_and_complete():
    seen = set()
    for room, allowed in ROOMS.items():
        assert set(allowed.split()) <= seen, f"{room} may import a room that comes later"
        seen.add(room)
    assert {name.split(".")[0] for name in modules()} == seen


def test_no_room_imports_a_later_one():
    wrong = {name: found for name, tree in modules().items() if (found := upward(tree, name.split(".")[0]))}
    assert not wrong


def test_nothing_is_allowed_that_nobody_needs():
    used = {room: set() for room in ROOMS}
    for name, tree in modules().items():
        used[name.split(".")[0]] |= {each.split(".")[0] for each in imports(tree)}
    assert {room: set(allowed.split()) - used[room] for room, allowed in ROOMS.items()} == {
        room: set() for room in ROOMS
    }


def test_an_upward_import_is_noticed_in_every_form():
    for line in (
        "import repro.execute", "from repro import execute", "from repro.execute import execute",
        "def f():\n    from repro.train import fit", "from repro.report.page import render",
    ):  # fmt: skip
        assert upward(ast.parse(line), "evidence"), line
    assert not upward(ast.parse("from repro import records\nimport numpy"), "evidence")


def test_no_module_imports_itself_in_a_circle():
    trees = modules()
    own = {name.removesuffix(".__init__"): name for name in trees}

    def direct(name: str) -> set[str]:
        found = {each if each in own else each.rpartition(".")[0] for each in imports(trees[own[name]])}
        return {each for each in found if each in own}

    done: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, " -> ".join((*way, name))
        if name not in done:
            for each in direct(name):
                visit(each, (*way, name))
            done.add(name)

    for name in own:
        visit(name, ())
    assert done == set(own)


def loaded(code: str, *options: str) -> set[str]:
    """Names of the modules that a fresh process has imported after `code`."""
    script = f"import sys\n{code}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, *options, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


HEAVY = {"torch", "numpy", "pandas", "cv2", "matplotlib", "numba"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import repro.config", HEAVY),
        ("import repro.notebooks", HEAVY),
        ("import repro.records", HEAVY - {"numpy"}),
        ("from repro import load_results", HEAVY - {"numpy", "pandas"}),
        ("import repro.evidence.claims, repro.evidence.time_order", {"repro.execute", "repro.make", "repro.train"}),
    ],
)
def test_light_imports_stay_light(code, absent):
    assert not loaded(code) & absent


@pytest.mark.parametrize("arguments", [("--help",), ("run", "--help"), ("run", "ablation_lamda")])
def test_help_and_a_misspelt_name_import_nothing_heavy(arguments):
    command = [sys.executable, "-X", "importtime", "-m", "repro", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert "repro.errors" in imported
    assert not imported & HEAVY
    misspelt = arguments[-1] == "ablation_lamda"
    assert done.returncode == misspelt
    assert ("did you mean 'ablation_lambda'" in done.stderr) == misspelt
