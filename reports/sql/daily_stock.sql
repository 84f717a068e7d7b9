-- DailyStock follows from the ledger in the same transaction. This file may be applied again at any time.
ALTER TABLE reports_dailystock SET (fillfactor = 80);

-- Once for all lines of a statement. Their levels are locked by it, so nobody else writes these days.
CREATE OR REPLACE FUNCTION reports_keep_daily_stock() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  behind record;
  any_late boolean;
  is_old boolean;  -- of a day that may have been summed up already (closed_days.sql)
BEGIN
  -- One line of these days: the same as below without adding up, and without asking first what there is, either of which would
  -- take as long to make ready as all the rest.
  INSERT INTO reports_dailystock AS d
      (store_id, product_id, business_date, opening, received, sold, other, closing, revenue, cost, documents, lines)
    SELECT store_id, product_id, business_date, balance_after - quantity,
           CASE WHEN kind IN ('opening', 'receipt') THEN quantity ELSE 0 END,
           CASE WHEN kind IN ('sale', 'sale_return') THEN -quantity ELSE 0 END,
           CASE WHEN kind IN ('opening', 'receipt', 'sale', 'sale_return') THEN 0 ELSE quantity END,
           balance_after, coalesce(CASE WHEN quantity < 0 THEN line_total ELSE -line_total END, 0),
           CASE WHEN kind IN ('sale', 'sale_return') THEN -round(quantity * unit_cost, 4) ELSE 0 END,
           CASE WHEN kind = 'sale' AND line_no = 1 THEN CASE WHEN reverses_id IS NULL THEN 1 ELSE -1 END ELSE 0 END,
           CASE WHEN kind = 'sale' THEN CASE WHEN reverses_id IS NULL THEN 1 ELSE -1 END ELSE 0 END
    FROM written
    WHERE NOT late AND business_date >= (clock_timestamp() AT TIME ZONE 'UTC')::date - 1 AND NOT EXISTS (SELECT FROM written OFFSET 1)
  ON CONFLICT (store_id, product_id, business_date) DO UPDATE SET
    received = d.received + excluded.received,
    sold = d.sold + excluded.sold,
    other = d.other + excluded.other,
    closing = d.closing + excluded.received - excluded.sold + excluded.other,
    revenue = d.revenue + excluded.revenue,
    cost = d.cost + excluded.cost,
    documents = d.documents + excluded.documents,
    lines = d.lines + excluded.lines;
  IF FOUND THEN
    RETURN NULL;
  END IF;

  SELECT bool_or(late), min(business_date) < (clock_timestamp() AT TIME ZONE 'UTC')::date - 1 INTO any_late, is_old FROM written;
  IF any_late IS NULL THEN
    RETURN NULL;  -- nothing was written
  END IF;
  IF is_old THEN
    PERFORM reports_hold_closed_days(ARRAY(SELECT DISTINCT store_id FROM written ORDER BY store_id));
  END IF;
  WITH day AS (
    SELECT store_id, product_id, business_date, sum(quantity) AS moved,
           coalesce(sum(quantity) FILTER (WHERE kind IN ('opening', 'receipt')), 0) AS received,
           coalesce(-sum(quantity) FILTER (WHERE kind IN ('sale', 'sale_return')), 0) AS sold,
           coalesce(sum(CASE WHEN quantity < 0 THEN line_total ELSE -line_total END), 0) AS revenue,
           coalesce(-sum(round(quantity * unit_cost, 4)) FILTER (WHERE kind IN ('sale', 'sale_return')), 0) AS cost,
           coalesce(sum(CASE WHEN reverses_id IS NULL THEN 1 ELSE -1 END) FILTER (WHERE kind = 'sale' AND line_no = 1), 0) AS documents,
           coalesce(sum(CASE WHEN reverses_id IS NULL THEN 1 ELSE -1 END) FILTER (WHERE kind = 'sale'), 0) AS lines,
           (array_agg(balance_after ORDER BY seq DESC))[1] AS closing
    FROM written GROUP BY store_id, product_id, business_date
  ), kept AS (
    INSERT INTO reports_dailystock AS d
        (store_id, product_id, business_date, opening, received, sold, other, closing, revenue, cost, documents, lines)
      SELECT store_id, product_id, business_date, closing - moved, received, sold, moved - received + sold, closing, revenue, cost,
             documents, lines
      FROM day ORDER BY store_id, product_id, business_date
    ON CONFLICT (store_id, product_id, business_date) DO UPDATE SET
      received = d.received + excluded.received,
      sold = d.sold + excluded.sold,
      other = d.other + excluded.other,
      closing = d.closing + excluded.received - excluded.sold + excluded.other,
      revenue = d.revenue + excluded.revenue,
      cost = d.cost + excluded.cost,
      documents = d.documents + excluded.documents,
      lines = d.lines + excluded.lines
  )
  INSERT INTO reports_latefigures (store_id, product_id, business_date, documents, lines, sold, revenue, cost)
    SELECT store_id, product_id, business_date, documents, lines, sold, revenue, cost
    FROM day JOIN reports_closeddays USING (store_id) WHERE is_old AND business_date <= upto
    ORDER BY store_id, product_id, business_date;

  -- A late fact (R9): from its day on, each day opens as the one before it closed, and closes by what moved on it.
  IF any_late THEN
    FOR behind IN SELECT store_id, product_id, min(business_date) AS since FROM written WHERE late GROUP BY 1, 2 ORDER BY 1, 2 LOOP
      UPDATE reports_dailystock AS d SET opening = chain.closing - chain.moved, closing = chain.closing
      FROM (
        SELECT business_date, received - sold + other AS moved,
               sum(received - sold + other) OVER (ORDER BY business_date) + coalesce((
                 SELECT closing FROM reports_dailystock
                 WHERE store_id = behind.store_id AND product_id = behind.product_id AND business_date < behind.since
                 ORDER BY business_date DESC LIMIT 1), 0) AS closing
        FROM reports_dailystock
        WHERE store_id = behind.store_id AND product_id = behind.product_id AND business_date >= behind.since
      ) AS chain
      WHERE d.store_id = behind.store_id AND d.product_id = behind.product_id AND d.business_date = chain.business_date;
    END LOOP;
  END IF;
  RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER movement_20_daily_stock AFTER INSERT ON inventory_movement REFERENCING NEW TABLE AS written
  FOR EACH STATEMENT EXECUTE FUNCTION reports_keep_daily_stock();
