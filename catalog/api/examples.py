"""Examples of products, for the schema."""

PRODUCT = {
    "id": 3,
    "sku": "SGR-0003",
    "code": "SGR-0003",
    "name": "Shakkar (loose)",
    "name_ur": "شکر (کھلی)",
    "aliases": "shakar gur shakkar",
    "category": "Sugar & Salt",
    "brand": "",
    "unit": "kg",
    "quantity_step": "0.001",
    "selling_price": "165.00",
    "cost_price": "150.00",
    "status": "active",
    "barcodes": ["2100050000000"],
    "packs": [{"name": "Sack of 50 kg", "units_per_pack": "50.000", "barcodes": []}],
    "created_at": "2026-01-05T06:00:00Z",
    "updated_at": "2026-11-01T06:00:00Z",
}
NEW_PRODUCT = {
    "sku": "TEA-0001",
    "name": "Tapal Danedar 190 g",
    "name_ur": "ٹپال دانے دار 190 گرام",
    "category": "Tea & Coffee",
    "brand": "Tapal",
    "selling_price": "420.00",
    "cost_price": "385.00",
    "barcodes": ["8964000123401"],
}
BATCH = {
    "products": [
        NEW_PRODUCT,
        {"sku": "SGR-0003", "selling_price": "170.00"},
        {"sku": "GHE-0001", "barcodes": ["8964000123401"]},
    ],
    "dry_run": False,
}
VERDICTS = {
    "dry_run": False,
    "results": [
        {"index": 0, "sku": "TEA-0001", "status": "created"},
        {"index": 1, "sku": "SGR-0003", "status": "updated"},
        {
            "index": 2,
            "sku": "GHE-0001",
            "status": "rejected",
            "code": "duplicate_barcode",
            "detail": "The barcode 8964000123401 belongs to TEA-0001.",
            "errors": [
                {
                    "pointer": "/products/2/barcodes",
                    "code": "duplicate_barcode",
                    "detail": "The barcode 8964000123401 belongs to TEA-0001.",
                }
            ],
        },
    ],
}
