-- Posting: inserting a movement is the only way stock changes (R1). This file may be applied again at any time.

-- Moving average cost (R7) after `quantity` units at `cost` join (or, when a delivery is voided, leave) a level.
-- Newcomers at or below zero: their cost. At exactly zero after goods left: kept. 4 decimals, half up. A void whose cost would
-- leave less than nothing in value keeps the average.
CREATE OR REPLACE FUNCTION inventory_average_cost(on_hand numeric, average numeric, quantity numeric, cost numeric)
RETURNS numeric LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT CASE
    WHEN cost IS NULL THEN average
    WHEN quantity > 0 AND on_hand <= 0 THEN cost
    WHEN on_hand + quantity <= 0 OR on_hand * average + quantity * cost < 0 THEN average
    ELSE round((on_hand * average + quantity * cost) / (on_hand + quantity), 4)
  END
$$;

-- What levels and documents tell the feed and the webhooks, in the transaction that made it so (stores/sql/changes.sql).
CREATE OR REPLACE FUNCTION inventory_note_level(type text, store bigint, product bigint, on_hand numeric, reorder_point numeric)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO stores_change (type, store_id, subject, data)
    VALUES (type, store, product, jsonb_build_object('on_hand', on_hand::text, 'reorder_point', reorder_point::text));
END $$;

CREATE OR REPLACE FUNCTION inventory_note_documents() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO stores_change (type, store_id, subject) SELECT 'movement.created', store_id, id FROM written ORDER BY id;
  RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER document_noted AFTER INSERT ON inventory_document REFERENCING NEW TABLE AS written
  FOR EACH STATEMENT EXECUTE FUNCTION inventory_note_documents();

-- Low-stock alerts (R15) open and close in the transaction that crosses the reorder point, whoever moved which of the two.
CREATE OR REPLACE FUNCTION inventory_crossed(store bigint, product bigint, on_hand numeric, reorder_point numeric, listed boolean)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF on_hand > reorder_point THEN
    UPDATE inventory_lowstockalert SET closed_at = now()
      WHERE store_id = store AND product_id = product AND closed_at IS NULL;
  ELSIF listed THEN
    INSERT INTO inventory_lowstockalert (store_id, product_id, on_hand, reorder_point)
      VALUES (store, product, on_hand, reorder_point)
      ON CONFLICT (store_id, product_id) WHERE closed_at IS NULL DO NOTHING;
    IF FOUND THEN
      PERFORM inventory_note_level('stock.low', store, product, on_hand, reorder_point);
    END IF;
  END IF;
END $$;

CREATE OR REPLACE FUNCTION inventory_post_movement() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  level record;
  origin inventory_movement%ROWTYPE;
  done numeric;
