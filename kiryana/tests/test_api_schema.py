"""The schema is the truth: valid OpenAPI 3.1, its examples fit, and nothing is answered that it does not name."""

import json

import hypothesis
import jsonschema
import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from jsonschema_rs import validator_for
from schemathesis import checks
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from kiryana.api.schema import schema as whole_schema
from stores.authentication.problems import CODES
from stores.models import ApiKey

CHECKS = [
    checks.not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
]
pytestmark = pytest.mark.django_db
CALLS = 12


@pytest.fixture(scope="module")
def schema() -> dict:
    return json.loads(json.dumps(whole_schema(), default=str))


def operations(schema):
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def test_it_is_valid_openapi_3_1(schema):
    assert schema["openapi"] == "3.1.0"
    schemathesis.openapi.from_dict(schema).validate()


def test_it_is_served_to_everybody(client):
    answer = client.get("/api/v1/schema/")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/vnd.oai.openapi+json;version=3.1"
    assert answer.json()["info"]["title"] == "Kiryana partner API"
    assert client.post("/api/v1/schema/").status_code == 405


def test_every_operation_needs_a_key_and_says_so(schema):
    for method, path, operation in operations(schema):
        assert operation["security"] == [{"ApiKey": []}, {"Bearer": []}], (method, path)
        assert {"400", "401", "429", "500", "503"} <= operation["responses"].keys()
        assert operation["summary"], (method, path)


def test_every_answer_has_an_example_that_fits(schema):
    """Also every body that is sent."""
    seen = 0
    for method, path, operation in operations(schema):
        bodies = {"body": operation["requestBody"]} if "requestBody" in operation else {}
        for status, body in (operation["responses"] | bodies).items():
            for kind, content in body.get("content", {}).items():
                if kind == "text/csv":
                    continue
                assert content.get("examples"), (method, path, status)
                for example in content["examples"].values():
                    value = (
                        example.get("value")
                        or schema["components"]["examples"][example["$ref"].rsplit("/", 1)[1]]["value"]
                    )
                    validate(schema, content["schema"], value)
                    seen += 1
    assert seen > 200


def validate(schema, part, value):
    jsonschema.Draft202012Validator({**part, "components": schema["components"]}).validate(value)


def test_every_code_of_the_catalogue_has_an_example(schema):
    for code, (status, _title) in CODES.items():
        value = schema["components"]["examples"][code]["value"]
        assert (value["code"], value["status"]) == (code, status)
        validator_for(schema["components"]["schemas"]["Problem"]).validate(value)


@pytest.fixture
def app():
    """The whole WSGI stack, on the test's own connection: Django closes those between requests."""
    signals = (request_started, request_finished)
    for signal in signals:
        signal.disconnect(close_old_connections)
    yield get_wsgi_application()
    for signal in signals:
        signal.connect(close_old_connections)


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_no_call_gives_a_server_error_or_an_answer_that_is_not_described(
    app, api_client, stocked, post, ghee, atta, mode
):
    """Calls that fit the schema and calls that do not, to every operation, through the whole WSGI stack."""
    post("sale", (ghee, 1), reference="seed-sale")
    client = api_client(rate=1_000_000)
    loaded = schemathesis.openapi.from_wsgi("/api/v1/schema/", app)
    headers = {"X-API-Key": client.secret, "Authorization": f"Bearer {client.secret}"}
    called = 0

    def run(operation):
        @hypothesis.settings(
            max_examples=CALLS, deadline=None, database=None, derandomize=True, suppress_health_check=list(hypothesis.HealthCheck),
            phases=[hypothesis.Phase.generate],
        )  # fmt: skip
        @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
        def call(case):
            nonlocal called
            called += 1
            case.call_and_validate(headers=headers, checks=CHECKS)

        call()

    for found in loaded.get_all_operations():
        operation = found.ok()
        if mode == GenerationMode.NEGATIVE and operation.path == "/api/v1/me/":
            continue  # nothing is sent there that could be wrong
        run(operation)
    assert called > 200


def test_scopes_of_the_catalogue_are_those_of_the_keys(schema):
    assert (
        schema["components"]["schemas"]["Me"]["properties"]["scopes"]["items"]["enum"] == ApiKey.Scope.values
    )
