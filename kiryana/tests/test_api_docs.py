"""The page of the API."""

import pytest
from django.contrib.staticfiles import finders

from kiryana.middleware import CONTENT_SECURITY_POLICY
from stores.authentication.problems import CODES

pytestmark = pytest.mark.django_db


def test_the_page_is_open_and_brings_no_script_of_its_own(client):
    answer = client.get("/docs")
    assert answer.status_code == 200
    page = answer.content.decode()
    assert 'data-schema="/api/v1/schema/"' in page
    scripts = [part.split(">")[0] for part in page.split("<script")[1:]]
    assert len(scripts) == 2
    assert all("src=" in script for script in scripts)
    assert "<style" not in page
    assert " style=" not in page


def test_only_styles_are_looser_than_elsewhere(client):
    policy = client.get("/docs").headers["Content-Security-Policy"]
    assert policy == CONTENT_SECURITY_POLICY.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")
    assert "script-src 'self';" in policy


def test_everything_it_loads_is_ours(client):
    page = client.get("/docs").content.decode()
    paths = [part.split('"')[0] for part in page.split('"/static/')[1:]]
    assert len(paths) == 5
    assert all(finders.find(path) for path in paths)
    assert "http://" not in page
    assert "https://" not in page


def test_every_code_has_its_place_where_errors_point_to(client):
    page = client.get("/docs").content.decode()
    assert all(f'id="{code}"' in page for code in CODES)


def test_the_page_only_answers_reading(client):
    assert client.post("/docs").status_code == 405
