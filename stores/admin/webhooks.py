"""Webhooks of partners and what was sent to them: read, switched off and on, sent again. A secret is shown nowhere here."""

from datetime import datetime

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from stores.admin.lists import CodeFilter, ReadOnlyAdmin, code, linked, moment, two_lines
from stores.admin.requests import KeyFilter
from stores.models import Delivery, Webhook
from stores.services.webhooks import WebhookRefused, retry_delivery, switch_off, switch_on
from stores.templatetags.shop import chip

CHIPS = {"waiting": "low", "delivered": "ok", "failed": "out", "cancelled": "out"}


def address(webhook: Webhook) -> str:
    """The address without its parameters: partners put secrets of their own there."""
    return webhook.url.partition("?")[0]


def titled(webhook: Webhook) -> str:
    return webhook.name or address(webhook)


class ActingAdmin(ReadOnlyAdmin):
    """Shown, and changed by its buttons only; these ask for the right to change."""

    actions_asked_for = ("view", "change")

    def may_act(self, request) -> bool:
        return request.user.has_perm(f"stores.change_{self.opts.model_name}")

    def has_view_permission(self, request, obj=None):
        return super().has_view_permission(request, obj) or self.may_act(request)

    def to_act_on(self, request, object_id):
        if not self.may_act(request):
            raise PermissionDenied
        return self.object_or_404(request, object_id)

    def ask(self, request, obj, act, note: str, said: str, **page):
        """Asks before `act` is done; a refusal is shown on the page that asks."""
        if request.method == "POST":
            try:
                with transaction.atomic():
                    act()
                    self.log_change(request, obj, note)
            except WebhookRefused as refusal:
                return self.act_page(
                    request, obj, **page | {"text": refusal.message, "extra": {"closed": True}}, status=409
                )
            return self.done(request, obj, said)
        return self.act_page(request, obj, **page)


class StateFilter(admin.SimpleListFilter):
    title = gettext_lazy("state")
    parameter_name = "state"

    def lookups(self, request, model_admin):
        return [("on", _("On")), ("failing", _("Failing")), ("off", _("Switched off"))]

    def queryset(self, request, queryset):
        match self.value():
            case "on":
                return queryset.filter(ended="")
            case "failing":
                return queryset.filter(ended="", failing_since__isnull=False)
            case "off":
                return queryset.exclude(ended="")
        return queryset


@admin.register(Webhook)
class WebhookAdmin(ActingAdmin):
    """Where partners want to be told. They are made and changed by their keys, through the API."""

    list_display = ["name_cell", "key_cell", "state", "events_cell", "last"]
    list_filter = [StateFilter, KeyFilter]
    list_select_related = ["key"]
    search_fields = ["name", "url"]
    search_help_text = gettext_lazy("Name or address")
    fields = ["address_cell", "key_cell", "state", "events_cell", "last", "failing", "made"]
    readonly_fields = fields

    def name_of(self, webhook):
        return titled(webhook)

    def acts(self):
        return [("switch-off", "switch_off"), ("switch-on", "switch_on")]

    def tools(self, request, webhook):
        if not self.may_act(request):
            return []
        if webhook.ended:
            return [(self.act_url("switch-on", webhook), _("Switch on"), "")]
        return [(self.act_url("switch-off", webhook), _("Switch off"), "button-danger")]

    def switch_off(self, request, object_id):
        """Nothing more is queued, and what waits is cancelled."""
        webhook = self.to_act_on(request, object_id)
        return self.ask(
            request,
            webhook,
            lambda: switch_off(webhook=webhook),
            "Switched off.",
            _("The webhook “%(name)s” is switched off.") % {"name": titled(webhook)},
            title=_("Switch off the webhook “%(name)s”") % {"name": titled(webhook)},
            button=_("Switch off"),
            danger=True,
            text=_("Nothing more is sent, and what waits is cancelled. The partner can switch it on again."),
        )

    def switch_on(self, request, object_id):
        """It tells of what changes from now on."""
        webhook = self.to_act_on(request, object_id)
        return self.ask(
            request,
            webhook,
            lambda: switch_on(webhook=webhook),
            "Switched on.",
            _("The webhook “%(name)s” is switched on.") % {"name": titled(webhook)},
            title=_("Switch on the webhook “%(name)s”") % {"name": titled(webhook)},
            button=_("Switch on"),
            text=_(
                "It tells of what changes from now on. What was cancelled is sent again by the partner’s own request."
            ),
        )

    @admin.display(description=gettext_lazy("webhook"))
    def name_cell(self, webhook):
        return two_lines(titled(webhook), code(address(webhook)))

    @admin.display(description=gettext_lazy("address"))
    def address_cell(self, webhook):
        return code(address(webhook))

    @admin.display(description=gettext_lazy("API key"))
    def key_cell(self, webhook):
        return two_lines(linked(self.admin_site, webhook.key, webhook.key.name), code(webhook.key.shown))

    @admin.display(description=gettext_lazy("state"))
    def state(self, webhook):
        if webhook.ended:
            return chip("out", webhook.get_ended_display())
        return chip("low", _("Failing")) if webhook.failing_since else chip("ok", _("On"))

    @admin.display(description=gettext_lazy("tells of"))
    def events_cell(self, webhook):
        return code(", ".join(webhook.events))

    @admin.display(description=gettext_lazy("last delivered"))
    def last(self, webhook):
        return moment(webhook.delivered_at)

    @admin.display(description=gettext_lazy("failing since"))
    def failing(self, webhook):
        return moment(webhook.failing_since)

    @admin.display(description=gettext_lazy("made"))
    def made(self, webhook):
        return moment(webhook.created_at)


