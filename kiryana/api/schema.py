"""The OpenAPI 3.1 schema: every address, every answer it can give, with examples."""

import functools
import json

from django.http import HttpResponse
from django.utils import translation
from drf_spectacular.extensions import (
    OpenApiAuthenticationExtension,
    OpenApiSerializerExtension,
    OpenApiSerializerFieldExtension,
)
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema
from rest_framework.permissions import AllowAny
from rest_framework.views import APIView

from stores.api.base import OneForm
from stores.authentication.keys import refuse_key_in_address
from stores.authentication.problems import CODES

ANY = (
    "bad_request",
    "request_timeout",
    "address_too_long",
    "headers_too_large",
    "validation_error",
    "unknown_parameter",
    "repeated_parameter",
    "null_character",
    "key_in_url",
)
WITH_BODY = ("parse_error", "unknown_field", "duplicate_key", "body_too_large", "unsupported_media_type")
ALWAYS = ("unauthenticated", "rate_limited", "server_error", "unavailable", "busy")
EXAMPLE_DETAIL = {
    "insufficient_stock": "Not enough stock. Dalda Ghee 1 kg: 24 on hand, 25 asked for.",
    "idempotency_key_reused": "The reference basket-17 was used before with other content.",
    "insufficient_scope": "This needs a key with the scope movements:write.",
}
EXAMPLE_FAULTS = {
    "validation_error": ("/lines/0/quantity", "must_be_positive", "A quantity must be above zero."),
    "unknown_field": ("/quantitty", "unknown_field", "There is no such field."),
    "duplicate_key": ("/quantity", "duplicate_key", "The field quantity comes twice."),
    "unknown_parameter": ("/stor", "unknown_parameter", "There is no such parameter here."),
    "repeated_parameter": ("/sku", "repeated_parameter", "Give this parameter once."),
    "null_character": ("/notes", "null_character", "No text holds a null character."),
    "invalid_cursor": (
        "/cursor",
        "invalid_cursor",
        "Take the cursor from next or previous of this very list.",
    ),
    "insufficient_stock": (
        "/lines/0/quantity",
        "insufficient_stock",
        "GHE-0001: 24.000 on hand, 25.000 asked for.",
    ),
    "parse_error": ("", "parse_error", "Not JSON: Expecting value (line 1, column 1)."),
}
PROBLEM = {
    "type": "object",
    "description": "What went wrong (RFC 9457).",
    "required": ["type", "title", "status", "code", "detail", "request_id", "errors"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string", "description": "In the language of Accept-Language (en, ur)."},
        "status": {"type": "integer"},
        "code": {"type": "string", "enum": list(CODES), "description": "Never changes its meaning."},
        "detail": {"type": "string", "description": "In the language of Accept-Language (en, ur)."},
        "request_id": {"type": "string", "description": "Also in X-Request-Id; tell us this when you ask."},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "code", "detail"],
                "properties": {
                    "pointer": {
                        "type": "string",
                        "description": "JSON pointer into the body; for a parameter or a header its name after a slash.",
                    },
                    "code": {"type": "string"},
                    "detail": {"type": "string"},
                },
            },
        },
    },
}
LIMIT_HEADERS = {
    "RateLimit-Policy": {
        "schema": {"type": "string"},
        "description": "The key's rate.",
        "example": '"key";q=600;w=60',
    },
    "RateLimit": {
        "schema": {"type": "string"},
        "description": "What is left of it, and for how long.",
        "example": '"key";r=599;t=42',
    },
}
REPLAYED = {
    "Idempotent-Replayed": {
        "schema": {"type": "string", "const": "true"},
        "description": "This had been done before.",
    }
}
TAGGED = {
    "ETag": {
        "schema": {"type": "string", "pattern": '^"[0-9a-f]{32}"$'},
        "description": "The version of this, for If-Match.",
    }
}
RETRY = {
    "Retry-After": {"schema": {"type": "string", "pattern": "^[0-9]+$"}, "description": "Seconds to wait."}
}


