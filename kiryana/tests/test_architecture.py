"""The house keeps its shape: who imports whom, what files are called, and who writes to the ledger."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
# Each app may import those before it in this line, never those after.
APPS = ["stores", "catalog", "inventory", "reports", "kiryana"]
# Inside an app, the same: a module may import from its own layer and those before it.
LAYERS = [
    {"models"},
    {"services", "queries", "exports"},
    {"access", "authentication"},
    {"forms", "filters", "templatetags"},
    {"admin", "views", "api", "tasks", "management"},
]
FREE = {"apps", "migrations", "tests", "__init__"}
NAMES = set().union(*LAYERS) | FREE | {"sql"}
KIRYANA = {
    "settings", "urls", "api", "pagination", "checks", "views", "wsgi", "apps", "admin", "middleware", "ready", "cluster", "cache",
    "up", "venv", "serve", "worker", "logs", "request_log", "demo", "bench", "postgresql", "routers", "tasks", "management", "migrations", "templatetags", "tests", "__init__",
}  # fmt: skip
# Columns that only posting may write, and the calls by which Django would.
OWNED = {
    "on_hand",
    "average_cost",
    "seq",
    "oversold_since",
    "cost_estimated",
    "balance_after",
    "average_cost_after",
}
LEDGER = {"Movement", "Document", "DailyStock"}
ROWS = ("level", "movement", "line", "self", "document")  # what variables that hold a row are called
WRITES = {
    "create",
    "bulk_create",
    "update",
    "bulk_update",
    "get_or_create",
    "update_or_create",
    "acreate",
    "aupdate",
    "adelete",
    "delete",
}


def sources(*apps: str) -> list[Path]:
    return [file for app in apps for file in sorted((ROOT / app).rglob("*.py"))]


def imported(file: Path) -> list[tuple[str, int]]:
    """(module, line) of every absolute import, also inside functions."""
    found = []
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno} imports relatively: write the whole name"
            found.append((node.module, node.lineno))
    return found


def part(file: Path) -> tuple[str, str]:
    """(app, module or package below it) of a file."""
    relative = file.relative_to(ROOT)
    return relative.parts[0], relative.parts[1].removesuffix(".py")


def test_apps_import_only_to_the_right():
    wrong = []
    for file in sources(*APPS):
        app, module = part(file)
        if module == "tests":
            continue
        for name, line in imported(file):
            other = name.split(".")[0]
            if other in APPS and APPS.index(other) > APPS.index(app):
                wrong.append(f"{file.relative_to(ROOT)}:{line} imports {name}")
    assert wrong == []


def test_layers_of_an_app_import_only_downwards():
    layer = {name: number for number, names in enumerate(LAYERS) for name in names}
    wrong = []
    for file in sources(*APPS[:-1]):
        app, module = part(file)
        if module in FREE:
            continue
        for name, line in imported(file):
            steps = name.split(".")
            if steps[0] == app and len(steps) > 1 and layer.get(steps[1], 0) > layer[module]:
                wrong.append(f"{file.relative_to(ROOT)}:{line} imports {name}")
    assert wrong == []


@pytest.mark.parametrize("app", APPS)
def test_files_have_names_a_stranger_knows(app):
    allowed = KIRYANA if app == "kiryana" else NAMES
    found = {path.name.removesuffix(".py") for path in (ROOT / app).iterdir() if path.name != "__pycache__"}
    assert found - allowed == set()


def ledger_writes(tree: ast.AST) -> list[int]:
    """Lines that write ledger-owned columns or create, change or delete rows of the ledger through Django."""
    lines = []
    for node in ast.walk(tree):
        targets = (
            node.targets
            if isinstance(node, ast.Assign)
            else [node.target]
            if isinstance(node, ast.AugAssign)
            else []
        )
        for target in targets:
            if (
                isinstance(target, ast.Attribute)
                and target.attr in OWNED
                and ast.unparse(target.value).endswith(ROWS)
            ):
                lines.append(node.lineno)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr in WRITES and any(
                isinstance(n, ast.Name) and n.id in LEDGER for n in ast.walk(node.func)
            ):
                lines.append(node.lineno)
            if node.func.attr in WRITES and any(word.arg in OWNED for word in node.keywords):
                lines.append(node.lineno)
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = " ".join(node.value.lower().split())
            for table in ("inventory_movement", "inventory_document", "inventory_stocklevel"):
                if (
                    f"insert into {table}" in text
                    or f"update {table}" in text
                    or f"delete from {table}" in text
                ):
                    lines.append(node.lineno)
    return lines


def test_only_the_service_writes_to_the_ledger():
    wrong = []
    for file in sources(*APPS):
        app, module = part(file)
        if module in ("tests", "migrations") or (app, module) == ("inventory", "services"):
            continue
        if (app, module) == ("kiryana", "bench"):  # fills a server of its own, which is gone afterwards
            continue
        wrong += [f"{file.relative_to(ROOT)}:{line}" for line in ledger_writes(ast.parse(file.read_text()))]
    assert wrong == []


@pytest.mark.parametrize("code", [
    "level.on_hand = 5",
    "level.seq += 1",
    "Movement.objects.create(quantity=1)",
    "Document.objects.filter(pk=1).update(notes='')",
    "StockLevel.objects.update(on_hand=3)",
    "cursor.execute('UPDATE  inventory_stocklevel SET on_hand = 1')",
    "cursor.execute('''INSERT INTO\\n inventory_movement (id) VALUES (1)''')",
])  # fmt: skip
def test_the_watch_sees_a_write(code):
    assert ledger_writes(ast.parse(code)) != []


def test_no_signals_but_the_system_s_own_at_its_start_and_end():
    users = [
        str(file.relative_to(ROOT))
        for file in sources(*APPS)
        if any("signals" in (name or "") for name, _line in imported(file))
    ]
    assert [user for user in users if "/tests/" not in user] == ["kiryana/apps.py", "kiryana/cache.py"]


def test_only_the_process_that_sends_reads_the_http_client():
    """It is a fifth of what a process reads to begin, and every process but one has no use for it."""
    words = "import kiryana.wsgi, sys; from django.urls import get_resolver; get_resolver().url_patterns; print('aiohttp' in sys.modules)"
    told = subprocess.run(
        [sys.executable, "-c", words], cwd=ROOT, capture_output=True, text=True, check=True, timeout=120
    )
    assert told.stdout.split()[-1] == "False"
