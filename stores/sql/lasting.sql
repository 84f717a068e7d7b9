-- Stores and keys bear history: they are closed and revoked, never deleted (R14). Whoever writes beside one may therefore look
-- whether it exists, without the lock of a foreign key. This file may be applied again at any time.
CREATE OR REPLACE FUNCTION stores_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '%', TG_ARGV[0] USING ERRCODE = 'restrict_violation', CONSTRAINT = TG_NAME, TABLE = TG_TABLE_NAME;
END $$;

CREATE OR REPLACE TRIGGER store_never_deleted BEFORE DELETE OR UPDATE OF id ON stores_store
  FOR EACH ROW EXECUTE FUNCTION stores_refuse('A store is closed, never deleted: its history stays.');
CREATE OR REPLACE TRIGGER api_key_never_deleted BEFORE DELETE OR UPDATE OF id ON stores_apikey
  FOR EACH ROW EXECUTE FUNCTION stores_refuse('An API key is revoked, never deleted: documents name it.');
