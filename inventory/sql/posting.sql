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

-- The average cost of a level that is moved for the first time, or by goods that bring a cost with them: what is not known is the
-- product's usual cost.
CREATE OR REPLACE FUNCTION inventory_new_cost(product bigint, on_hand numeric, average numeric, quantity numeric, cost numeric)
RETURNS numeric LANGUAGE plpgsql STABLE AS $$
BEGIN
  IF cost IS NULL THEN
    RETURN (SELECT cost_price FROM catalog_product WHERE id = product);
  END IF;
  RETURN inventory_average_cost(on_hand, average, quantity, cost);
END $$;

-- What levels and documents tell the feed and the webhooks, in the transaction that made it so (stores/sql/changes.sql).
CREATE OR REPLACE FUNCTION inventory_note_level(type text, store bigint, product bigint, on_hand numeric, reorder_point numeric)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO stores_change (type, store_id, subject, data)
    VALUES (type, store, product, jsonb_build_object('on_hand', on_hand::text, 'reorder_point', reorder_point::text));
END $$;

-- Rules of a row stand in triggers, not in CHECK constraints: those are parsed and planned anew by every statement that writes
-- (a third of what a sale of one line cost the database), a trigger's once for each connection. Their names are the same.
CREATE OR REPLACE FUNCTION inventory_broken(rule text, on_table text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'The row breaks the rule % of %.', rule, on_table
    USING ERRCODE = 'check_violation', CONSTRAINT = rule, TABLE = on_table;
END $$;

CREATE OR REPLACE FUNCTION inventory_name_broken_document(new inventory_document) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM inventory_broken(broken.rule, 'inventory_document') FROM (VALUES
    ('document_kind_known', new.kind IN ('opening', 'receipt', 'sale', 'sale_return', 'adjustment', 'wastage', 'own_use', 'supplier_return')),
    ('document_has_lines', new.line_count > 0),
    ('document_reference_not_empty', new.reference <> ''),
    ('document_total_not_negative', new.total IS NULL OR new.total >= 0),
    ('document_one_actor', new.user_id IS NULL OR new.api_key_id IS NULL),
    ('document_only_returns_return', new.returns_id IS NULL OR new.kind = 'sale_return'),
    ('document_reverses_own_store', new.reverses_id IS NULL
      OR EXISTS (SELECT FROM inventory_document WHERE store_id = new.store_id AND id = new.reverses_id)),
    ('document_returns_own_store', new.returns_id IS NULL
      OR EXISTS (SELECT FROM inventory_document WHERE store_id = new.store_id AND id = new.returns_id))
  ) AS broken (rule, kept) WHERE kept IS NOT TRUE LIMIT 1;
END $$;

CREATE OR REPLACE FUNCTION inventory_check_document() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  -- The common document is seen to be whole in one look; only of one that is not is it asked which rule it breaks.
  IF (
    NEW.kind IN ('opening', 'receipt', 'sale', 'sale_return', 'adjustment', 'wastage', 'own_use', 'supplier_return')
    AND NEW.line_count > 0 AND NEW.reference <> '' AND (NEW.total IS NULL OR NEW.total >= 0)
    AND (NEW.user_id IS NULL OR NEW.api_key_id IS NULL) AND NEW.returns_id IS NULL AND NEW.reverses_id IS NULL
  ) IS NOT TRUE THEN
    PERFORM inventory_name_broken_document(NEW);
  END IF;
  RETURN NEW;
END $$;
CREATE OR REPLACE TRIGGER document_is_whole BEFORE INSERT ON inventory_document
  FOR EACH ROW EXECUTE FUNCTION inventory_check_document();

-- Lines belong to a document of their own store, and each document is told of with its lines. Documents and keys are never
-- deleted (stores/sql/lasting.sql), so a look is enough where a foreign key would lock a row for each line; stores are held
-- by the foreign key of their levels.
CREATE OR REPLACE FUNCTION inventory_foreign_line(store bigint, document bigint) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'A line belongs to a document of its own store, entered by a key that exists.'
    USING ERRCODE = 'foreign_key_violation', TABLE = 'inventory_movement', CONSTRAINT = CASE
      WHEN EXISTS (SELECT FROM inventory_document WHERE store_id = store AND id = document) THEN 'document_api_key_exists'
      ELSE 'movement_document_own_store'
    END;
END $$;
CREATE OR REPLACE FUNCTION inventory_line_apart() RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'The lines do not follow from the level.'
    USING ERRCODE = 'check_violation', CONSTRAINT = 'movement_follows_level', TABLE = 'inventory_movement';
END $$;
CREATE OR REPLACE FUNCTION inventory_note_documents() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  -- Whatever way a line came, its level has moved to it by now: also where the setting was switched off again in the midst of the
  -- statement. Places up to the level's are each taken once, by movement_seq_once. All in one statement: to make one ready takes
  -- longer than what it does for a line. Each document is looked up by its key, however many there are: a join could be planned
  -- while the table is small.
  INSERT INTO stores_change (type, store_id, subject)
    SELECT 'movement.created', store_id, CASE WHEN follow THEN coalesce(
        (SELECT d.id FROM inventory_document AS d WHERE d.store_id = w.store_id AND d.id = w.document_id
           AND (d.api_key_id IS NULL OR EXISTS (SELECT FROM stores_apikey AS k WHERE k.id = d.api_key_id))),
        inventory_foreign_line(store_id, document_id)) ELSE inventory_line_apart() END
    FROM (
      SELECT store_id, document_id, bool_and(seq BETWEEN 1 AND coalesce((SELECT l.seq FROM inventory_stocklevel AS l
               WHERE l.store_id = written.store_id AND l.product_id = written.product_id), 0)) AS follow
      FROM written GROUP BY store_id, document_id
    ) AS w ORDER BY document_id;
  RETURN NULL;
END $$;
DROP TRIGGER IF EXISTS document_noted ON inventory_document;
CREATE OR REPLACE TRIGGER movement_30_noted AFTER INSERT ON inventory_movement REFERENCING NEW TABLE AS written
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

-- Below zero (R4): only a sale, and only where it had happened already or the store's policy lets it pass.
CREATE OR REPLACE FUNCTION inventory_check_oversell(store bigint, product bigint, kind text, oversell text)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF kind = 'sale' AND (oversell = 'late' OR EXISTS (
    SELECT FROM stores_store AS s WHERE s.id = store
      AND (s.oversell_policy = 'allow' OR (s.oversell_policy = 'warn' AND inventory_check_oversell.oversell = 'confirmed'))
  )) THEN
    RETURN;
  END IF;
  RAISE EXCEPTION 'Not enough stock of product % in store %.', product, store
    USING ERRCODE = 'check_violation', CONSTRAINT = 'movement_within_stock';
END $$;

CREATE OR REPLACE FUNCTION inventory_name_broken_line(new inventory_movement) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  priced boolean := new.kind IN ('sale', 'sale_return');
BEGIN
  PERFORM inventory_broken(broken.rule, 'inventory_movement') FROM (VALUES
    ('movement_sign_fits_kind', CASE
      WHEN new.kind = 'adjustment' THEN new.quantity <> 0
      WHEN new.kind IN ('opening', 'receipt', 'sale_return') THEN new.quantity * CASE WHEN new.reverses_id IS NULL THEN 1 ELSE -1 END > 0
      WHEN new.kind IN ('sale', 'wastage', 'own_use', 'supplier_return') THEN new.quantity * CASE WHEN new.reverses_id IS NULL THEN 1 ELSE -1 END < 0
      ELSE false
    END),
    ('movement_priced_when_sold', CASE
      WHEN priced THEN new.unit_price IS NOT NULL AND new.line_total >= 0
      ELSE new.unit_price IS NULL AND new.line_total IS NULL
    END),
    ('movement_entered_is_positive', new.entered_quantity IS NULL OR new.entered_quantity > 0),
    ('movement_only_sales_oversell', new.oversell = '' OR new.kind = 'sale' AND new.reverses_id IS NULL),
    ('movement_only_returns_return', new.returns_id IS NULL OR new.kind = 'sale_return'),
    ('movement_line_from_one', new.line_no > 0)
  ) AS broken (rule, kept) WHERE kept IS NOT TRUE LIMIT 1;
END $$;

CREATE OR REPLACE FUNCTION inventory_post_movement() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  level record;
  origin inventory_movement%ROWTYPE;
  done numeric;
BEGIN
  IF NEW.seq IS NOT NULL AND current_setting('kiryana.goods_out', true) = 'on' THEN
    RETURN NEW;  -- checked with all lines of the statement, by inventory_post_out
  END IF;
  -- The common line is seen to be whole in one look; only of one that is not is it asked which rule it breaks.
  IF (
    NEW.kind = 'sale' AND NEW.quantity < 0 AND NEW.reverses_id IS NULL AND NEW.returns_id IS NULL AND NEW.line_no > 0
    AND NEW.unit_price IS NOT NULL AND NEW.line_total >= 0 AND (NEW.entered_quantity IS NULL OR NEW.entered_quantity > 0)
  ) IS NOT TRUE THEN
    PERFORM inventory_name_broken_line(NEW);
  END IF;
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
        WHEN NEW.unit_cost IS NULL AND l.seq > 0 THEN l.average_cost
        ELSE inventory_new_cost(l.product_id, l.on_hand, l.average_cost, NEW.quantity, NEW.unit_cost)
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

  IF level.on_hand < 0 AND NEW.quantity < 0 THEN
    PERFORM inventory_check_oversell(NEW.store_id, NEW.product_id, NEW.kind, NEW.oversell);
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

CREATE OR REPLACE TRIGGER movement_10_post BEFORE INSERT ON inventory_movement
  FOR EACH ROW EXECUTE FUNCTION inventory_post_movement();

-- Goods that leave at the average, many lines at once: who inserts them (POST_MANY in services/posting.py) has locked the levels
-- and worked out the place and balance of each line for all of them together, a third of the work of one by one. Nothing of it is
-- believed: a level moves only if its lines follow from it and from each other in every column, and a line whose level did not
-- move is refused. The setting kiryana.goods_out chooses between two ways of being checked and opens none around them.
CREATE OR REPLACE FUNCTION inventory_post_out() RETURNS trigger LANGUAGE plpgsql
-- Levels are looked up by their key, also by a plan that was made while there were few.
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off AS $$
DECLARE
  awaited bigint;
  arrived bigint;
  below boolean;
  low jsonb;
  gone jsonb;
BEGIN
  WITH line AS (
    SELECT w.*, l.on_hand AS held, l.seq AS place, l.average_cost, l.cost_estimated AS estimated, l.last_business_date,
           l.reorder_point, l.listed, row_number() OVER chained AS number, sum(w.quantity) OVER chained AS moved,
           max(w.business_date) OVER (chained ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS newest
    FROM written AS w LEFT JOIN inventory_stocklevel AS l ON l.store_id = w.store_id AND l.product_id = w.product_id
    WHERE w.seq > l.seq OR w.seq < 1 OR l.seq IS NULL  -- all others were posted line by line: each place is taken once
    WINDOW chained AS (PARTITION BY w.store_id, w.product_id ORDER BY w.seq)
  ), chain AS (
    SELECT store_id, product_id, count(*) AS lines, max(seq) AS seq, min(balance_after) AS on_hand,
           max(business_date) AS business_date, bool_or(balance_after < 0) AS below,
           -- Goods only leave, so each mark is passed once; what is told is the balance that passed it.
           max(balance_after) FILTER (WHERE held > reorder_point AND balance_after <= reorder_point) AS low_at,
           max(balance_after) FILTER (WHERE held > 0 AND balance_after <= 0 AND listed) AS gone_at,
           bool_and(
             place > 0 AND seq = place + number AND balance_after = held + moved
             AND unit_cost = average_cost AND average_cost_after = average_cost AND cost_estimated = estimated
             AND late = (greatest(last_business_date, newest) > business_date)
             AND quantity < 0 AND line_no > 0 AND reverses_id IS NULL AND returns_id IS NULL
             AND (entered_quantity IS NULL OR entered_quantity > 0)
             AND CASE
               WHEN kind = 'sale' THEN unit_price IS NOT NULL AND line_total >= 0
               ELSE kind IN ('wastage', 'own_use', 'supplier_return') AND unit_price IS NULL AND line_total IS NULL AND oversell = ''
             END
           ) AS fits
    FROM line GROUP BY store_id, product_id
  ), moved AS (
    UPDATE inventory_stocklevel AS l SET
      on_hand = c.on_hand,
      seq = c.seq,
      oversold_since = CASE WHEN c.on_hand < 0 THEN coalesce(l.oversold_since, now()) END,
      last_business_date = greatest(l.last_business_date, c.business_date),
      updated_at = now()
    FROM chain AS c
    WHERE l.store_id = c.store_id AND l.product_id = c.product_id AND c.fits AND l.seq = c.seq - c.lines
    RETURNING l.store_id, l.product_id, l.reorder_point, l.listed, c.low_at, c.gone_at
  )
  SELECT (SELECT count(*) FROM chain), count(*), (SELECT bool_or(chain.below) FROM chain),
         jsonb_agg(to_jsonb(moved)) FILTER (WHERE low_at IS NOT NULL), jsonb_agg(to_jsonb(moved)) FILTER (WHERE gone_at IS NOT NULL)
    INTO awaited, arrived, below, low, gone FROM moved;
  IF awaited <> arrived THEN
    PERFORM inventory_line_apart();
  END IF;
  IF below THEN
    PERFORM inventory_check_oversell(store_id, product_id, kind, oversell) FROM written
      WHERE balance_after < 0 AND quantity < 0 ORDER BY product_id, seq;
  END IF;
  IF low IS NOT NULL THEN
    PERFORM inventory_crossed(store_id, product_id, low_at, reorder_point, listed)
      FROM jsonb_to_recordset(low) AS l (store_id bigint, product_id bigint, low_at numeric, reorder_point numeric, listed boolean)
      ORDER BY product_id;
  END IF;
  IF gone IS NOT NULL THEN
    PERFORM inventory_note_level('stock.out', store_id, product_id, gone_at, reorder_point)
      FROM jsonb_to_recordset(gone) AS l (store_id bigint, product_id bigint, gone_at numeric, reorder_point numeric)
      ORDER BY product_id;
  END IF;
  RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER movement_15_out AFTER INSERT ON inventory_movement REFERENCING NEW TABLE AS written
  FOR EACH STATEMENT WHEN (current_setting('kiryana.goods_out', true) = 'on') EXECUTE FUNCTION inventory_post_out();

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

-- The level's own numbers move only inside the posting trigger (at depth 1 this guard was woken by a statement that somebody
-- typed). Writing a whole row back is refused too, even unchanged: it would undo what was posted since it was read.
CREATE OR REPLACE FUNCTION inventory_refuse_unless_posting() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF pg_trigger_depth() < 2 THEN
    RAISE EXCEPTION 'Stock changes only by a movement.'
      USING ERRCODE = 'restrict_violation', CONSTRAINT = TG_NAME, TABLE = TG_TABLE_NAME;
  END IF;
  RETURN NEW;
END $$;
CREATE OR REPLACE TRIGGER level_changes_only_by_posting
  BEFORE UPDATE OF on_hand, average_cost, cost_estimated, seq, oversold_since, last_business_date, store_id, product_id
  ON inventory_stocklevel
  FOR EACH ROW EXECUTE FUNCTION inventory_refuse_unless_posting();
-- R4: below zero only with a mark since when, and the mark only below zero. A level begins at zero.
CREATE OR REPLACE FUNCTION inventory_check_level() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF (NEW.on_hand < 0) <> (NEW.oversold_since IS NOT NULL) THEN
    PERFORM inventory_broken('level_below_zero_only_flagged', TG_TABLE_NAME);
  END IF;
  RETURN NEW;
END $$;
CREATE OR REPLACE TRIGGER level_flagged_below_zero BEFORE UPDATE OF on_hand, oversold_since ON inventory_stocklevel
  FOR EACH ROW EXECUTE FUNCTION inventory_check_level();
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