BEGIN
  -- Rare roads first: what undoes or returns an earlier line takes its cost from there. The level is locked before
  -- anything is read, so that two returns of one sale cannot both see it as not yet returned.
  IF NEW.reverses_id IS NOT NULL OR NEW.kind = 'sale_return' THEN
    PERFORM FROM inventory_stocklevel WHERE store_id = NEW.store_id AND product_id = NEW.product_id FOR UPDATE;
  END IF;

  IF NEW.reverses_id IS NOT NULL THEN
    SELECT * INTO origin FROM inventory_movement WHERE store_id = NEW.store_id AND id = NEW.reverses_id;
    IF NOT FOUND OR origin.reverses_id IS NOT NULL
       OR (origin.product_id, origin.kind, origin.quantity) IS DISTINCT FROM (NEW.product_id, NEW.kind, -NEW.quantity)
       OR (origin.unit_price, origin.line_total) IS DISTINCT FROM (NEW.unit_price, NEW.line_total) THEN
      RAISE EXCEPTION 'A reversal must mirror the movement it reverses.'
        USING ERRCODE = 'check_violation', CONSTRAINT = 'movement_mirrors_what_it_reverses';
    END IF;
    IF origin.kind = 'sale' THEN
      SELECT sum(quantity) INTO done FROM inventory_movement WHERE store_id = NEW.store_id AND returns_id = origin.id;
      IF done <> 0 THEN
        RAISE EXCEPTION 'A sale that was returned in part cannot be voided.'
          USING ERRCODE = 'check_violation', CONSTRAINT = 'movement_returned_already';
      END IF;
    END IF;
    NEW.unit_cost := origin.unit_cost;
    NEW.cost_estimated := origin.cost_estimated;
    NEW.returns_id := origin.returns_id;
  ELSIF NEW.returns_id IS NOT NULL THEN
    SELECT * INTO origin FROM inventory_movement WHERE store_id = NEW.store_id AND id = NEW.returns_id;
    IF NOT FOUND OR origin.kind <> 'sale' OR origin.reverses_id IS NOT NULL OR origin.product_id <> NEW.product_id THEN
      RAISE EXCEPTION 'A return must name a sale of the same product.'
        USING ERRCODE = 'check_violation', CONSTRAINT = 'movement_returns_a_sale';
    END IF;
    SELECT coalesce(sum(quantity), 0) INTO done FROM inventory_movement
      WHERE store_id = NEW.store_id AND returns_id = origin.id;
    IF done + NEW.quantity > -origin.quantity
       OR EXISTS (SELECT FROM inventory_movement WHERE store_id = NEW.store_id AND reverses_id = origin.id) THEN
      RAISE EXCEPTION 'More is returned than was sold and not yet returned.'
        USING ERRCODE = 'check_violation', CONSTRAINT = 'movement_returned_at_most_sold';
    END IF;
    NEW.unit_cost := origin.unit_cost;
    NEW.cost_estimated := origin.cost_estimated;
  ELSIF NEW.kind = 'sale_return' THEN
    -- Without the bill: at most what this store ever sold and did not take back, at the cost of the newest sale.
    SELECT -coalesce(sum(quantity), 0) INTO done FROM inventory_movement
      WHERE store_id = NEW.store_id AND product_id = NEW.product_id AND kind IN ('sale', 'sale_return');
    IF NEW.quantity > done THEN
      RAISE EXCEPTION 'More is returned than was sold and not yet returned.'
        USING ERRCODE = 'check_violation', CONSTRAINT = 'movement_returned_at_most_sold';
    END IF;
    SELECT unit_cost, cost_estimated INTO NEW.unit_cost, NEW.cost_estimated FROM inventory_movement
      WHERE store_id = NEW.store_id AND product_id = NEW.product_id AND kind = 'sale' AND reverses_id IS NULL
      ORDER BY seq DESC LIMIT 1;
  ELSIF NEW.kind IN ('opening', 'receipt') THEN
    NEW.cost_estimated := NEW.unit_cost IS NULL;
    IF NEW.cost_estimated THEN
      SELECT cost_price INTO NEW.unit_cost FROM catalog_product WHERE id = NEW.product_id;
    END IF;
  ELSE
    NEW.unit_cost := NULL;  -- everything else leaves, or is found, at the average
    NEW.cost_estimated := false;
  END IF;

  LOOP
    -- One statement locks the level, computes and writes it.
    UPDATE inventory_stocklevel AS l SET
      on_hand = l.on_hand + NEW.quantity,
      average_cost = CASE
        WHEN l.seq = 0 AND NEW.unit_cost IS NULL THEN (SELECT cost_price FROM catalog_product WHERE id = NEW.product_id)
        ELSE inventory_average_cost(l.on_hand, l.average_cost, NEW.quantity, NEW.unit_cost)
      END,
      cost_estimated = CASE
        WHEN NEW.unit_cost IS NULL OR NEW.quantity < 0 THEN l.cost_estimated
        WHEN l.on_hand > 0 THEN l.cost_estimated OR NEW.cost_estimated
        ELSE NEW.cost_estimated
      END,
      oversold_since = CASE WHEN l.on_hand + NEW.quantity < 0 THEN coalesce(l.oversold_since, now()) END,
      seq = l.seq + 1,
      last_business_date = greatest(l.last_business_date, NEW.business_date),
      updated_at = now()
    WHERE l.store_id = NEW.store_id AND l.product_id = NEW.product_id
    RETURNING l.on_hand, l.average_cost, l.cost_estimated, l.seq, l.last_business_date, l.reorder_point, l.listed
      INTO level;
    EXIT WHEN FOUND;
    -- Two first deliveries at once: the second waits here for the first, then finds its row above.
    INSERT INTO inventory_stocklevel (store_id, product_id) VALUES (NEW.store_id, NEW.product_id)
      ON CONFLICT (store_id, product_id) DO NOTHING;
  END LOOP;

  -- Below zero (R4): only a sale, and only where it had happened already or the store's policy lets it pass.
  IF level.on_hand < 0 AND NEW.quantity < 0 AND NOT (
    NEW.kind = 'sale' AND (
      NEW.oversell = 'late'
      OR EXISTS (
        SELECT FROM stores_store WHERE id = NEW.store_id
          AND (oversell_policy = 'allow' OR (oversell_policy = 'warn' AND NEW.oversell = 'confirmed'))
      )
    )
  ) THEN
    RAISE EXCEPTION 'Not enough stock of product % in store %.', NEW.product_id, NEW.store_id
      USING ERRCODE = 'check_violation', CONSTRAINT = 'movement_within_stock';
  END IF;

  -- The first movement of a level can open no alert, coming from nothing, and finds none to close.
  IF level.seq > 1 AND (level.on_hand > level.reorder_point) <> (level.on_hand - NEW.quantity > level.reorder_point) THEN
    PERFORM inventory_crossed(NEW.store_id, NEW.product_id, level.on_hand, level.reorder_point, level.listed);
  END IF;
  IF level.on_hand <= 0 AND level.on_hand - NEW.quantity > 0 AND level.listed THEN
    PERFORM inventory_note_level('stock.out', NEW.store_id, NEW.product_id, level.on_hand, level.reorder_point);
  END IF;

  IF NEW.unit_cost IS NULL THEN
    NEW.unit_cost := level.average_cost;
    NEW.cost_estimated := level.cost_estimated;
  END IF;
  NEW.balance_after := level.on_hand;
  NEW.average_cost_after := level.average_cost;
  NEW.seq := level.seq;
  NEW.late := level.last_business_date > NEW.business_date;
  RETURN NEW;