class WebhookFilter(CodeFilter):
    """By a webhook: its number, name or address."""

    title = gettext_lazy("webhook")
    field = parameter_name = "webhook"

    def find(self, text):
        if text.isascii() and text.isdigit() and len(text) < 19:
            return Webhook.objects.filter(pk=text).first()
        named = list(Webhook.objects.filter(name=text)[:2]) or list(Webhook.objects.filter(url=text)[:2])
        return named[0] if len(named) == 1 else None


@admin.register(Delivery)
class DeliveryAdmin(ActingAdmin):
    """Messages to webhooks, newest first. Kept for a month."""

    list_display = ["message", "webhook_cell", "state", "tries", "when"]
    list_filter = [WebhookFilter, "status"]
    list_select_related = ["webhook__key"]
    search_fields = ["event_id__exact"]
    search_help_text = gettext_lazy("The whole message id; with its webhook it is found faster")
    fields = ["message", "webhook_cell", "state", "tries", "when", "next_cell", "log_cell"]
    readonly_fields = fields

    def name_of(self, delivery):
        return delivery.event_id

    def acts(self):
        return [("retry", "retry")]

    def tools(self, request, delivery):
        return [(self.act_url("retry", delivery), _("Send again"), "")] if self.may_act(request) else []

    def retry(self, request, object_id):
        """Sends the message again, under its id."""
        delivery = self.to_act_on(request, object_id)
        return self.ask(
            request,
            delivery,
            lambda: retry_delivery(delivery=delivery),
            "Sent again.",
            _("The message %(id)s is sent again.") % {"id": delivery.event_id},
            title=_("Send the message %(id)s again") % {"id": delivery.event_id},
            button=_("Send again"),
            text=_("It keeps its id, by which the partner knows what he has seen."),
        )

    @admin.display(description=gettext_lazy("message"))
    def message(self, delivery):
        return two_lines(code(delivery.event_id), code(delivery.type))

    @admin.display(description=gettext_lazy("webhook"))
    def webhook_cell(self, delivery):
        webhook = delivery.webhook
        return two_lines(linked(self.admin_site, webhook, titled(webhook)), webhook.key.name)

    @admin.display(description=gettext_lazy("status"))
    def state(self, delivery):
        return chip(CHIPS[delivery.status], delivery.get_status_display())

    @admin.display(description=gettext_lazy("queued"))
    def when(self, delivery):
        return moment(delivery.created_at)

    @admin.display(description=gettext_lazy("next try"))
    def next_cell(self, delivery):
        return moment(delivery.due_at) if delivery.status == Delivery.Status.WAITING else "–"

    @admin.display(description=gettext_lazy("log"))
    def log_cell(self, delivery):
        if not delivery.log:
            return "–"
        rows = (
            (
                moment(datetime.fromisoformat(entry["at"])),
                code(entry["status"] or entry["error"]),
                code(f"{entry['milliseconds']} ms"),
            )
            for entry in reversed(delivery.log)
        )
        return format_html("<ol>{}</ol>", format_html_join("", "<li>{} {} {}</li>", rows))
