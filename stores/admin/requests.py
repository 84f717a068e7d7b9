"""The log of what partners asked: read here, written by the API alone."""

from datetime import datetime, time, timedelta

from django.contrib import admin
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from stores.admin.lists import CodeFilter, DayFilter, ReadOnlyAdmin, code, linked, moment, two_lines
from stores.models import ApiKey, ApiRequest
from stores.models.keys import without_prefix
from stores.templatetags.shop import chip


class KeyFilter(CodeFilter):
    """By a key: its ten public letters."""

    title = gettext_lazy("API key")
    field = parameter_name = "key"
    hint = "kir_live_…"

    def find(self, text):
        return ApiKey.objects.filter(public_id=without_prefix(text)[:10]).first()


class EndingFilter(admin.SimpleListFilter):
    title = gettext_lazy("answer")
    parameter_name = "status"
    RANGES = {"2xx": (200, 399), "4xx": (400, 499), "5xx": (500, 599)}

    def lookups(self, request, model_admin):
        return [("2xx", _("Taken")), ("4xx", _("Refused")), ("5xx", _("Failed"))]

    def queryset(self, request, queryset):
        return (
            queryset.filter(status__range=self.RANGES[self.value()])
            if self.value() in self.RANGES
            else queryset
        )


class MomentDays(DayFilter):
    """Days of an instant, by head office's clock."""

    def queryset(self, request, queryset):
        if self.wrong:
            return queryset.none()
        zone = timezone.get_current_timezone()
        if self.start:
            queryset = queryset.filter(at__gte=datetime.combine(self.start, time(0), zone))
        if self.end:
            queryset = queryset.filter(at__lt=datetime.combine(self.end + timedelta(days=1), time(0), zone))
        return queryset


@admin.register(ApiRequest)
class ApiRequestAdmin(ReadOnlyAdmin):
    """Requests of all keys, newest first. Kept for some days."""

    list_display = ["what", "answer", "request_cell", "key_cell", "when"]
    list_filter = [KeyFilter, MomentDays, EndingFilter]
    list_select_related = ["key"]
    search_fields = ["request_id__exact"]
    search_help_text = gettext_lazy("The request id, whole; with its day or key it is found faster")
    fields = ["what", "answer", "code_cell", "request_cell", "key_cell", "when", "took", "address"]
    readonly_fields = fields

    @admin.display(description=gettext_lazy("request"))
    def what(self, row):
        return code(f"{row.method} {row.path}")

    @admin.display(description=gettext_lazy("answer"))
    def answer(self, row):
        css = "out" if row.status >= 500 else "low" if row.status >= 400 else "ok"
        return chip(css, str(row.status))

    @admin.display(description=gettext_lazy("code"))
    def code_cell(self, row):
        return code(row.code)

    @admin.display(description=gettext_lazy("request id"))
    def request_cell(self, row):
        return two_lines(code(row.request_id), code(row.code) if row.code else "")

    @admin.display(description=gettext_lazy("API key"))
    def key_cell(self, row):
        return two_lines(linked(self.admin_site, row.key, row.key.name), code(row.key.shown))

    @admin.display(description=gettext_lazy("time"))
    def when(self, row):
        return moment(row.at)

    @admin.display(description=gettext_lazy("took"))
    def took(self, row):
        return code(f"{row.milliseconds} ms")
