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
from schemathesis.core.parameters import ParameterLocation
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from kiryana.api.schema import schema as whole_schema
from stores.authentication.problems import CODES
from stores.models import ApiKey
from stores.services import addresses
from stores.services.webhooks import create_webhook

CHECKS = [
    checks.not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
]
# What does not fit the schema must not be taken.
WRONG = [*CHECKS, negative_data_rejection]
pytestmark = pytest.mark.django_db
CALLS = 16
# Where a value of this name stands, what is there: else nearly every call would end at a product that is not.
KNOWN = {
    "store": ["LHE-0001"],
    "code": ["GHE-0001", "FLR-0001"],
    "sku": ["GHE-0001", "FLR-0001"],
    "barcode": ["8964000123456", "2100001012502", "18964000123453"],
    "category": ["Flour & Grains"],
    "quantity": ["1", "2.000", 3],
    "quantity_step": ["1"],
    "unit_price": ["560.00"],
    "selling_price": ["170"],
    "reason": ["MISTAKE", "DAMAGED", "COUNTED"],
    "url": ["https://partner.example.com/kiryana"],
    "If-Match": ["*"],
    "limit": [2],
    "free": [False],
    "from": ["2026-01-01"],
    "to": ["2026-03-01"],
}
NOT_SENT = {"occurred_at", "returns", "cursor", "after", "since", "amount", "line_total"}


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


def aimed(value, turn: int):
    """`value` with what is known to be there in it, a different thing each `turn`."""
    if isinstance(value, dict):
        return {
            name: KNOWN[name][turn % len(KNOWN[name])] if name in KNOWN else aimed(inner, turn)
            for name, inner in value.items()
            if name not in NOT_SENT
        }
    return [aimed(inner, turn) for inner in value] if isinstance(value, list) else value


def call_everything(
    app, secret: str, ids: dict, mode, calls: int, seed: int | None = None
) -> dict[str, set[int]]:
    """Calls each operation so often; returns what it answered with, by operation. Raises for what should not be."""
    loaded = schemathesis.openapi.from_wsgi("/api/v1/schema/", app)
    headers = {"X-API-Key": secret, "Authorization": f"Bearer {secret}"}
    answered = {}

    def run(operation):
        statuses = answered.setdefault(f"{operation.method.upper()} {operation.path}", set())
        turn = 0

        def call(case):
            nonlocal turn
            turn += 1
            if mode == GenerationMode.POSITIVE and turn % 4:
                aim(case, turn)
            elif mode == GenerationMode.NEGATIVE and is_wrong(case, ParameterLocation.BODY):
                aim_path(case, turn)  # else a wrong body would only hear that there is no such thing
            # A batch is answered with verdicts, whatever stands in it.
            wrong = mode == GenerationMode.NEGATIVE and not case.operation.path.endswith("/batch/")
            answer = case.call_and_validate(headers=headers, checks=WRONG if wrong else CHECKS)
            statuses.add(answer.status_code)

        made = hypothesis.given(case=operation.as_strategy(generation_mode=mode))(call)
        if seed is not None:
            made = hypothesis.seed(seed)(made)
        hypothesis.settings(
            max_examples=calls, deadline=None, database=None, derandomize=seed is None, phases=[hypothesis.Phase.generate],
            suppress_health_check=list(hypothesis.HealthCheck),
        )(made)()  # fmt: skip

    def is_wrong(case, part):
        component = case.meta.components.get(part)
        return component is not None and component.mode == GenerationMode.NEGATIVE

    def aim_path(case, turn):
        for name in case.path_parameters:
            if name == "id":
                kind = case.operation.path.split("/")[3]
                case.path_parameters[name] = ids[kind][turn % len(ids[kind])]
            elif name in KNOWN:
                known = ["LHE-0001"] if "/stores/" in case.operation.path else KNOWN[name]
                case.path_parameters[name] = known[turn % len(known)]

    def aim(case, turn):
        aim_path(case, turn)
        for part in ("query", "headers", "body"):
            value = getattr(case, part)
            if isinstance(value, dict):
                setattr(case, part, aimed(value, turn))
            elif part == "headers" and value:
                for name in [name for name in value if name in KNOWN]:
                    value[name] = KNOWN[name][0]

    for found in loaded.get_all_operations():
        operation = found.ok()
        if mode == GenerationMode.NEGATIVE and operation.path == "/api/v1/me/":
            continue  # nothing is sent there that could be wrong
        run(operation)
    return answered


@pytest.fixture
def world(stocked, post, ghee, api_client, monkeypatch) -> tuple:
    """A key that may do everything, with something of its own to find: (secret, ids of what there is)."""
    monkeypatch.setattr(addresses, "resolve", lambda host, port: [("8.8.8.8", port)])
    posted = [post("sale", (ghee, 1), reference=f"seed-{number}") for number in range(8)]
    client = api_client(rate=1_000_000)
    hooks = [f"https://partner.example.com/{number}" for number in range(3)]
    made = [create_webhook(key=client.key, url=url, events=["stock.low"])[0] for url in hooks]
    return client.secret, {
        "documents": [one.document.pk for one in posted],
        "movements": [one.movements[0].pk for one in posted],
        "webhooks": [webhook.pk for webhook in made],
    }


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_no_call_gives_a_server_error_or_an_answer_that_is_not_described(app, world, mode):
    """Calls that fit the schema and calls that do not, to every operation, through the whole WSGI stack.

    What does not fit is not taken; of what does, most operations take some.
    """
    answered = call_everything(app, *world, mode, CALLS)
    if mode == GenerationMode.NEGATIVE:
        assert not [name for name, statuses in answered.items() if not statuses & {400, 404, 415}]
    else:
        taken = [name for name, statuses in answered.items() if min(statuses) < 300]
        assert len(taken) > 0.8 * len(answered), sorted(answered.items())


def test_scopes_of_the_catalogue_are_those_of_the_keys(schema):
    assert (
        schema["components"]["schemas"]["Me"]["properties"]["scopes"]["items"]["enum"] == ApiKey.Scope.values
    )
