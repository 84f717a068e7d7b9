"""What all pages of the head office share: lists that are paged by key and never counted, and filters that take a code.

A table of ten million rows costs the same as one of ten: no count(*), no page numbers, no list of 500 names.
"""

import uuid
from datetime import date, timedelta
from functools import cached_property, update_wrapper

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.exceptions import NotRegistered
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.utils import flatten_fieldsets, quote
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.paginator import PageNotAnInteger, Paginator
from django.db import DataError, OperationalError, connections
from django.http import Http404, HttpResponseRedirect
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, path, reverse
from django.utils import timezone
from django.utils.dateparse import parse_date
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from psycopg.errors import QueryCanceled

from stores.admin.fields import Fields, introduce, is_key, made_once
from stores.models import SECRET, Store, holds_secret
from stores.queries import InvalidCursor, KeysetPage, keyset_page
from stores.templatetags.shop import clock_text, day, html

CURSOR = "cursor"


def estimated_rows(model) -> int | None:
    """About how many rows the table of `model` has: what PostgreSQL noted when it last analysed it; None if never."""
    with connections["default"].cursor() as cursor:
        cursor.execute(
            "SELECT reltuples::bigint FROM pg_class WHERE oid = to_regclass(%s)", [model._meta.db_table]
        )
        row = cursor.fetchone()
    return row[0] if row and row[0] >= 0 else None


class Uncounted(Paginator):
    """Numbered pages of a list that is never counted: each page asks for one row more than it shows."""

    def validate_number(self, number):
        try:
            number = int(number)
        except (TypeError, ValueError):
            raise PageNotAnInteger(_("That page number is not an integer")) from None
        return max(number, 1)

    def page(self, number):
        number = self.validate_number(number)
        bottom = (number - 1) * self.per_page
        rows = list(self.object_list[bottom : bottom + self.per_page + 1])
        # What is known so far; it tells `has_next` and no more.
        self.count = bottom + len(rows)
        return self._get_page(rows[: self.per_page], number, self)


class KeysetList(ChangeList):
    """A list of the admin with Older and Newer instead of page numbers, in the order its ModelAdmin names."""

    def __init__(self, request, *args, **kwargs):
        self.cursor, self.too_long = request.GET.get(CURSOR, ""), False
        super().__init__(request, *args, **kwargs)
        self.title = self.model_admin.heading

    def get_filters_params(self, params=None):
        lookups = super().get_filters_params(params)
        lookups.pop(CURSOR, None)
        return lookups

    def get_query_string(self, new_params=None, remove=None):
        """Another filter begins at its first page: only `new_params` can carry a cursor on."""
        keep = new_params and CURSOR in new_params
        return super().get_query_string(new_params, [*(remove or []), *([] if keep else [CURSOR])])

    def get_ordering(self, request, queryset):
        return []

    def get_ordering_field_columns(self):
        return {}

    def get_results(self, request):
        order = self.model_admin.get_keyset(request, self)
        scope = f"admin:{self.opts.label_lower}:{request.user.pk}:{self.get_query_string()}"
        shown = self.model_admin.list_columns
        rows = self.queryset.only(*shown) if shown else self.queryset
        try:
            page = keyset_page(rows, order=order, limit=self.list_per_page, cursor=self.cursor, scope=scope)
        except (InvalidCursor, DataError) as error:
            # DataError: a parameter that no column can hold, such as a null character.
            raise IncorrectLookupParameters from error
        except OperationalError as error:
            # A filter that no index serves, over a long table: said in words instead of a broken page.
            if not isinstance(error.__cause__, QueryCanceled):
                raise
            page, self.too_long = KeysetPage([], None, None), True
        self.result_list, self.result_count = page.rows, len(page.rows)
        self.by_time = order.startswith("-")
        self.previous_url = self.get_query_string({CURSOR: page.previous}) if page.previous else None
        self.next_url = self.get_query_string({CURSOR: page.next}) if page.next else None
        # What Django's own templates and views ask for.
        self.full_result_count = self.paginator = None
        self.show_full_result_count = self.show_admin_actions = self.can_show_all = self.multi_page = False

    @property
    def narrowed_to(self) -> set[str]:
        """Of what this list shows one only (store, product): the names of their filters."""
        return {
            spec.parameter_name for spec in self.filter_specs if isinstance(spec, CodeFilter) and spec.found
        }

    @property
    def whole(self) -> bool:
        """Whether this page shows all there is."""
        return not self.previous_url and not self.next_url

    @property
    def estimate(self) -> int | None:
        """About how many rows there are; only for the list without filters, which is the whole table."""
        if self.has_active_filters or self.query or self.whole:
            return None
        return estimated_rows(self.model)

    @property
    def kept_by_search(self) -> list[tuple[str, str]]:
        """What the search form sends along to keep the filters."""
        return carried(self, ["q"])

    def url_for_result(self, result):
        return self.model_admin.address(result)


