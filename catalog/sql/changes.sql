-- Every change of a product, its barcodes or packs is noted for the feed, by whatever road it came. This file may be
-- applied again at any time.
CREATE OR REPLACE FUNCTION catalog_note_products() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO stores_change (type, subject) SELECT 'product.updated', id FROM touched ORDER BY id;
  RETURN NULL;
END $$;
CREATE OR REPLACE FUNCTION catalog_note_products_of() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO stores_change (type, subject)
    SELECT DISTINCT 'product.updated', product_id FROM touched ORDER BY product_id;
  RETURN NULL;
END $$;

DO $$
DECLARE
  what record;
BEGIN
  FOR what IN
    SELECT t.name AS target, o.act, o.rows, t.noted
    FROM (VALUES ('catalog_product', 'catalog_note_products'), ('catalog_barcode', 'catalog_note_products_of'),
                 ('catalog_pack', 'catalog_note_products_of')) AS t (name, noted),
         (VALUES ('INSERT', 'NEW'), ('UPDATE', 'NEW'), ('DELETE', 'OLD')) AS o (act, rows)
    WHERE t.name <> 'catalog_product' OR o.act <> 'DELETE'
  LOOP
    EXECUTE format(
      'CREATE OR REPLACE TRIGGER %I AFTER %s ON %I REFERENCING %s TABLE AS touched FOR EACH STATEMENT EXECUTE FUNCTION %I()',
      'changes_' || lower(what.act), what.act, what.target, what.rows, what.noted);
  END LOOP;
END $$;
