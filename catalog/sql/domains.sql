-- Number types. PostgreSQL sorts NaN above every number, so a plain `CHECK (x >= 0)` lets it through: each type keeps it
-- out by itself, for every column that uses it (and costs a fraction of a table constraint on each posting).
CREATE DOMAIN kiryana_quantity AS numeric(14, 3) CONSTRAINT quantity_is_number CHECK (VALUE < 'NaN');
CREATE DOMAIN kiryana_price AS numeric(12, 2) CONSTRAINT price_not_negative CHECK (VALUE >= 0 AND VALUE < 'NaN');
CREATE DOMAIN kiryana_amount AS numeric(16, 2) CONSTRAINT amount_is_number CHECK (VALUE < 'NaN');
CREATE DOMAIN kiryana_cost AS numeric(14, 4) CONSTRAINT cost_not_negative CHECK (VALUE >= 0 AND VALUE < 'NaN');
CREATE DOMAIN kiryana_cost_total AS numeric(18, 4) CONSTRAINT cost_total_is_number CHECK (VALUE < 'NaN');
