-- The order of the feed. This file may be applied again at any time.
--
-- A change is numbered by its transaction, not by a sequence: ids are taken before the commit, so a reader who had seen 8
-- could miss 7. Transactions are numbered in the order in which they begin to write, and PostgreSQL knows the oldest that
-- still runs; everything before that one is complete.

-- What is added to the numbers of this server's transactions. A dump that is restored elsewhere meets a server which
-- counts from the beginning again: `manage.py prepare` then moves the offset, so that the feed goes on where it was.
CREATE SEQUENCE IF NOT EXISTS stores_change_offset MINVALUE 0 START WITH 0 NO CYCLE;

-- The place in the feed of what this transaction changes. Without FROM it becomes a part of the statement that it is a default in,
-- and is no query of its own for each change.
CREATE OR REPLACE FUNCTION stores_moment() RETURNS bigint LANGUAGE sql VOLATILE AS $$
  SELECT coalesce(pg_sequence_last_value('stores_change_offset'), 0) + pg_current_xact_id()::text::bigint
$$;

-- Changes before it are settled for the statement that asks. STABLE matters: the horizon must be that of the very snapshot
-- in which the rows are read, and a volatile function would take a later one.
CREATE OR REPLACE FUNCTION stores_horizon() RETURNS bigint LANGUAGE sql STABLE AS $$
  SELECT last_value + pg_snapshot_xmin(pg_current_snapshot())::text::bigint FROM stores_change_offset
$$;

-- A sandbox is one from the beginning and stays one: what is behind the wall never comes before it.
CREATE OR REPLACE FUNCTION stores_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '%', TG_ARGV[0] USING ERRCODE = 'restrict_violation', CONSTRAINT = TG_NAME, TABLE = TG_TABLE_NAME;
END $$;
CREATE OR REPLACE TRIGGER store_sandbox_stays BEFORE UPDATE OF sandbox ON stores_store
  FOR EACH ROW WHEN (NEW.sandbox <> OLD.sandbox)
  EXECUTE FUNCTION stores_refuse('A store is made as a sandbox or for trade, once and for all.');
