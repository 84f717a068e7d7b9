"""The page of the API."""

import html
import re

import pytest
from django.contrib.staticfiles import finders

from kiryana.api.docs import DOCS
from kiryana.api.schema import schema
from kiryana.middleware import CONTENT_SECURITY_POLICY
from stores.authentication.problems import CODES

pytestmark = pytest.mark.django_db


def test_the_page_is_open_and_brings_no_script_of_its_own(client):
    answer = client.get("/docs")
    assert answer.status_code == 200
    page = answer.content.decode()
    assert 'data-schema="/api/v1/schema/"' in page
    scripts = [part.split(">")[0] for part in page.split("<script")[1:]]
    assert len(scripts) == 1
    assert all("src=" in script for script in scripts)
    assert "<style" not in page
    assert " style=" not in page
    assert not re.search(r"<[^>]+ on[a-z]+=", page)


def test_only_styles_are_looser_than_elsewhere(client):
    policy = client.get("/docs").headers["Content-Security-Policy"]
    assert policy == CONTENT_SECURITY_POLICY.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")
    assert "script-src 'self';" in policy


def test_everything_it_loads_is_ours(client):
    page = client.get("/docs").content.decode()
    paths = [part.split('"')[0] for part in page.split('"/static/')[1:]]
    assert len(paths) == 7
    assert all(finders.find(path) for path in paths)
    loaded = re.findall(r'<(?:script|link|img|iframe|source)[^>]*(?:src|href)="([^"]+)"', page)
    assert loaded
    assert all(address.startswith("/static/") for address in loaded)


def test_it_shows_the_files_of_the_project_word_for_word(client):
    page = html.unescape(re.sub(r"<[^>]+>", "", client.get("/docs").content.decode()))
    for file in ("api.md", "api-errors.md", "api-changelog.md"):
        text = (DOCS / file).read_text(encoding="utf-8")
        headings = re.findall(r"(?m)^##+ (.+)$", text)
        assert len(headings) > 2
        assert [words for words in headings if words not in page] == []
    # An example in the guide, and a whole file that it names.
    assert '"lines": [{"sku": "TEA-0001", "quantity": "24", "unit_cost": "178.00"}]}' in page
    assert (DOCS / "examples" / "till.py").read_text(encoding="utf-8").strip() in page


def test_examples_can_be_chosen_without_javascript(client):
    page = client.get("/docs").content.decode()
    first = page.split('<div class="doc-code doc-tabs">')[1].split("</figure>")[0]
    assert re.findall(r'value="([a-z]+)"( checked)?>', first)[:3] == [
        ("sh", " checked"),
        ("python", ""),
        ("js", ""),
    ]
    assert first.count('<div class="doc-panel">') >= 3


def test_the_frame_is_in_the_readers_language_and_the_guide_says_that_it_is_english(client):
    page = client.get("/docs", headers={"accept-language": "ur"}).content.decode()
    assert '<html lang="ur" dir="rtl">' in page
    assert '<article class="doc-text" lang="en" dir="ltr">' in page


def test_every_address_of_the_schema_is_listed(client):
    page = client.get("/docs").content.decode()
    for path, methods in schema()["paths"].items():
        assert f"<code>{path}</code>" in page
        for operation in methods.values():
            assert operation["operationId"] in page


def test_the_container_has_what_the_page_shows():
    ignored = (DOCS.parent / ".dockerignore").read_text().split()
    assert not {"docs", "docs/", "**/*.md", "*.md"} & set(ignored)


def test_every_code_has_its_place_where_errors_point_to(client):
    page = client.get("/docs").content.decode()
    assert all(f'id="{code}"' in page for code in CODES)


def test_the_page_only_answers_reading(client):
    assert client.post("/docs").status_code == 405