class HouseAdmin(Fields, admin.ModelAdmin):
    """The way all models are shown. `keyset` is the list's order: one indexed field, `-` for falling."""

    keyset = "-id"
    # What the list reads of a row and of what stands beside it, where that is much less than there is; () for all of it.
    list_columns = ()
    listed_as = ""
    deletable = False
    # The permissions that its pages ask for, and what they are called where "add" or "change" would say too little.
    actions_asked_for = ("view", "add", "change")
    words_for_actions = {}
    actions = None
    # Django's own scripts serve actions, pop-ups and slugs, which are not used here; fields and rows bring theirs.
    media = forms.Media()
    sortable_by = ()
    list_per_page = 25
    paginator = Uncounted
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER

    @property
    def heading(self) -> str:
        """What the list is called, in the menu and over itself."""
        return self.listed_as or capfirst(self.opts.verbose_name_plural)

    def get_changelist(self, request, **kwargs):
        return KeysetList

    def changelist_view(self, request, extra_context=None):
        """Of a whole key that somebody pastes into a search, only the public part stays in the address and on the page."""
        given = list(request.GET.lists())
        kept = [
            (SECRET.sub(r"\1", name), [SECRET.sub(r"\1", value) for value in values])
            for name, values in given
        ]
        if kept != given:
            return redirect(f"{request.path}?{urlencode(kept, doseq=True)}")
        return super().changelist_view(request, extra_context)

    def get_keyset(self, request, changelist) -> str:
        return self.keyset

    def lookup_allowed(self, lookup, value, request):
        """A column is asked about only where a filter offers it: no secret is guessed letter by letter from what is listed."""
        offered = {
            one if isinstance(one, str) else getattr(one, "parameter_name", "") for one in self.list_filter
        }
        fields = [field for field in self.opts.get_fields() if not getattr(field, "primary_key", False)]
        columns = {name for field in fields for name in (field.name, getattr(field, "attname", ""))}
        first = lookup.split("__")[0]
        return (first not in columns or first in offered) and super().lookup_allowed(lookup, value, request)

    def get_object(self, request, object_id, from_field=None):
        """With what the page shows of other tables, in one query."""
        if not is_key(object_id):
            return None
        rows = self.get_queryset(request).select_related(*(self.list_select_related or ()))
        return rows.filter(pk=object_id).first()

    @cached_property
    def list_address(self) -> str:
        """Where the list is."""
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist")

    def address(self, obj) -> str:
        """Where the page of `obj` is: below the list, as in all of Django's admin."""
        return f"{self.list_address}{quote(obj.pk)}/change/"

    def has_delete_permission(self, request, obj=None):
        return self.deletable and super().has_delete_permission(request, obj)

    def name_of(self, obj) -> str:
        """What stands over the page of `obj`."""
        return str(obj)

    def get_form(self, request, obj=None, change=False, **kwargs):
        if "fields" in kwargs:
            fields = kwargs.pop("fields")
        else:
            fields = flatten_fieldsets(self.get_fieldsets(request, obj))
        return made_once(
            lambda: self.plain_form(request, obj, change=change, fields=fields, **kwargs),
            type(self),
            change,
            obj is None,
            fields and tuple(fields),
            tuple(self.get_readonly_fields(request, obj)),
            self.has_change_permission(request, obj),
            *kwargs.items(),
        )

    def plain_form(self, request, obj, **kwargs):
        """The class of the form that Django makes, without colons and refusing secrets."""
        made = super().get_form(request, obj, **self.made_by_nobody(), **kwargs)

        class Plain(made):
            def __init__(self, *args, **options):
                super().__init__(*args, **{"label_suffix": "", **options})
                introduce(self)

            def clean(self):
                cleaned = super().clean()
                cleaned = self.cleaned_data if cleaned is None else cleaned
                for name, value in list(cleaned.items()):
                    if isinstance(value, str) and holds_secret(value):
                        words = _(
                            "A secret key stands in this text. It would be kept and seen by others: take it out."
                        )
                        self.add_error(name, ValidationError(words, code="secret_in_text"))
                        # The page that says so shows the rest of what was typed.
                        self.data = self.data.copy()
                        self.data[self.add_prefix(name)] = SECRET.sub(r"\1", value)
                return cleaned

        return Plain

    def tools(self, request, obj) -> list[tuple[str, str, str]]:
        """(address, words, css class) of the buttons at the head of an object's page."""
        return []

    def facts(self, request, obj) -> dict:
        """What the template of an object's page shows besides its fields."""
        return {}

    def render_change_form(self, request, context, add=False, change=False, form_url="", obj=None):
        if obj is not None:
            context |= {
                "tools": self.tools(request, obj),
                "heading": self.name_of(obj),
                **self.facts(request, obj),
            }
        return super().render_change_form(request, context, add, change, form_url, obj)

    def acts(self) -> list[tuple[str, str]]:
        """(name, method) of pages of our own under an object: <id>/<name>/."""
        return []

    def get_urls(self):
        def page(view):
            def wrapper(request, object_id):
                return self.admin_site.admin_view(view)(request, object_id)

            return update_wrapper(wrapper, view)

        own = [
            path(
                f"<str:object_id>/{name}/",
                page(getattr(self, method)),
                name=f"{self.opts.app_label}_{self.opts.model_name}_{name}",
            )
            for name, method in self.acts()
        ]
        return own + super().get_urls()

    def act_url(self, name: str, obj) -> str:
        return f"{self.address(obj).removesuffix('change/')}{name}/"

    def object_or_404(self, request, object_id: str):
        """The object of one of our own pages, if this reader may see it at all."""
        self.check_view(request)
        obj = self.get_object(request, object_id)
        if obj is None:
            raise Http404
        self.check_view(request, obj)
        return obj

    def check_view(self, request, obj=None) -> None:
        """Asked before an object is looked for: who may see none of them must not learn which ones there are."""
        if not self.has_view_or_change_permission(request, obj):
            raise PermissionDenied

    def history_view(self, request, object_id, extra_context=None):
        self.check_view(request)
        return super().history_view(request, object_id, extra_context)

    def act_page(
        self,
        request,
        obj,
        *,
        title,
        form=None,
        button,
        text="",
        facts=(),
        danger=False,
        extra=None,
        status=200,
    ):
        """The page that asks before something is done: what will happen, a form, one button."""
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": obj,
            "address": self.address(obj),
            "heading": self.name_of(obj),
            "title": title,
            "form": form,
            "button": button,
            "text": text,
            "facts": facts,
            "danger": danger,
            **(extra or {}),
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, "admin/act.html", context, status=status)

    def done(self, request, obj, words: str) -> HttpResponseRedirect:
        """Says what was done and goes back to the object."""
        messages.success(request, words)
        return redirect(self.address(obj))


