-- Physical keys of store data lead with store_id; links inside a store are checked together with the store, so that a
-- line can never belong to, reverse or return something of another store.
DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['inventory_document', 'inventory_movement', 'inventory_alertdigest', 'inventory_digestmail'] LOOP
    EXECUTE format('ALTER TABLE %I DROP CONSTRAINT %I, ADD PRIMARY KEY (store_id, id)', t, t || '_pkey');
  END LOOP;
END $$;

-- A level is known by store and product. No other key begins with the store: before the first ANALYZE the planner would
-- take it for as good as the exact one, and read the whole store for each posting.
ALTER TABLE inventory_stocklevel DROP CONSTRAINT inventory_stocklevel_pkey, DROP CONSTRAINT level_once,
  ADD CONSTRAINT level_once PRIMARY KEY (store_id, product_id);

ALTER TABLE inventory_lowstockalert DROP CONSTRAINT inventory_lowstockalert_pkey, ADD PRIMARY KEY (store_id, product_id, id);

ALTER TABLE inventory_document
  ADD CONSTRAINT document_reverses_own_store FOREIGN KEY (store_id, reverses_id) REFERENCES inventory_document (store_id, id),
  ADD CONSTRAINT document_returns_own_store FOREIGN KEY (store_id, returns_id) REFERENCES inventory_document (store_id, id);
ALTER TABLE inventory_movement
  ADD CONSTRAINT movement_document_own_store FOREIGN KEY (store_id, document_id) REFERENCES inventory_document (store_id, id),
  ADD CONSTRAINT movement_reverses_own_store FOREIGN KEY (store_id, reverses_id) REFERENCES inventory_movement (store_id, id),
  ADD CONSTRAINT movement_returns_own_store FOREIGN KEY (store_id, returns_id) REFERENCES inventory_movement (store_id, id);
ALTER TABLE inventory_lowstockalert
  ADD CONSTRAINT alert_digest_own_store FOREIGN KEY (store_id, digest_id) REFERENCES inventory_alertdigest (store_id, id);
ALTER TABLE inventory_digestmail
  ADD CONSTRAINT digest_mail_own_store FOREIGN KEY (store_id, digest_id) REFERENCES inventory_alertdigest (store_id, id);

-- A level changes with every sale: room on the page keeps the new version beside the old one (HOT, no index is touched).
ALTER TABLE inventory_stocklevel SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);
