-- How levels stand, kept so that a report over all stores does not value every level again. This file may be applied again at
-- any time.
--
-- reports_standing holds what each level counted for (value at cost and at price, low or out, last sold) when the job last came
-- by, reports_storestanding and reports_productstanding its sums, reports_standingmark when that was. For any set of levels
-- that contains all that have changed since:
--
--     sums + what these levels count for now - what they counted for then = what all levels count for now
--
-- so a report needs no exact set, only one that is large enough (reports.queries.standing.TOUCHED): levels of the movements
-- behind the mark, levels made since, those noted here, those whose store's price began since, those of products whose price or
-- state is no longer the one that was counted with. A posting does nothing for it.
--
-- Why the mark misses no movement, although numbers are given before their transaction commits: the job reads the last number
-- given, then waits for all who write to movements or levels at that moment, and only then takes the snapshot that it counts in
-- (reports.services.restate). Who writes a movement holds its lock on the table before it draws a number.

CREATE OR REPLACE FUNCTION reports_note_restated() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP <> 'INSERT' THEN
    INSERT INTO reports_restated (store_id, product_id) VALUES (OLD.store_id, OLD.product_id);
  END IF;
  IF TG_OP = 'INSERT' OR TG_OP = 'UPDATE' AND (OLD.store_id, OLD.product_id) IS DISTINCT FROM (NEW.store_id, NEW.product_id) THEN
    INSERT INTO reports_restated (store_id, product_id) VALUES (NEW.store_id, NEW.product_id);
  END IF;
  RETURN NULL;
END $$;

-- Columns that no posting writes: a sale does not even ask for the condition.
CREATE OR REPLACE TRIGGER level_restated AFTER UPDATE OF reorder_point, listed ON inventory_stocklevel
  FOR EACH ROW WHEN ((OLD.reorder_point, OLD.listed) IS DISTINCT FROM (NEW.reorder_point, NEW.listed))
  EXECUTE FUNCTION reports_note_restated();
CREATE OR REPLACE TRIGGER level_gone AFTER DELETE ON inventory_stocklevel
  FOR EACH ROW EXECUTE FUNCTION reports_note_restated();
CREATE OR REPLACE TRIGGER store_price_restated AFTER INSERT OR UPDATE OR DELETE ON catalog_storeprice
  FOR EACH ROW EXECUTE FUNCTION reports_note_restated();

-- The transactions that write, or are about to write, to movements or levels now; not this one.
CREATE OR REPLACE FUNCTION reports_movers() RETURNS SETOF text LANGUAGE sql VOLATILE AS $$
  SELECT DISTINCT virtualtransaction FROM pg_locks
  WHERE locktype = 'relation' AND relation IN ('inventory_movement'::regclass, 'inventory_stocklevel'::regclass)
    AND granted AND pid <> pg_backend_pid()
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
$$;

-- The last numbers of movements and levels that were given to anybody.
CREATE OR REPLACE FUNCTION reports_numbers_given(OUT movement bigint, OUT level bigint) LANGUAGE sql VOLATILE AS $$
  SELECT coalesce(pg_sequence_last_value(pg_get_serial_sequence('inventory_movement', 'id')::regclass), 0),
         coalesce(pg_sequence_last_value(pg_get_serial_sequence('inventory_stocklevel', 'id')::regclass), 0)
$$;
