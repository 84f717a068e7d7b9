-- Days that are over are summed up, so that a report over all stores or over a year does not add up every product's day
-- again. This file may be applied again at any time.
--
-- reports_closeddays says of each store up to which day that was done. For these days reports_storeday holds the sums of the
-- store, reports_productday those of the product over all stores that are in it, and reports_latefigures what was written into
-- daily stock since. At any instant, for the days of a store up to `upto`:
--
--     sums + late figures = daily stock
--
-- reports_categoryday holds the same sums of a store by category, each with all that nests in it: which products those were is
-- reports_categoryproduct. How many sales hold a line of a category cannot be added up from late figures, so a day of a store that
-- has any is read afresh until the job has counted it again. So is a category whose products are others by now, and of each
-- store those that are `uncounted`.
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

-- Every category with each product in it or in what nests in it, as it is now.
CREATE OR REPLACE FUNCTION reports_categories_now() RETURNS TABLE (category_id bigint, product_id bigint) LANGUAGE sql STABLE AS $$
  WITH RECURSIVE nest AS (
    SELECT id AS outer_id, id AS inner_id FROM catalog_category
    UNION SELECT c.parent_id, nest.inner_id FROM nest JOIN catalog_category AS c ON c.id = nest.outer_id WHERE c.parent_id IS NOT NULL
  )
  SELECT nest.outer_id, p.id FROM nest JOIN catalog_product AS p ON p.category_id = nest.inner_id
$$;

-- Products that came since take their place in the categories; none of their days is counted yet. Nothing before the first count.
CREATE OR REPLACE FUNCTION reports_take_in_products() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO reports_categoryproduct (category_id, product_id)
    SELECT category_id, product_id FROM reports_categories_now()
    WHERE EXISTS (SELECT FROM reports_categoryproduct) AND product_id NOT IN (SELECT product_id FROM reports_categoryproduct);
END $$;

-- Counts the days of a store anew, of the categories `wanted`, of all when that is null.
CREATE OR REPLACE FUNCTION reports_count_categories(this bigint, first_day date, last_day date, wanted bigint[])
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO reports_categoryday AS k (store_id, category_id, business_date, documents, lines, sold, revenue, cost)
    WITH figure AS (
      SELECT n.category_id, d.business_date, sum(d.lines) AS lines, sum(d.sold) AS sold, sum(d.revenue) AS revenue,
             sum(d.cost) AS cost
      FROM reports_dailystock AS d JOIN reports_categoryproduct AS n ON n.product_id = d.product_id
      WHERE d.store_id = this AND d.business_date BETWEEN first_day AND last_day
        AND (wanted IS NULL OR n.category_id = ANY(wanted))
      GROUP BY n.category_id, d.business_date
    ), basket AS (
      SELECT DISTINCT n.category_id, m.business_date, m.document_id, m.reverses_id IS NOT NULL AS void
      FROM inventory_movement AS m JOIN reports_categoryproduct AS n ON n.product_id = m.product_id
      WHERE m.store_id = this AND m.business_date BETWEEN first_day AND last_day AND m.kind = 'sale'
        AND (wanted IS NULL OR n.category_id = ANY(wanted))
    ), sale AS (
      SELECT category_id, business_date, count(*) FILTER (WHERE NOT void) - count(*) FILTER (WHERE void) AS documents
      FROM basket GROUP BY category_id, business_date
    )
    SELECT this, category_id, business_date, coalesce(documents, 0), lines, sold, revenue, cost
    FROM figure LEFT JOIN sale USING (category_id, business_date)
    ORDER BY category_id, business_date
  ON CONFLICT (store_id, category_id, business_date) DO UPDATE SET
    documents = excluded.documents, lines = excluded.lines, sold = excluded.sold, revenue = excluded.revenue, cost = excluded.cost;
END $$;

-- Notes the categories whose products are others than they were, at first all: of every store their days are to be counted anew,
-- and until then are read afresh. Gives how many stores wait for that, 0 also when somebody else is at it.
CREATE OR REPLACE FUNCTION reports_note_categories() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  known bigint[];
  changed bigint[];
BEGIN
  IF NOT pg_try_advisory_xact_lock(hashtext('reports_sum_up')) THEN
    RETURN 0;
  END IF;
  SELECT array_agg(DISTINCT product_id) INTO known FROM reports_categoryproduct;
  SELECT array_agg(DISTINCT category_id) INTO changed FROM (
    (SELECT category_id, product_id FROM reports_categories_now() WHERE known IS NULL OR product_id = ANY(known)
     EXCEPT SELECT category_id, product_id FROM reports_categoryproduct)
    UNION ALL
    (SELECT category_id, product_id FROM reports_categoryproduct EXCEPT SELECT category_id, product_id FROM reports_categories_now())
  ) AS differ;
  IF changed IS NOT NULL THEN
    DELETE FROM reports_categoryproduct WHERE category_id = ANY(changed);
    INSERT INTO reports_categoryproduct (category_id, product_id)
      SELECT category_id, product_id FROM reports_categories_now()
      WHERE category_id = ANY(changed) AND (known IS NULL OR product_id = ANY(known));
    ANALYZE reports_categoryproduct;  -- filled just now, it would be joined as an empty table
    -- In the order in which a posting of late facts takes them.
    PERFORM FROM reports_closeddays ORDER BY store_id FOR UPDATE;
    UPDATE reports_closeddays SET uncounted = ARRAY(SELECT unnest(uncounted) UNION SELECT unnest(changed));
  END IF;
  RETURN (SELECT count(*) FROM reports_closeddays WHERE uncounted <> '{}');
END $$;

-- Counts the closed days of one store anew, of the categories that were noted; false when no store waits, or somebody else is at
-- it. Nobody else moves `upto` meanwhile, and what comes late is noted.
CREATE OR REPLACE FUNCTION reports_recount_store() RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  closed reports_closeddays%ROWTYPE;
BEGIN
  IF NOT pg_try_advisory_xact_lock(hashtext('reports_sum_up')) THEN
    RETURN false;
  END IF;
  SELECT * INTO closed FROM reports_closeddays WHERE uncounted <> '{}' ORDER BY store_id LIMIT 1;
  IF NOT FOUND THEN
    RETURN false;
  END IF;
  DELETE FROM reports_categoryday WHERE store_id = closed.store_id AND category_id = ANY(closed.uncounted);
  PERFORM reports_count_categories(closed.store_id, '0001-01-01', closed.upto, closed.uncounted);
  UPDATE reports_closeddays SET uncounted = '{}' WHERE store_id = closed.store_id;
  RETURN true;
END $$;

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
  late_days date[];
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
    SELECT count(*), array_agg(DISTINCT business_date) INTO late, late_days FROM gone;
    done := done + late;
    IF late > 0 THEN
      PERFORM reports_take_in_products();
      FOR place IN 1 .. cardinality(late_days) LOOP
        PERFORM reports_count_categories(this, late_days[place], late_days[place], NULL);
      END LOOP;
    END IF;

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

  PERFORM reports_take_in_products();
  FOR place IN 1 .. cardinality(mine) LOOP
    PERFORM reports_count_categories(mine[place], first_days[place], last_days[place], NULL);
    UPDATE reports_closeddays SET upto = last_days[place] WHERE store_id = mine[place];
    done := done + (last_days[place] - first_days[place]) + 1;
  END LOOP;
  RETURN done;
END $$;
