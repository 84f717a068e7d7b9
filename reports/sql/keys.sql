-- A day is known by store, product and date; see inventory/sql/keys.sql.
ALTER TABLE reports_dailystock DROP CONSTRAINT reports_dailystock_pkey, DROP CONSTRAINT daily_stock_once,
  ADD CONSTRAINT daily_stock_once PRIMARY KEY (store_id, product_id, business_date);