class ReadOnlyAdmin(HouseAdmin):
    """Shown, never written here: not even by a superuser."""

    actions_asked_for = ("view",)

    def has_add_permission(self, request):
        return False

    def has_change_permission(self, request, obj=None):
        return False

    def has_delete_permission(self, request, obj=None):
        return False


class CodeFilter(admin.ListFilter):
    """Filters by one object, named by the code that people know. A text field; a script adds suggestions to it.

    `field` is the foreign key of the list's model, `find` says which object a text means (None: there is no such).
    """

    template = "admin/filter_code.html"
    field = parameter_name = ""
    hint = ""

    def __init__(self, request, params, model, model_admin):
        super().__init__(request, params, model, model_admin)
        self.model, self.site = model, model_admin.admin_site
        self.text = params.pop(self.parameter_name, [""])[-1].replace("\0", "").strip()
        self.found = self.find(self.text) if self.text else None

    def find(self, text: str):
        raise NotImplementedError

    def has_output(self):
        return True

    def expected_parameters(self):
        return [self.parameter_name]

    def queryset(self, request, queryset):
        if not self.text:
            return queryset
        return queryset.filter(**{self.field: self.found}) if self.found else queryset.none()

    def choices(self, changelist):
        source = self.model._meta
        yield {
            "hidden": carried(changelist, self.expected_parameters()),
            "clear": changelist.get_query_string(remove=self.expected_parameters()),
            "suggest": f"{reverse('admin:autocomplete')}?app_label={source.app_label}&model_name={source.model_name}&field_name={self.field}",
        }


