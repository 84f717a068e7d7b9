"""What a new system finds ready: head-office groups and coded reasons."""

READY = {
    # group: {model: actions}
    "Catalogue editor": {
        "catalog.category": "view add change",
        "catalog.product": "view add change",
        "catalog.productprice": "view",
        "catalog.barcode": "view add change delete",
        "catalog.pack": "view add change",
        "catalog.storeprice": "view add",
        "stores.store": "view",
    },
    "Operations": {
        "stores.user": "view add change",
        "stores.store": "view add change",
        "stores.membership": "view add change delete",
        "catalog.category": "view",
        "catalog.product": "view",
        "catalog.productprice": "view",
        "catalog.barcode": "view",
        "catalog.pack": "view",
        "catalog.storeprice": "view",
        "inventory.reason": "view add change",
        "inventory.stocklevel": "view change",
        "inventory.document": "view add",
        "inventory.movement": "view",
        "inventory.lowstockalert": "view",
        "reports.dailystock": "view",
    },
    "Auditor": {
        "stores.store": "view",
        "stores.membership": "view",
        "catalog.category": "view",
        "catalog.product": "view",
        "catalog.productprice": "view",
        "catalog.barcode": "view",
        "catalog.pack": "view",
        "catalog.storeprice": "view",
        "inventory.reason": "view",
        "inventory.stocklevel": "view",
        "inventory.document": "view",
        "inventory.movement": "view",
        "inventory.lowstockalert": "view",
        "reports.dailystock": "view",
        "admin.logentry": "view",
    },
    "Partner manager": {
        "stores.apikey": "view add change",
        "stores.apirequest": "view",
        "stores.webhook": "view change",
        "stores.delivery": "view change",
        "stores.store": "view",
    },
    # Answers questions of shops and partners, so it sees what they did, and changes nothing: who rotates a key reads its
    # secret, and who revokes one stops a till. Both are the partner manager's, and the owner's on his own page.
    "Support": {
        "stores.store": "view",
        "stores.membership": "view",
        "stores.user": "view",
        "stores.apikey": "view",
        "stores.apirequest": "view",
        "stores.webhook": "view",
        "stores.delivery": "view",
        "catalog.category": "view",
        "catalog.product": "view",
        "catalog.productprice": "view",
        "catalog.barcode": "view",
        "catalog.pack": "view",
        "catalog.storeprice": "view",
        "inventory.reason": "view",
        "inventory.stocklevel": "view",
        "inventory.document": "view",
        "inventory.movement": "view",
        "inventory.lowstockalert": "view",
    },
}


def create_ready_data(using="default", **kwargs):
    """Makes the groups that are missing, with their permissions. A group that head office has changed is left alone."""
    from django.apps import apps
    from django.contrib.auth.management import create_permissions
    from django.contrib.auth.models import Group, Permission

    from inventory.models import Reason

    for config in apps.get_app_configs():
        create_permissions(config, verbosity=0, using=using)
    for name, rights in READY.items():
        group, new = Group.objects.using(using).get_or_create(name=name)
        if new:
            wanted = {
                f"{action}_{model.split('.')[1]}": model.split(".")[0]
                for model, actions in rights.items()
                for action in actions.split()
            }
            found = Permission.objects.using(using).filter(
                codename__in=wanted, content_type__app_label__in=set(wanted.values())
            )
            group.permissions.set(found)
    for code, english, urdu, use in REASONS:
        Reason.objects.using(using).get_or_create(
            code=code, defaults={"name": english, "name_ur": urdu, "use": use}
        )


REASONS = [
    ("COUNTED", "Counted again", "دوبارہ گنا گیا", "adjustment"),
    ("MISSING", "Missing", "کم نکلا", "adjustment"),
    ("FOUND", "Found", "زیادہ ملا", "adjustment"),
    ("ENTRY_ERROR", "Entered wrongly", "غلط اندراج", "adjustment"),
    ("DAMAGED", "Damaged", "خراب ہوا", "wastage"),
    ("EXPIRED", "Expired", "میعاد ختم", "wastage"),
    ("SPILLED", "Spilled or leaked", "گر گیا یا بہہ گیا", "wastage"),
    ("OWN_USE", "Own use", "اپنا استعمال", "own_use"),
    ("TO_SUPPLIER", "Returned to supplier", "سپلائر کو واپس", "supplier_return"),
    ("MISTAKE", "Entered by mistake", "غلطی سے درج ہوا", "reversal"),
    ("CUSTOMER_LEFT", "Customer changed his mind", "گاہک نے ارادہ بدلا", "reversal"),
    ("DUPLICATE", "Entered twice", "دو بار درج ہوا", "reversal"),
]
