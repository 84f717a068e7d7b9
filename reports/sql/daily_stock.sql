-- DailyStock follows from the ledger in the same transaction. This file may be applied again at any time.
ALTER TABLE reports_dailystock SET (fillfactor = 80);

CREATE OR REPLACE FUNCTION reports_keep_daily_stock() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  came numeric := CASE WHEN NEW.kind IN ('opening', 'receipt') THEN NEW.quantity ELSE 0 END;
  went numeric := CASE WHEN NEW.kind IN ('sale', 'sale_return') THEN -NEW.quantity ELSE 0 END;
  paid numeric := CASE WHEN NEW.line_total IS NULL THEN 0 WHEN NEW.quantity < 0 THEN NEW.line_total ELSE -NEW.line_total END;
  line integer := CASE WHEN NEW.kind <> 'sale' THEN 0 WHEN NEW.reverses_id IS NULL THEN 1 ELSE -1 END;
  before numeric := NEW.balance_after - NEW.quantity;
BEGIN
  -- A late fact (R9): the day opens as the one before it closed, and all later days move by the same quantity.
  IF NEW.late THEN
    UPDATE reports_dailystock SET opening = opening + NEW.quantity, closing = closing + NEW.quantity
      WHERE store_id = NEW.store_id AND product_id = NEW.product_id AND business_date > NEW.business_date;
    before := coalesce((
      SELECT closing FROM reports_dailystock
        WHERE store_id = NEW.store_id AND product_id = NEW.product_id AND business_date < NEW.business_date
        ORDER BY business_date DESC LIMIT 1), 0);
  END IF;

  INSERT INTO reports_dailystock AS d
      (store_id, product_id, business_date, opening, received, sold, other, closing, revenue, cost, documents, lines)
    VALUES (NEW.store_id, NEW.product_id, NEW.business_date, before, came, went, NEW.quantity - came + went,
            before + NEW.quantity, paid, round(went * NEW.unit_cost, 4), CASE WHEN NEW.line_no = 1 THEN line ELSE 0 END, line)
  ON CONFLICT (store_id, product_id, business_date) DO UPDATE SET
    received = d.received + excluded.received,
    sold = d.sold + excluded.sold,
    other = d.other + excluded.other,
    closing = d.closing + NEW.quantity,
    revenue = d.revenue + excluded.revenue,
    cost = d.cost + excluded.cost,
    documents = d.documents + excluded.documents,
    lines = d.lines + excluded.lines;
  RETURN NEW;
END $$;

CREATE OR REPLACE TRIGGER movement_20_daily_stock BEFORE INSERT ON inventory_movement
  FOR EACH ROW EXECUTE FUNCTION reports_keep_daily_stock();
