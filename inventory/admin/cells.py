"""What several lists show alike: which store, and which product."""

from stores.admin.lists import code, two_lines
from stores.templatetags.shop import shop_name

# What the two read.
STORE_AND_PRODUCT = (
    "store__code", "store__name", "store__name_ur", "store__timezone", "product__sku", "product__name", "product__name_ur", "product__unit",
)  # fmt: skip


def store_cell(row) -> str:
    return two_lines(code(row.store.code), shop_name(row.store))


def product_cell(row) -> str:
    return two_lines(row.product.label, code(row.product.sku))
