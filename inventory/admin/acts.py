"""What head office does to stock: the forms that ask for it, and the note in the admin's log."""

from django import forms
from django.contrib.admin.models import ADDITION, CHANGE, LogEntry
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from inventory.models import Reason
from inventory.services import Posted
from stores.admin.fields import Amount
from stores.admin.lists import ActForm


class AdjustForm(ActForm):
    """A correction of one level: by how much, or to how much; with a coded reason."""

    change = forms.DecimalField(
        label=gettext_lazy("Change by"),
        required=False,
        max_digits=14,
        decimal_places=3,
        widget=Amount({"placeholder": "-3"}),
        help_text=gettext_lazy("More: 5. Less: -5."),
    )
    counted = forms.DecimalField(
        label=gettext_lazy("Or: counted now"),
        required=False,
        min_value=0,
        max_digits=14,
        decimal_places=3,
        widget=Amount,
        help_text=gettext_lazy("What is on the shelf; the difference is worked out."),
    )
    seen = forms.DecimalField(widget=forms.HiddenInput, max_digits=14, decimal_places=3)
    reason = forms.ModelChoiceField(
        label=gettext_lazy("Reason"), queryset=Reason.objects.none(), empty_label=gettext_lazy("Choose …")
    )
    notes = forms.CharField(
        label=gettext_lazy("Notes"), required=False, max_length=500, widget=forms.Textarea({"rows": 2})
    )

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["reason"].queryset = Reason.objects.filter(active=True, use__in=Reason.MANUAL).order_by(
            "use", "name"
        )

    def clean(self):
        cleaned = super().clean()
        if not self.errors and (cleaned.get("change") is None) == (cleaned.get("counted") is None):
            raise ValidationError(
                _("Give one of the two: by how much it changes, or how much was counted."), code="one_of_two"
            )
        return cleaned


class ReverseForm(ActForm):
    reason = forms.ModelChoiceField(
        label=gettext_lazy("Reason"), queryset=Reason.objects.none(), empty_label=gettext_lazy("Choose …")
    )
    notes = forms.CharField(
        label=gettext_lazy("Notes"), required=False, max_length=500, widget=forms.Textarea({"rows": 2})
    )

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["reason"].queryset = Reason.objects.filter(active=True, use=Reason.Use.REVERSAL).order_by(
            "name"
        )


def log(request, obj, flag: int, words: str) -> None:
    """Notes in the admin's log what was done through a service."""
    LogEntry.objects.log_actions(request.user.pk, [obj], flag, change_message=words, single_object=True)


def log_posted(request, subject, posted: Posted, words: str) -> None:
    """Notes a posting on what it was done to and on the new document; a repetition is noted once."""
    if not posted.replayed:
        log(request, subject, CHANGE, words)
        log(request, posted.document, ADDITION, words)
