-- What tells a server that the feed did not grow up on it. This file may be applied again at any time.

-- Every number that a change has here now is below it: it is ahead of every transaction that has ended, and of this one.
CREATE OR REPLACE FUNCTION stores_reach() RETURNS bigint LANGUAGE sql STABLE AS $$
  SELECT last_value + greatest(
      pg_snapshot_xmax(pg_current_snapshot())::text::bigint, pg_current_xact_id_if_assigned()::text::bigint + 1)
    FROM stores_change_offset
$$;

-- Whose transactions are counted: another server counts anew, and so may the same one after it was set back to an earlier
-- time. Empty where the database does not say.
CREATE OR REPLACE FUNCTION stores_home() RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN (SELECT system_identifier FROM pg_control_system()) || '/' || (SELECT timeline_id FROM pg_control_checkpoint());
EXCEPTION WHEN insufficient_privilege THEN
  RETURN '';
END $$;
