"""Where a partner wants to be told of changes, and what was sent there. A key sees its own webhooks only."""

from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import mixins, serializers
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.response import Response

from stores.api.base import KeyViews, check_match, entity_tag
from stores.api.fields import Choice, Code, Flag, Instant, Strict, StrictList, Text
from stores.authentication.problems import Fault, Invalid, Problem, fault
from stores.filters import DeliveryFilter
from stores.models import ApiKey, Change, Delivery, Webhook
from stores.services import webhooks as services
from stores.services.addresses import LONGEST_URL
from stores.services.deliveries import LOGGED

WEBHOOK = {
    "id": 12,
    "url": "https://partner.example.com/kiryana",
    "events": ["movement.created", "stock.out"],
    "name": "Order desk",
    "enabled": True,
    "ended": None,
    "failing_since": None,
    "delivered_at": "2026-11-22T04:41:10.031000Z",
    "old_secret_until": None,
    "created_at": "2026-11-01T06:00:00Z",
}
SECRET = {"secret": "whsec_VGhpcyBpcyBhbiBleGFtcGxlIG9mIGEgc2VjcmV0ISE="}
NEW = {"url": WEBHOOK["url"], "events": WEBHOOK["events"], "name": WEBHOOK["name"]}
DELIVERY = {
    "id": 7003,
    "event_id": "evt_5512",
    "type": "movement.created",
    "status": "waiting",
    "tries": 1,
    "next_try_at": "2026-11-22T04:41:16Z",
    "created_at": "2026-11-22T04:41:10Z",
    "delivered_at": None,
    "log": [{"at": "2026-11-22T04:41:10.412Z", "status": 503, "milliseconds": 212, "error": ""}],
}
TESTED = DELIVERY | {
    "event_id": "evt_test_5d0c9f0e8a5b4a0c", "type": services.TEST, "tries": 0, "next_try_at": "2026-11-22T04:41:10Z",
    "log": [],
}  # fmt: skip
ID = OpenApiParameter("id", int, OpenApiParameter.PATH, description="The number of the webhook.")
REFUSED = ("insufficient_scope", "duplicate_webhook")


def example(name: str, value, **options) -> OpenApiExample:
    return OpenApiExample(name, value, **({"response_only": True} | options))


# -- What is sent and shown ---------------------------------------------------------------------------------------------
class WebAddress(Code):
    """An address; `services.webhooks.checked_url` says which are taken."""

    def to_internal_value(self, data):
        if not isinstance(data, str):
            self.fail("wrong_type")
        if not data:
            self.fail("blank")
        return data


class WebhookInput(Strict):
    """A new webhook."""

    url = WebAddress(
        max_length=LONGEST_URL,
        help_text="https:// with a public DNS name, on port 443 or 8443. No IP address, user name or fragment.",
    )
    events = StrictList(
        child=Choice(choices=Change.Type.choices),
        min_length=1,
        max_length=20,
        help_text="What it tells of; the key needs the scope that reads the same.",
    )
    name = Text(max_length=100, blank=True, required=False, help_text="For yourself.")


class WebhookChange(WebhookInput):
    """What is to change; the rest stays."""

    fewest = 1
    url = WebAddress(max_length=LONGEST_URL, required=False)
    events = StrictList(
        child=Choice(choices=Change.Type.choices), min_length=1, max_length=20, required=False
    )
    enabled = Flag(
        required=False,
        help_text="false: nothing more is queued and what waits is cancelled. true: it tells of what changes from now on.",
    )


class DeliveryId(serializers.IntegerField):
    """A whole number, not a text of one."""

    def to_internal_value(self, data):
        if isinstance(data, bool) or not isinstance(data, int):
            self.fail("invalid")
        if not 0 < data < 2**63:
            raise ValidationError(_("This webhook has no such delivery."), code="invalid_choice")
        return data


