"""Settings refuse an unsafe production start with a sentence that says what to do."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.db import connection
from django.db.migrations.exceptions import InconsistentMigrationHistory
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

ROOT = Path(__file__).resolve().parent.parent.parent
SAFE = {
    "PRODUCTION": "1",
    "SECRET_KEY": "q" + "w3rtyuiopasdfghjklzxcvbnm1234567890QWERTYUIOPASDFGHJKL",
    "ALLOWED_HOSTS": "kiryana.example",
    "DATABASE_URL": "postgresql://kiryana@db.example/kiryana",
}


def manage(*arguments, **environment) -> subprocess.CompletedProcess:
    """Runs manage.py with these variables and none of the settings of this test run."""
    ours = {
        name
        for line in (ROOT / ".env.example").read_text().splitlines()
        if "=" in line
        for name in [line.lstrip("#").split("=")[0]]
    }
    clean = {name: value for name, value in os.environ.items() if name not in ours}
    return subprocess.run(
        [sys.executable, "-W", "ignore", "manage.py", *arguments], cwd=ROOT, env=clean | environment, capture_output=True, text=True,
        timeout=60,
    )  # fmt: skip


def test_production_settings_pass_the_deployment_check():
    done = manage("check", "--deploy", "--fail-level", "WARNING", **SAFE)
    assert (done.returncode, "no issues" in done.stdout + done.stderr) == (0, True), done.stderr


@pytest.mark.parametrize(("change", "sentence"), [
    ({"SECRET_KEY": ""}, "PRODUCTION=1 needs SECRET_KEY"),
    ({"SECRET_KEY": "short"}, "SECRET_KEY is too short for production"),
    ({"ALLOWED_HOSTS": ""}, "PRODUCTION=1 needs ALLOWED_HOSTS"),
    ({"DATABASE_URL": ""}, "PRODUCTION=1 needs DATABASE_URL"),
    ({"DATABASE_URL": "mysql://x/y"}, "DATABASE_URL is not a PostgreSQL address"),
    ({"EMAIL_URL": "mailto:me"}, "EMAIL_URL must look like"),
    ({"PRODUCTION": "maybe"}, "PRODUCTION must be 1 or 0"),
    ({"TRUSTED_PROXY_COUNT": "-1"}, "TRUSTED_PROXY_COUNT must be a whole number"),
    ({"CHANGES_DAYS": "30"}, "CHANGES_DAYS must be at least 31"),
])  # fmt: skip
def test_an_unsafe_start_is_refused_in_words(change, sentence):
    done = manage("check", **{**SAFE, **change})
    assert done.returncode != 0
    assert sentence in done.stderr


def test_production_without_a_second_factor_is_an_error():
    done = manage("check", "--deploy", "--fail-level", "WARNING", **SAFE, ADMIN_REQUIRES_OTP="0")
    assert done.returncode != 0
    assert "ADMIN_REQUIRES_OTP=1" in done.stderr


def test_debug_is_never_on_in_production():
    done = manage(
        "shell",
        "--no-imports",
        "-c",
        "from django.conf import settings; print(settings.DEBUG)",
        **SAFE,
        DEBUG="1",
    )
    assert done.stdout.strip() == "False", done.stderr


@pytest.mark.django_db
def test_a_database_that_was_made_in_more_steps_is_up_to_date():
    """One migration of the ledger stands for two of earlier installations."""
    recorder, steps = MigrationRecorder(connection), ("0001_initial", "0002_initial")
    for name in (*steps, "0001_ledger"):
        recorder.record_unapplied("inventory", name)
    with pytest.raises(InconsistentMigrationHistory):
        MigrationLoader(connection).check_consistent_history(connection)
    for name in steps:
        recorder.record_applied("inventory", name)
    loader = MigrationLoader(connection)
    loader.check_consistent_history(connection)
    assert ("inventory", "0001_ledger") in loader.applied_migrations


def test_no_migration_is_missing():
    done = manage("makemigrations", "--check", "--dry-run", DATABASE_URL="postgresql:///nowhere")
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(("given", "threshold"), [({}, "2"), ({"PREPARED_STATEMENTS": "0"}, "None")])
def test_statements_stay_prepared_unless_a_pooler_stands_between(given, threshold):
    asked = "from django.conf import settings; print(settings.DATABASES['default']['OPTIONS']['prepare_threshold'])"
    done = manage("shell", "--no-imports", "-c", asked, **SAFE, **given)
    assert done.stdout.strip() == threshold, done.stderr
