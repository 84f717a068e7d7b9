-- Days that are over are summed up, so that a report over all stores or over a year does not add up every product's day
-- again. This file may be applied again at any time.
--
-- reports_closeddays says of each store up to which day that was done. For these days reports_storeday holds the sums of the
-- store, reports_productday those of the product over all stores that are in it, and reports_latefigures what was written into
-- daily stock since. At any instant, for the days of a store up to `upto`:
--
--     sums + late figures = daily stock
--
-- A report adds the sums, the late figures and the daily stock of the days behind `upto`, all in one statement: one snapshot.
--
-- Why no figure is lost between a posting and the job that sums up. A posting that writes a day of yesterday (UTC) or later does
-- nothing more than to compare two dates: no such day is closed. Nor is it while that posting is still running, however long
-- that takes, because the job reads the clock first and then waits for all who write to daily stock at that moment
-- (reports.services.close_days). A posting that writes an older day locks its store's row of reports_closeddays for share before
-- it does, and the job locks it for update: either the job sees what was written, or the posting sees that the day is closed, and
-- notes it.

-- Holds these stores' rows against the job, until this transaction ends. What is read after it is what the job has left.
CREATE OR REPLACE FUNCTION reports_hold_closed_days(stores bigint[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  -- A snapshot from before the lock could miss that the day was closed.
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION 'Days that are over are written to in read committed transactions only.'
      USING ERRCODE = 'invalid_transaction_state';
  END IF;
  PERFORM FROM reports_closeddays WHERE store_id = ANY(stores) ORDER BY store_id FOR SHARE;
END $$;

-- Who corrects daily stock by itself (rebuild_daily_stock); what is posted notes its late figures beside it, in daily_stock.sql.
CREATE OR REPLACE FUNCTION reports_note_late() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  day reports_dailystock%ROWTYPE := CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
BEGIN
  IF day.business_date >= (clock_timestamp() AT TIME ZONE 'UTC')::date - 1 THEN
    RETURN NULL;
  END IF;
  -- That the opening and closing of a day are others concerns no sum.
  IF TG_OP = 'UPDATE' AND (OLD.documents, OLD.lines, OLD.sold, OLD.revenue, OLD.cost)
      IS NOT DISTINCT FROM (NEW.documents, NEW.lines, NEW.sold, NEW.revenue, NEW.cost) THEN
    RETURN NULL;
  END IF;
  PERFORM reports_hold_closed_days(ARRAY[day.store_id]);
  IF day.business_date <= (SELECT upto FROM reports_closeddays WHERE store_id = day.store_id) THEN
    INSERT INTO reports_latefigures (store_id, product_id, business_date, documents, lines, sold, revenue, cost)
      VALUES (
        day.store_id, day.product_id, day.business_date,
        CASE TG_OP WHEN 'INSERT' THEN NEW.documents WHEN 'DELETE' THEN -OLD.documents ELSE NEW.documents - OLD.documents END,
        CASE TG_OP WHEN 'INSERT' THEN NEW.lines WHEN 'DELETE' THEN -OLD.lines ELSE NEW.lines - OLD.lines END,
        CASE TG_OP WHEN 'INSERT' THEN NEW.sold WHEN 'DELETE' THEN -OLD.sold ELSE NEW.sold - OLD.sold END,
        CASE TG_OP WHEN 'INSERT' THEN NEW.revenue WHEN 'DELETE' THEN -OLD.revenue ELSE NEW.revenue - OLD.revenue END,
        CASE TG_OP WHEN 'INSERT' THEN NEW.cost WHEN 'DELETE' THEN -OLD.cost ELSE NEW.cost - OLD.cost END);
  END IF;
  RETURN NULL;
END $$;

-- Nobody changes the key of a day.
CREATE OR REPLACE TRIGGER daily_stock_late_new AFTER INSERT ON reports_dailystock
  FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION reports_note_late();
CREATE OR REPLACE TRIGGER daily_stock_late_change AFTER UPDATE ON reports_dailystock
  FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION reports_note_late();
CREATE OR REPLACE TRIGGER daily_stock_late_gone AFTER DELETE ON reports_dailystock
  FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION reports_note_late();

-- The newest day that may be closed now. An hour of slack: clocks are set back at times.
CREATE OR REPLACE FUNCTION reports_closable() RETURNS date LANGUAGE sql VOLATILE AS $$
  SELECT ((clock_timestamp() - interval '1 hour') AT TIME ZONE 'UTC')::date - 2
$$;

-- The transactions that have written, or are about to write, to daily stock and are still running; not this one.
CREATE OR REPLACE FUNCTION reports_writers() RETURNS SETOF text LANGUAGE sql VOLATILE AS $$
  SELECT DISTINCT virtualtransaction FROM pg_locks
  WHERE locktype = 'relation' AND relation = 'reports_dailystock'::regclass AND granted AND pid <> pg_backend_pid()
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
$$;

-- Sums up at most `span` more days of each of `stores`, up to `target`, and takes in what came late to them; gives how many days
-- and late figures that were, 0 when there is nothing left to do or somebody else is at it. A store into which a late fact is
-- being written is passed over.
CREATE OR REPLACE FUNCTION reports_sum_up(stores bigint[], target date, span integer) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  mine bigint[] := '{}';
  first_days date[] := '{}';
  last_days date[] := '{}';
  this bigint;
  first_day date;
  last_day date;
  done bigint := 0;
  late bigint;
BEGIN
  IF NOT pg_try_advisory_xact_lock(hashtext('reports_sum_up')) THEN
    RETURN 0;
  END IF;
  FOREACH this IN ARRAY stores LOOP
    SELECT upto + 1 INTO first_day FROM reports_closeddays WHERE store_id = this FOR UPDATE SKIP LOCKED;
    CONTINUE WHEN NOT FOUND;

    -- From here on every statement sees what those had written who held the lock before.
    WITH batch AS (
      SELECT id FROM reports_latefigures WHERE store_id = this ORDER BY id LIMIT 50000
    ), gone AS (
      DELETE FROM reports_latefigures WHERE store_id = this AND id IN (SELECT id FROM batch) RETURNING *
    ), day AS (
      INSERT INTO reports_storeday AS s (store_id, business_date, documents, lines, sold, revenue, cost)
        SELECT store_id, business_date, sum(documents), sum(lines), sum(sold), sum(revenue), sum(cost)
        FROM gone GROUP BY store_id, business_date
      ON CONFLICT (store_id, business_date) DO UPDATE SET
        documents = s.documents + excluded.documents, lines = s.lines + excluded.lines, sold = s.sold + excluded.sold,
        revenue = s.revenue + excluded.revenue, cost = s.cost + excluded.cost
    ), product AS (
      INSERT INTO reports_productday AS p (business_date, product_id, documents, lines, sold, revenue, cost)
        SELECT business_date, product_id, sum(documents), sum(lines), sum(sold), sum(revenue), sum(cost)
        FROM gone GROUP BY business_date, product_id
      ON CONFLICT (business_date, product_id) DO UPDATE SET
        documents = p.documents + excluded.documents, lines = p.lines + excluded.lines, sold = p.sold + excluded.sold,
        revenue = p.revenue + excluded.revenue, cost = p.cost + excluded.cost
    )
    SELECT count(*) INTO late FROM gone;
    done := done + late;

    -- Days without any trade at the beginning of a store's history are stepped over.
    IF first_day < '2000-01-01' THEN
      SELECT min(business_date) INTO first_day FROM reports_dailystock WHERE store_id = this;
    END IF;
    last_day := least(target, first_day + span - 1);
    CONTINUE WHEN first_day IS NULL OR first_day > target;

    INSERT INTO reports_storeday (store_id, business_date, documents, lines, sold, revenue, cost)
      SELECT store_id, business_date, sum(documents), sum(lines), sum(sold), sum(revenue), sum(cost)
      FROM reports_dailystock WHERE store_id = this AND business_date BETWEEN first_day AND last_day
      GROUP BY store_id, business_date;
    mine := mine || this;
    first_days := first_days || first_day;
    last_days := last_days || last_day;
  END LOOP;

  -- Over many stores at once: each product's day is written once for all of them.
  INSERT INTO reports_productday AS p (business_date, product_id, documents, lines, sold, revenue, cost)
    SELECT d.business_date, d.product_id, sum(d.documents), sum(d.lines), sum(d.sold), sum(d.revenue), sum(d.cost)
    FROM unnest(mine, first_days, last_days) AS m (store, first_day, last_day)
    CROSS JOIN LATERAL (
      SELECT * FROM reports_dailystock
      WHERE store_id = m.store AND business_date BETWEEN m.first_day AND m.last_day OFFSET 0
    ) AS d
    GROUP BY d.business_date, d.product_id
  ON CONFLICT (business_date, product_id) DO UPDATE SET
    documents = p.documents + excluded.documents, lines = p.lines + excluded.lines, sold = p.sold + excluded.sold,
    revenue = p.revenue + excluded.revenue, cost = p.cost + excluded.cost;

  FOR place IN 1 .. cardinality(mine) LOOP
    UPDATE reports_closeddays SET upto = last_days[place] WHERE store_id = mine[place];
    done := done + (last_days[place] - first_days[place]) + 1;
  END LOOP;
  RETURN done;
END $$;
