"""Cursor lists of the API: {"next", "previous", "results"}. The thousandth page costs what the first one does."""

import re

from django.conf import settings
from django.utils.translation import gettext as _
from rest_framework.pagination import BasePagination
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from stores.authentication.problems import Invalid, fault
from stores.queries import InvalidCursor, keyset_page

USUAL, MOST = 50, settings.API_LIMITS["page"]


class KeysetPagination(BasePagination):
    """Pages by `limit`, `ordering` (from the view's `orderings`) and a signed `cursor`.

    A cursor belongs to one list, its filters, its order and the key that got it; anywhere else it is refused.
    """

    def paginate_queryset(self, queryset, request, view=None):
        given = request.query_params
        order = given.get("ordering", view.orderings[0])
        if order not in view.orderings:
            raise fault(
                "/ordering",
                "invalid_choice",
                _("Choose one of %(orders)s.") % {"orders": ", ".join(view.orderings)},
            )
        limit = self.limit_of(given.get("limit"))
        if given.get("cursor") == "":
            raise self.invalid()
        filters = sorted(
            (name, value) for name, value in given.items() if name not in ("cursor", "limit", "ordering")
        )
        scope = f"{request.path}|{request.auth.pk}|{filters}|"
        # The field that is sorted by may have a public name of its own.
        field = getattr(view, "order_fields", {}).get(order.removeprefix("-"), order.removeprefix("-"))
        column = ("-" if order.startswith("-") else "") + field
        try:
            self.page = keyset_page(
                queryset,
                order=column,
                limit=limit,
                cursor=given.get("cursor", ""),
                scope=scope,
                # Of the ledger, any filter may leave many rows to be put in order.
                shown=view.get_queryset() if getattr(view, "append_only", False) else None,
            )
        except InvalidCursor:
            raise self.invalid() from None
        self.url = request.build_absolute_uri()
        return self.page.rows

    def limit_of(self, text: str | None) -> int:
        if text is None:
            return USUAL
        if not re.fullmatch(r"[0-9]{1,4}", text) or not 1 <= int(text) <= MOST:
            raise fault(
                "/limit", "out_of_range", _("The limit is a number from 1 to %(most)d.") % {"most": MOST}
            )
        return int(text)

    def invalid(self) -> Invalid:
        return fault(
            "/cursor", "invalid_cursor", _("Take the cursor from next or previous of this very list.")
        )

    def link(self, cursor: str | None) -> str | None:
        return replace_query_param(self.url, "cursor", cursor) if cursor else None

    def get_paginated_response(self, data):
        return Response(
            {"next": self.link(self.page.next), "previous": self.link(self.page.previous), "results": data}
        )

    def get_paginated_response_schema(self, schema):
        link = {"type": ["string", "null"], "format": "uri", "example": None}
        return {
            "type": "object",
            "required": ["next", "previous", "results"],
            "properties": {
                "next": {**link, "description": "The page after this one."},
                "previous": {**link, "description": "The page before this one."},
                "results": schema,
            },
        }

    def get_schema_operation_parameters(self, view):
        def parameter(name, schema, description):
            return {
                "name": name,
                "in": "query",
                "required": False,
                "schema": schema,
                "description": description,
            }

        return [
            parameter(
                "limit",
                {"type": "integer", "minimum": 1, "maximum": MOST, "default": USUAL},
                "Rows of a page.",
            ),
            parameter(
                "cursor",
                {"type": "string"},
                "From `next` or `previous`; belongs to this list with these filters.",
            ),
            parameter(
                "ordering",
                {"type": "string", "enum": list(view.orderings), "default": view.orderings[0]},
                "What comes first; - for falling.",
            ),
        ]