class RetryInput(Strict):
    """What is sent again: one delivery, or all that failed or was cancelled of those queued since a time."""

    default_error_messages = {"one_of": gettext_lazy("Send either delivery or since.")}
    one_of = (("delivery", "since"),)

    delivery = DeliveryId(required=False, min_value=1, help_text="Its id; whatever became of it.")
    since = Instant(required=False)

    def to_internal_value(self, data):
        given = super().to_internal_value(data)
        if len(given) != 1:
            raise ValidationError(
                {"non_field_errors": [ErrorDetail(self.error_messages["one_of"], "invalid_choice")]}
            )
        return given


class EmptyInput(Strict):
    """Nothing: an empty object."""


class WebhookSerializer(serializers.ModelSerializer):
    """A webhook, without its secret."""

    events = serializers.ListField(child=serializers.ChoiceField(Change.Type.choices))
    enabled = serializers.SerializerMethodField(help_text="Whether messages are queued for it.")
    ended = serializers.SerializerMethodField(help_text="Why it is switched off.")
    old_secret_until = serializers.SerializerMethodField(
        help_text="Until then the secret before the last rotation signs too."
    )

    class Meta:
        model = Webhook
        fields = [
            "id", "url", "events", "name", "enabled", "ended", "failing_since", "delivered_at", "old_secret_until",
            "created_at",
        ]  # fmt: skip
        read_only_fields = fields

    def get_enabled(self, webhook) -> bool:
        return not webhook.ended

    @extend_schema_field({"type": ["string", "null"], "enum": [*filter(None, Webhook.Ended.values), None]})
    def get_ended(self, webhook):
        return webhook.ended or None

    @extend_schema_field({"type": ["string", "null"], "format": "date-time"})
    def get_old_secret_until(self, webhook):
        return webhook.old_until and serializers.DateTimeField().to_representation(webhook.old_until)


class NewSecretSerializer(WebhookSerializer):
    """A webhook with its new secret, which is shown this once."""

    secret = serializers.CharField(read_only=True)

    class Meta(WebhookSerializer.Meta):
        fields = [*WebhookSerializer.Meta.fields, "secret"]
        read_only_fields = fields


class TrySerializer(serializers.Serializer):
    """One try to deliver a message."""

    at = serializers.DateTimeField()
    status = serializers.IntegerField(
        allow_null=True, help_text="The HTTP status of the answer, if one came."
    )
    milliseconds = serializers.IntegerField()
    error = serializers.CharField(
        help_text="Empty where a whole answer came. Else timeout, name_not_found, address_not_public, connection_failed,"
        " tls_failed, answer_too_long, answer_broken, url_refused, secret_lost, not_told or no_longer_there."
    )


class DeliverySerializer(serializers.ModelSerializer):
    """One message to one webhook."""

    type = serializers.ChoiceField([*Change.Type.values, services.TEST])
    next_try_at = serializers.SerializerMethodField()
    log = TrySerializer(many=True, help_text=f"The last {LOGGED} tries.")

    class Meta:
        model = Delivery
        fields = [
            "id", "event_id", "type", "status", "tries", "next_try_at", "created_at", "delivered_at", "log",
        ]  # fmt: skip
        read_only_fields = fields

    @extend_schema_field({"type": ["string", "null"], "format": "date-time"})
    def get_next_try_at(self, delivery):
        if delivery.status != Delivery.Status.WAITING:
            return None
        return serializers.DateTimeField().to_representation(delivery.due_at)


class RetriedSerializer(serializers.Serializer):
    """How much is sent again."""

    retried = serializers.IntegerField(help_text="Messages that wait again because of this call.")


def problem_of(refusal: services.WebhookRefused) -> Problem:
    """The answer of the API to what the services refused."""
    found = Fault(f"/{refusal.field}" if refusal.field else "", refusal.code, refusal.message)
    if isinstance(refusal, (services.ScopeMissing, services.DuplicateWebhook, services.WebhookEnded)):
        return Problem(refusal.code, refusal.message, [found])
    return Invalid([found])


