"""What every address of the API has in common: strict parameters, stores of the key only, entity tags."""

import hashlib
import json

from django.db import DEFAULT_DB_ALIAS
from django.http import Http404
from django.utils.translation import gettext as _
from rest_framework.exceptions import ValidationError
from rest_framework.mixins import ListModelMixin
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.serializers import BaseSerializer
from rest_framework.viewsets import GenericViewSet

from stores.api.fields import Strict, kept
from stores.api.parsers import broken, check_headers
from stores.authentication.problems import Fault, Invalid, Problem, fault, faults_of
from stores.models import ApiKey, Store

LIST_PARAMETERS = frozenset({"cursor", "limit", "ordering"})
LONGEST_PARAMETER = 500
CURSORS = ("cursor", "after")  # what is wrong with one is for its list to say


class OneForm(BaseContentNegotiation):
    """What is asked for in Accept changes nothing: the API speaks one form. Where there are more, `?format=` chooses."""

    def select_parser(self, request, parsers):
        return parsers[0]

    def select_renderer(self, request, renderers, format_suffix=None):
        wanted = request.query_params.get("format")
        if wanted is None or len(renderers) == 1:
            return renderers[0], renderers[0].media_type
        for renderer in renderers:
            if renderer.format == wanted:
                return renderer, renderer.media_type
        raise Http404


class KeyViews(GenericViewSet):
    """Addresses that a partner's key opens.

    `scopes` names the scope of each action. `parameters` names the query parameters of actions that are not lists; a
    list has those of its filter, and `orderings`, the first of which is the usual one.
    """

    scopes: dict[str, str | None] = {}
    parameters: dict[str, frozenset[str]] = {}
    orderings: tuple[str, ...] = ("id", "-id")
    # Refusals beyond the usual ones, by action, for the schema.
    problems: dict[str, tuple[str, ...]] = {}
    # Actions that answer with an ETag, for the schema.
    tagged: frozenset[str] = frozenset()
    content_negotiation_class = OneForm
    http_method_names = ["get", "head", "post", "patch"]

    @property
    def key(self) -> ApiKey:
        return self.request.auth

    @property
    def sees_cost(self) -> bool:
        """Whether cost, value and margin are shown to this key (R16)."""
        return self.key.allows(ApiKey.Scope.REPORTS_READ)

    def initialize_request(self, request, *args, **kwargs):
        made = super().initialize_request(request, *args, **kwargs)
        if request.method == "OPTIONS":
            self.action = None  # a method like any other that is not there
        return made

    def initial(self, request, *args, **kwargs):
        super().initial(request, *args, **kwargs)
        if self.action is not None:
            self.check_parameters(request)

    def known_parameters(self) -> frozenset[str]:
        if self.action != "list":
            return self.parameters.get(self.action, frozenset())
        filters = getattr(self, "filterset_class", None)
        return (
            LIST_PARAMETERS
            | frozenset(filters.base_filters if filters else ())
            | self.parameters.get("list", frozenset())
        )

    def check_parameters(self, request) -> None:
        """Refuses parameters that this address does not have, that come twice, or that no text holds."""
        known = self.known_parameters()
        faults = []
        for name, values in request.query_params.lists():
            if "\0" in name or any("\0" in value for value in values):
                faults.append(
                    Fault(pointer(name), "null_character", _("A parameter holds a null character."))
                )
            elif name not in known:
                faults.append(
                    Fault(pointer(name), "unknown_parameter", _("There is no such parameter here."))
                )
            elif len(values) > 1:
                faults.append(Fault(pointer(name), "repeated_parameter", _("Give this parameter once.")))
            elif not values[0] and name not in CURSORS:
                faults.append(Fault(pointer(name), "blank", _("This parameter is empty.")))
            elif len(values[0]) > LONGEST_PARAMETER and name not in CURSORS:
                faults.append(Fault(pointer(name), "too_long", _("This is too long.")))
        if faults:
            raise Invalid(faults[:20])

    def get_serializer_context(self):
        return super().get_serializer_context() | {"sees_cost": self.sees_cost}

    def filter_queryset(self, queryset):
        # Where no filter is given there is nothing to refuse either; the form of a FilterSet is made anew each time.
        filters = getattr(self, "filterset_class", None)
        if filters and self.request.query_params.keys().isdisjoint(filters.base_filters):
            return queryset
        return super().filter_queryset(queryset)

    @property
    def shape(self) -> BaseSerializer:
        """The serializer of this action's answers, shared by all requests."""
        return kept(self.get_serializer_class(), sees_cost=self.sees_cost)

    def body(self) -> dict:
        """The JSON object that was sent."""
        if self.request.stream is None:  # REST framework takes an empty body for an empty object
            check_headers(self.request.META)
            raise broken(_("The body is empty."))
        return self.request.data

    def read(self, serializer_class, **context) -> dict:
        """The body as `serializer_class` understands it; refuses anything else."""
        shape = serializer_class(context=context) if context else kept(serializer_class)
        return taken(shape, self.body())

    def my_stores(self):
        """The stores of this key."""
        return Store.objects.for_key(self.key)


class Listed(ListModelMixin):
    """Lists, as REST framework's, whose rows are all shown by the one shared serializer."""

    def list(self, request, *args, **kwargs):
        rows = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response([self.shape.to_representation(row) for row in rows])


def taken(shape: Strict, data) -> dict:
    """What `shape` makes of `data`; refuses with every fault it found."""
    try:
        return shape.run_validation(data)
    except ValidationError as error:
        raise Invalid(faults_of(error.detail)) from None


def pointer(name: str) -> str:
    """The name of a parameter as an error shows it: cut, and without what no answer may hold."""
    return "/" + name[:50].replace("\0", "").encode("utf-8", "replace").decode()


def store_of(views: KeyViews, code: str | None) -> Store | None:
    """The key's store that the parameter `store` names, None when it is not given; 404 for any other. The primary is asked."""
    if code is None:
        return None
    store = views.my_stores().using(DEFAULT_DB_ALIAS).filter(code=code).first()
    if store is None:
        raise Problem("not_found", _("This key has no such store."))
    return store


def no_such_store() -> Invalid:
    """A body that names a store which this key does not have, or which does not exist: the same words for both."""
    return fault("/store", "invalid_choice", _("This key has no such store."))


def entity_tag(content: dict) -> str:
    """A strong ETag: it changes with anything in `content`."""
    text = json.dumps(content, sort_keys=True, default=str, separators=(",", ":"))
    return f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'


def tags_in(header: str) -> list[str]:
    """The entity tags of an If-Match or If-None-Match header."""
    return [tag.strip() for tag in header.split(",")]


def check_match(request, tag: str, required: bool = True) -> None:
    """Refuses a change by somebody who names another version than `tag`, or none where it is `required`."""
    given = request.META.get("HTTP_IF_MATCH")
    if given is None and not required:
        return
    if required and not given:
        raise Problem("if_match_required", _("Send If-Match with the ETag of the version you change."))
    if given.strip() != "*" and tag not in tags_in(given):
        raise Problem("version_conflict", _("Somebody changed this since you read it. Read it again."))


def not_modified(request, tag: str) -> bool:
    """Whether the reader has this version already (If-None-Match)."""
    given = request.META.get("HTTP_IF_NONE_MATCH", "")
    return given.strip() == "*" or tag in [one.removeprefix("W/") for one in tags_in(given)]