END $$;

-- Row triggers run in the order of their names: posting first, then what follows from it (reports/sql/daily_stock.sql).
CREATE OR REPLACE TRIGGER movement_10_post BEFORE INSERT ON inventory_movement
  FOR EACH ROW EXECUTE FUNCTION inventory_post_movement();

-- The ledger is written once. These guards hold for everybody, whatever his rights in the application.
CREATE OR REPLACE FUNCTION inventory_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '%', TG_ARGV[0] USING ERRCODE = 'restrict_violation', CONSTRAINT = TG_NAME, TABLE = TG_TABLE_NAME;
END $$;

CREATE OR REPLACE TRIGGER movement_never_changes BEFORE UPDATE OR DELETE ON inventory_movement
  FOR EACH ROW EXECUTE FUNCTION inventory_refuse('The ledger is append-only: post a reversal instead.');
CREATE OR REPLACE TRIGGER movement_never_truncated BEFORE TRUNCATE ON inventory_movement
  FOR EACH STATEMENT EXECUTE FUNCTION inventory_refuse('The ledger is append-only: it cannot be emptied.');
CREATE OR REPLACE TRIGGER document_never_changes BEFORE UPDATE OR DELETE ON inventory_document
  FOR EACH ROW EXECUTE FUNCTION inventory_refuse('A document is written once: post a reversal instead.');
CREATE OR REPLACE TRIGGER document_never_truncated BEFORE TRUNCATE ON inventory_document
  FOR EACH STATEMENT EXECUTE FUNCTION inventory_refuse('A document is written once: the table cannot be emptied.');

-- The level's own numbers move only inside the posting trigger (depth 0 is a statement somebody typed). Writing a whole row
-- back is refused too, even unchanged: it would undo what was posted since it was read.
CREATE OR REPLACE TRIGGER level_changes_only_by_posting
  BEFORE UPDATE OF on_hand, average_cost, cost_estimated, seq, oversold_since, last_business_date, store_id, product_id
  ON inventory_stocklevel
  FOR EACH ROW WHEN (pg_trigger_depth() < 1) EXECUTE FUNCTION inventory_refuse('Stock changes only by a movement.');
CREATE OR REPLACE TRIGGER level_begins_empty BEFORE INSERT ON inventory_stocklevel
  FOR EACH ROW WHEN ((NEW.on_hand, NEW.average_cost, NEW.seq) IS DISTINCT FROM (0::numeric, 0::numeric, 0::bigint)
    OR NEW.oversold_since IS NOT NULL OR NEW.last_business_date IS NOT NULL OR NOT NEW.cost_estimated)
  EXECUTE FUNCTION inventory_refuse('A new level begins empty: stock comes by a movement.');
CREATE OR REPLACE TRIGGER level_with_history_stays BEFORE DELETE ON inventory_stocklevel
  FOR EACH ROW WHEN (OLD.seq > 0) EXECUTE FUNCTION inventory_refuse('A level with movements cannot be deleted.');
CREATE OR REPLACE TRIGGER level_never_truncated BEFORE TRUNCATE ON inventory_stocklevel
  FOR EACH STATEMENT EXECUTE FUNCTION inventory_refuse('Levels follow from the ledger: they cannot be emptied.');

CREATE OR REPLACE TRIGGER level_settings_make_sense BEFORE INSERT OR UPDATE OF reorder_point, target_level ON inventory_stocklevel
  FOR EACH ROW WHEN (NEW.reorder_point < 0 OR NEW.target_level < NEW.reorder_point)
  EXECUTE FUNCTION inventory_refuse('A reorder point is not negative, and the level to refill to is not below it.');

-- A reorder point that is moved across the stock opens or closes an alert as a movement would.
CREATE OR REPLACE FUNCTION inventory_reorder_point_moved() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM inventory_crossed(NEW.store_id, NEW.product_id, NEW.on_hand, NEW.reorder_point, NEW.listed);
  RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER level_reorder_point_moved AFTER UPDATE OF reorder_point ON inventory_stocklevel
  FOR EACH ROW WHEN ((OLD.on_hand > OLD.reorder_point) IS DISTINCT FROM (NEW.on_hand > NEW.reorder_point))
  EXECUTE FUNCTION inventory_reorder_point_moved();