def tag_of(webhook: Webhook) -> str:
    """The version of what a partner sets himself: what is delivered meanwhile is no matter."""
    return entity_tag(
        {
            "id": webhook.pk,
            "url": webhook.url,
            "events": webhook.events,
            "name": webhook.name,
            "ended": webhook.ended,
        }
    )


# -- Addresses ------------------------------------------------------------------------------------------------------------
class OwnWebhooks(KeyViews):
    """What all addresses beneath /webhooks/ share: the webhooks of the asking key."""

    http_method_names = [*KeyViews.http_method_names, "delete"]
    lookup_field = lookup_url_kwarg = "id"

    def own(self):
        return Webhook.objects.filter(key=self.key).select_related("key")

    def webhook(self) -> Webhook:
        return get_object_or_404(self.own(), pk=self.kwargs["id"])


@extend_schema(tags=["webhooks"])
class WebhookViews(mixins.ListModelMixin, OwnWebhooks):
    scopes = dict.fromkeys(
        ("list", "create", "retrieve", "partial_update", "destroy", "test", "rotate", "retry"),
        ApiKey.Scope.WEBHOOKS_MANAGE,
    )
    problems = {
        "create": REFUSED,
        "partial_update": (*REFUSED, "webhook_ended", "version_conflict"),
        "test": ("webhook_ended",),
        "retry": ("webhook_ended",),
    }
    tagged = frozenset({"retrieve", "create", "partial_update", "rotate"})
    queryset = Webhook.objects.none()
    serializer_class = WebhookSerializer
    orderings = ("id", "-id")

    def get_queryset(self):
        return self.own()

    def shown(self, webhook: Webhook, status: int = 200, secret: str | None = None) -> Response:
        made = WebhookSerializer if secret is None else NewSecretSerializer
        if secret is not None:
            webhook.secret = secret
        return Response(made(webhook).data, status, headers={"ETag": tag_of(webhook)})

    @extend_schema(summary="List webhooks", examples=[example("A webhook", WEBHOOK)])
    def list(self, request, *args, **kwargs):
        """The webhooks of this key."""
        return super().list(request, *args, **kwargs)

    @extend_schema(
        summary="Create a webhook",
        request=WebhookInput,
        responses={201: NewSecretSerializer},
        examples=[
            example("A new webhook", NEW, request_only=True, response_only=False),
            example("Its secret is shown this once", WEBHOOK | {"delivered_at": None} | SECRET),
        ],
    )
    def create(self, request):
        """Tells an address of what changes from now on, in messages signed after Standard Webhooks.

        The answer shows the secret that signs; it is shown nowhere else.
        """
        given = self.read(WebhookInput)
        try:
            webhook, secret = services.create_webhook(key=self.key, **given)
        except services.WebhookRefused as refusal:
            raise problem_of(refusal) from refusal
        return self.shown(webhook, 201, secret)

    @extend_schema(summary="One webhook", parameters=[ID], examples=[example("A webhook", WEBHOOK)])
    def retrieve(self, request, id):
        """One webhook of this key; any other is not found."""
        return self.shown(self.webhook())

    @extend_schema(
        summary="Change a webhook",
        parameters=[ID],
        request=WebhookChange,
        responses=WebhookSerializer,
        examples=[
            example("Switched off", {"enabled": False}, request_only=True, response_only=False),
            example("A webhook", WEBHOOK | {"enabled": False, "ended": "by_hand"}),
        ],
    )
    def partial_update(self, request, id):
        """Another address, name or choice of events; switched off or on. What is not sent stays.

        With If-Match it changes only if it is still the version of that ETag.
        """
        webhook, given = self.webhook(), self.read(WebhookChange)
        try:
            webhook = services.change_webhook(
                webhook=webhook,
                check=lambda current: check_match(request, tag_of(current), required=False),
                **given,
            )
        except services.WebhookRefused as refusal:
            raise problem_of(refusal) from refusal
        return self.shown(webhook)

    @extend_schema(summary="Delete a webhook", parameters=[ID], request=None, responses={204: None})
    def destroy(self, request, id):
        """The webhook is gone, with the log of what was sent to it."""
        services.delete_webhook(webhook=self.webhook())
        return Response(status=204)

    @extend_schema(
        summary="Send a test",
        parameters=[ID],
        request=EmptyInput,
        responses={202: DeliverySerializer},
        examples=[
            example("Nothing more is needed", {}, request_only=True, response_only=False),
            example("A test that waits", TESTED, status_codes=["202"]),
        ],
    )
    def test(self, request, id):
        """Queues a message of type webhook.test. While one waits, no second is made and that one is the answer."""
        webhook = self.webhook()
        self.read(EmptyInput)
        try:
            delivery = services.send_test(webhook=webhook)
        except services.WebhookRefused as refusal:
            raise problem_of(refusal) from refusal
        return Response(DeliverySerializer(delivery).data, 202)

    @extend_schema(
        summary="Another secret",
        parameters=[ID],
        request=EmptyInput,
        responses=NewSecretSerializer,
        examples=[
            example("Nothing more is needed", {}, request_only=True, response_only=False),
            example(
                "The new secret is shown this once",
                WEBHOOK | {"old_secret_until": "2026-11-23T04:45:00Z"} | SECRET,
            ),
        ],
    )
    def rotate(self, request, id):
        """Makes a new secret, shown this once; for 24 hours messages are signed with both.

        Rotated again within that time, the secret from before the first rotation goes on signing until its time is up,
        and the one between is dropped.
        """
        webhook = self.webhook()
        self.read(EmptyInput)
        webhook, secret = services.rotate_secret(webhook=webhook)
        return self.shown(webhook, secret=secret)

    @extend_schema(
        summary="Send again",
        parameters=[ID],
        request=RetryInput,
        responses={202: RetriedSerializer},
        examples=[
            example("One delivery", {"delivery": 7003}, request_only=True, response_only=False),
            example(
                "All that was lost since",
                {"since": "2026-11-21T00:00:00+05:00"},
                request_only=True,
                response_only=False,
            ),
            example("They wait again", {"retried": 17}, status_codes=["202"]),
        ],
    )
    def retry(self, request, id):
        """Sends messages again, each under the id it had.

        `delivery` names one, also one that was delivered; `since` takes all that failed or was cancelled of those queued
        from then on, the oldest 10,000 at once.
        """
        webhook, given = self.webhook(), self.read(RetryInput)
        try:
            if "since" in given:
                retried = services.retry_since(webhook=webhook, since=given["since"])
            else:
                delivery = Delivery.objects.filter(webhook=webhook, pk=given["delivery"]).first()
                if delivery is None:
                    raise fault("/delivery", "invalid_choice", _("This webhook has no such delivery."))
                services.retry_delivery(delivery=delivery)
                retried = 1
        except services.WebhookRefused as refusal:
            raise problem_of(refusal) from refusal
        return Response({"retried": retried}, 202)


@extend_schema(tags=["webhooks"])
class DeliveryViews(mixins.ListModelMixin, OwnWebhooks):
    scopes = {"list": ApiKey.Scope.WEBHOOKS_MANAGE}
    queryset = Delivery.objects.none()
    serializer_class = DeliverySerializer
    filterset_class = DeliveryFilter
    orderings = ("-id", "id")

    def get_queryset(self):
        return Delivery.objects.filter(webhook=self.webhook())

    @extend_schema(summary="List deliveries", parameters=[ID], examples=[example("A delivery", DELIVERY)])
    def list(self, request, *args, **kwargs):
        """What was sent to a webhook or waits for it, and how each try ended. Kept for 30 days."""
        return super().list(request, *args, **kwargs)