class KeyScheme(OpenApiAuthenticationExtension):
    target_class = "stores.authentication.keys.KeyAuthentication"
    name = ["ApiKey", "Bearer"]

    def get_security_definition(self, auto_schema):
        return [
            {
                "type": "apiKey",
                "in": "header",
                "name": "X-API-Key",
                "description": "kir_live_... or kir_test_...",
            },
            {"type": "http", "scheme": "bearer", "description": "The same key as a bearer token."},
        ]

    def get_security_requirement(self, auto_schema):
        return [{"ApiKey": []}, {"Bearer": []}]


class ExactNumber(OpenApiSerializerFieldExtension):
    """Numbers are strings; what is sent may be a JSON number too."""

    target_class = "stores.api.fields.Exact"
    match_subclasses = True

    def map_serializer_field(self, auto_schema, direction):
        places, field = self.target.decimal_places, self.target
        text = {
            "type": "string",
            "pattern": rf"^-?[0-9]{{1,{field.whole}}}(\.[0-9]{{1,{places}}})?$",
            "examples": ["1.250" if places == 3 else "165.00"],
        }
        number = {
            "type": "number",
            "exclusiveMaximum": 10**field.whole,
            "exclusiveMinimum": -(10**field.whole),
        }
        if field.low is not None:
            text["pattern"] = text["pattern"].replace("-?", "")
            number["minimum"] = float(field.low)
            del number["exclusiveMinimum"]
        return {"oneOf": [text, number]}


class StrictObject(OpenApiSerializerExtension):
    """Older names of fields, and fields that go only one at a time."""

    target_class = "stores.api.fields.Strict"
    match_subclasses = True

    def map_serializer(self, auto_schema, direction):
        made = auto_schema._map_serializer(self.target, direction, bypass_extensions=True)
        names = {field: [field] for field in made.setdefault("properties", {})}
        for old, name in self.target.synonyms.items():
            words = f"The same as `{name}`, by its older name; send one of them."
            made["properties"][old] = made["properties"][name] | {"deprecated": True, "description": words}
            names[name].append(old)
        required = [name for name in made.get("required", ()) if len(names[name]) == 1]
        rules = [
            {"oneOf": [{"required": [name]} for field in group for name in names[field]]}
            for group in self.one_of(made, names)
        ]
        rules += [{"not": {"required": list(pair)}} for pair in self.target.not_both]
        made.pop("required", None)
        if self.target.fewest:
            made["minProperties"] = self.target.fewest
        return made | ({"required": required} if required else {}) | ({"allOf": rules} if rules else {})

    def one_of(self, made, names):
        """Groups of fields of which exactly one is sent."""
        grouped = {name for group in self.target.one_of for name in group}
        for name, forms in names.items():
            if len(forms) > 1 and name not in grouped:
                if name not in made.get("required", ()):
                    raise AssertionError(f"{name} has an older name and may be left out: describe that here")
                yield [name]
        yield from self.target.one_of


class TextOrCode(OpenApiSerializerFieldExtension):
    def map_serializer_field(self, auto_schema, direction):
        field = self.target
        return {"type": "string", "maxLength": field.max_length} | (
            {} if getattr(field, "allow_blank", False) else {"minLength": 1}
        )


class TextField(TextOrCode):
    target_class = "stores.api.fields.Text"
    match_subclasses = True


class CodeField(TextOrCode):
    target_class = "stores.api.fields.Code"
    match_subclasses = True

    def map_serializer_field(self, auto_schema, direction):
        return super().map_serializer_field(auto_schema, direction) | {"pattern": "^[!-~]+$"}


class CategoryField(OpenApiSerializerFieldExtension):
    target_class = "catalog.api.inputs.CategoryField"

    def map_serializer_field(self, auto_schema, direction):
        return {"type": "string", "minLength": 1, "maxLength": 100}