class StoreFilter(CodeFilter):
    title = gettext_lazy("store")
    field = parameter_name = "store"
    hint = "LHE-0001"

    def find(self, text):
        code = text.split()[0].upper()
        if store := Store.objects.filter(code=code).first():
            return store
        named = list(Store.objects.filter(name__icontains=text)[:2])
        return named[0] if len(named) == 1 else None


class PracticeFilter(admin.SimpleListFilter):
    """Rows of sandbox stores, or of those that trade."""

    title = gettext_lazy("practice stores")
    parameter_name = "practice"

    def lookups(self, request, model_admin):
        return [("no", _("Without them")), ("yes", _("Only them"))]

    def queryset(self, request, queryset):
        sandboxes = Store.objects.filter(sandbox=True).values("pk")
        if self.value() == "yes":
            return queryset.filter(store__in=sandboxes)
        # Asked this way round, the list is still read in the order of its index.
        return queryset.exclude(store__in=sandboxes) if self.value() == "no" else queryset


class DayFilter(admin.ListFilter):
    """Filters by the days from .. to (both included) of `field`, a date that an index holds."""

    template = "admin/filter_days.html"
    title = gettext_lazy("day")
    field = "business_date"

    def __init__(self, request, params, model, model_admin):
        super().__init__(request, params, model, model_admin)
        given = {name: params.pop(name, [""])[-1].strip() for name in self.expected_parameters()}
        self.wrong = False
        self.start, self.end = self.day(given["from"]), self.day(given["to"])

    def day(self, text: str) -> date | None:
        try:
            found = parse_date(text) if text else None
        except ValueError:
            found = None
        self.wrong |= bool(text) and found is None
        return found

    def has_output(self):
        return True

    def expected_parameters(self):
        return ["from", "to"]

    def queryset(self, request, queryset):
        if self.wrong:
            return queryset.none()
        if self.start:
            queryset = queryset.filter(**{f"{self.field}__gte": self.start})
        return queryset.filter(**{f"{self.field}__lte": self.end}) if self.end else queryset

    def choices(self, changelist):
        today = timezone.localdate()
        yesterday, month = today - timedelta(days=1), today.replace(day=1)
        spans = [
            (_("Any day"), None, None),
            (_("Today"), today, today),
            (_("Yesterday"), yesterday, yesterday),
            (_("7 days"), today - timedelta(days=6), today),
            (_("This month"), month, today),
        ]
        yield {
            "hidden": carried(changelist, self.expected_parameters()),
            "spans": [
                {
                    "words": words,
                    "selected": (self.start, self.end) == (start, end),
                    "url": changelist.get_query_string(
                        {"from": start and start.isoformat(), "to": end and end.isoformat()}
                    ),
                }
                for words, start, end in spans
            ],
        }


def carried(changelist, without) -> list[tuple[str, str]]:
    """What a filter's form must send along to keep the search and the other filters."""
    return [
        (name, value)
        for name, values in changelist.filter_params.items()
        for value in values
        if name not in (*without, CURSOR)
    ]


class ActForm(forms.Form):
    """A form whose hidden reference makes a double click one act."""

    reference = forms.UUIDField(widget=forms.HiddenInput, initial=uuid.uuid4)


def linked(site, obj, words=None) -> str:
    """`words` (default: its name) as a link to the page of `obj` in the admin, where it has one."""
    if obj is None:
        return "–"
    try:
        url = site.get_model_admin(type(obj)).address(obj)
    except (NotRegistered, NoReverseMatch):
        return format_html("{}", words or obj)
    return html('<a href="{}">{}</a>', url, words or obj)


def code(text) -> str:
    """A code or number, left to right in any language."""
    return html('<bdi dir="ltr" class="code">{}</bdi>', text) if text else "–"


def moment(instant) -> str:
    """Date and time by head office's clock."""
    if instant is None:
        return "–"
    local = timezone.localtime(instant)
    return html(
        '<time class="no-break" datetime="{}">{}, {}</time>',
        instant.isoformat(),
        day(local),
        clock_text(local),
    )


def yes_no(value: bool) -> str:
    return _("Yes") if value else _("No")


def two_lines(first, second) -> str:
    """A cell with its main words and, smaller, what belongs to them."""
    return html('<span class="cell-first">{}</span><span class="cell-second">{}</span>', first, second)