class Schema(AutoSchema):
    """Adds to each operation the refusals that it can give, and the headers that every answer has."""

    def get_operation_id(self):
        # One name per view and action: products_lookup_retrieve would say nothing more.
        thing = "_".join(part.replace("-", "_") for part in self._tokenize_path())
        return f"{thing}_{self.view.action}" if self.view.action not in thing else thing

    def codes(self) -> list[str]:
        """The codes of all refusals of this operation."""
        view, action = self.view, self.view.action
        found = [*ANY, *ALWAYS, *view.problems.get(action, ())]
        if self.method in ("POST", "PATCH"):
            found += WITH_BODY
        if action == "list":
            found.append("invalid_cursor")
        if action in ("create", "reverse") and getattr(view, "append_only", False):
            found.append("reference_required")
        if view.scopes.get(action):
            found.append("insufficient_scope")
        if "{" in self.path:
            found.append("not_found")
        return [code for code in CODES if code in found]

    def _get_request_body(self, direction="request"):
        body = super()._get_request_body(direction)
        return body and body | {
            "required": True
        }  # also that of a change, which REST framework takes for optional

    def _get_response_bodies(self, direction="response"):
        bodies = super()._get_response_bodies(direction)
        # REST framework's own words for a 304 and for replays are none: these are said here.
        if self.view.action == "retrieve" and "products" in self.path:
            bodies["304"] = {"description": "The version named in If-None-Match is the present one."}
        for code in self.codes():
            status, title = CODES[code]
            body = bodies.setdefault(
                str(status),
                {
                    "description": "",
                    "content": {
                        "application/problem+json": {
                            "schema": {"$ref": "#/components/schemas/Problem"},
                            "examples": {},
                        }
                    },
                },
            )
            body["description"] += f"{'; ' if body['description'] else ''}{title}"
            body["content"]["application/problem+json"]["examples"][code] = {
                "$ref": f"#/components/examples/{code}"
            }
        for status, body in bodies.items():
            body["headers"] = body.get("headers", {}) | ({} if status == "401" else LIMIT_HEADERS)
            if status in ("429", "503"):
                body["headers"] |= RETRY
            if status == "200" and "201" in bodies:
                body["headers"] |= REPLAYED
            if status in ("200", "201", "304") and self.view.action in self.view.tagged:
                body["headers"] |= TAGGED
        return bodies


def complete(result, generator, request, public):
    """Hook: the parts that all operations share, and answers whose fields are always there."""
    components = result["components"]
    components["schemas"]["Problem"] = PROBLEM
    components["examples"] = {
        code: {"summary": str(title), "value": example_of(code)} for code, (_status, title) in CODES.items()
    }
    for name, schema in components["schemas"].items():
        if name == "Problem" or "properties" not in schema:
            continue
        for shape in schema["properties"].values():
            for word in ("readOnly", "example"):
                shape.pop(word, None)
        if name.endswith("Request"):
            schema["additionalProperties"] = False
        else:
            schema["required"] = [
                field for field in schema["properties"] if field not in OPTIONAL.get(name, COSTS)
            ]
    return result


# Shown to some keys only.
COSTS = frozenset({"cost_price", "unit_cost", "average_cost", "average_cost_after", "cost_estimated"})
OPTIONAL = {
    "Verdict": frozenset({"document", "code", "detail", "errors"}),
    "ProductVerdict": frozenset({"code", "detail", "errors"}),
}


def example_of(code: str) -> dict:
    """A whole problem with this code."""
    status, title = CODES[code]
    pointer, inner, words = EXAMPLE_FAULTS.get(code, ("", "", ""))
    return {
        "type": f"/docs#{code}",
        "title": str(title),
        "status": status,
        "code": code,
        "detail": EXAMPLE_DETAIL.get(code, words or str(title)),
        "request_id": "5d0c9f0e8a5b4a0c9a4f6f8f1f3c7b21",
        "errors": [{"pointer": pointer, "code": inner, "detail": words}] if inner else [],
    }


@functools.cache
def schema() -> dict:
    """The whole schema, in English; worked out once."""
    with translation.override("en"):
        return SchemaGenerator().get_schema(request=None, public=True)


@functools.cache
def schema_text() -> bytes:
    return json.dumps(schema(), ensure_ascii=False, default=str).encode()


class SchemaView(APIView):
    """The schema as JSON; open to everybody."""

    authentication_classes = []
    permission_classes = [AllowAny]
    content_negotiation_class = OneForm
    http_method_names = ["get", "head"]
    schema = None

    def initial(self, request, *args, **kwargs):
        super().initial(request, *args, **kwargs)
        refuse_key_in_address(request)

    def get(self, request):
        return HttpResponse(schema_text(), content_type="application/vnd.oai.openapi+json;version=3.1")
