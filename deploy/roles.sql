-- The four roles of foz, and one that only reads. Run by a superuser (or a role with CREATEROLE that
-- owns the database), in foz's database, before the first `foz-worker migrate` and once more behind it:
--
--     psql -v ON_ERROR_STOP=1 -d foz -f roles.sql
--
-- Then give the programs logins that are members of them, for example
--
--     CREATE ROLE foz_worker_login LOGIN PASSWORD '...' IN ROLE foz_worker;
--
-- and run `migrate` as a member of foz_owner after `SET ROLE`, simplest by a login whose
-- configuration says so:
--
--     CREATE ROLE foz_migrate_login LOGIN PASSWORD '...' IN ROLE foz_owner;
--     ALTER ROLE foz_migrate_login SET role TO foz_owner;
--
-- What another role has migrated already has to be handed over first, by a superuser:
--
--     REASSIGN OWNED BY that_role TO foz_owner;   -- everything it owns in this database
--
-- A single role that owns the database works too; then nothing of this is needed. The script can be
-- run again at any time. The first full load of a table drops and rebuilds its secondary indexes
-- only if the worker's role owns the table; otherwise it takes about twice as long.

DO $$
DECLARE
  role text;
BEGIN
  FOREACH role IN ARRAY ARRAY['foz_owner', 'foz_worker', 'foz_api', 'foz_admin', 'foz_reader'] LOOP
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
      EXECUTE format('CREATE ROLE %I NOLOGIN', role);
    END IF;
  END LOOP;
  EXECUTE format('GRANT CREATE, TEMPORARY ON DATABASE %I TO foz_owner', current_database());
  EXECUTE format('GRANT CONNECT ON DATABASE %I TO foz_owner, foz_worker, foz_api, foz_admin, foz_reader',
                 current_database());
  EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO foz_worker', current_database());
END
$$;

GRANT foz_owner TO CURRENT_USER;
CREATE SCHEMA IF NOT EXISTS ops AUTHORIZATION foz_owner;
CREATE SCHEMA IF NOT EXISTS staging AUTHORIZATION foz_owner;
CREATE SCHEMA IF NOT EXISTS core AUTHORIZATION foz_owner;
CREATE SCHEMA IF NOT EXISTS api AUTHORIZATION foz_owner;
CREATE SCHEMA IF NOT EXISTS servicenow AUTHORIZATION foz_owner;
CREATE SCHEMA IF NOT EXISTS glpi AUTHORIZATION foz_owner;
CREATE SCHEMA IF NOT EXISTS azure_devops AUTHORIZATION foz_owner;

-- What exists, and what foz_owner will create later.
GRANT USAGE ON SCHEMA ops, core, servicenow, glpi, azure_devops TO foz_worker;
GRANT USAGE, CREATE ON SCHEMA staging TO foz_worker;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ops, core, servicenow, glpi, azure_devops TO foz_worker;
GRANT USAGE, SELECT, UPDATE ON ALL SEQUENCES IN SCHEMA ops, core TO foz_worker;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA ops, core TO foz_worker;
ALTER DEFAULT PRIVILEGES FOR ROLE foz_owner IN SCHEMA ops, core, servicenow, glpi, azure_devops
  GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO foz_worker;
ALTER DEFAULT PRIVILEGES FOR ROLE foz_owner IN SCHEMA ops, core GRANT USAGE, SELECT, UPDATE ON SEQUENCES TO foz_worker;
ALTER DEFAULT PRIVILEGES FOR ROLE foz_owner IN SCHEMA ops, core GRANT EXECUTE ON FUNCTIONS TO foz_worker;

-- The API reads the log and the views, enqueues, cancels and notes the use of its keys.
GRANT USAGE ON SCHEMA ops, api TO foz_api;
GRANT SELECT ON ALL TABLES IN SCHEMA ops, api TO foz_api;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA ops, api TO foz_api;
ALTER DEFAULT PRIVILEGES FOR ROLE foz_owner IN SCHEMA ops, api GRANT SELECT ON TABLES TO foz_api;
ALTER DEFAULT PRIVILEGES FOR ROLE foz_owner IN SCHEMA ops, api GRANT EXECUTE ON FUNCTIONS TO foz_api;

-- Column rights need their tables, so they follow `migrate`: run this file again after the first.
DO $$
BEGIN
  IF to_regclass('ops.execution_log') IS NOT NULL THEN
    GRANT UPDATE (status, finished_at, duration_ms, error_message, cancel_requested_at, cancel_requested_by)
      ON ops.execution_log TO foz_api;
    GRANT UPDATE (last_used_at) ON ops.api_key TO foz_api;
    GRANT INSERT, UPDATE, DELETE ON ops.api_key TO foz_admin;
    -- The worker makes no keys and migrates nothing; rejected records are not for the API.
    REVOKE INSERT, UPDATE, DELETE ON ops.api_key, ops.migration FROM foz_worker;
    REVOKE SELECT ON ops.dead_letter FROM foz_api;
    GRANT SELECT (id, execution_id, source, task, record_key, reason, first_seen, last_seen, resolved_at)
      ON ops.dead_letter TO foz_api;
  END IF;
END
$$;

GRANT foz_api TO foz_admin;

-- People and dashboards that speak SQL: the documented views and the copies, not the keys.
GRANT USAGE ON SCHEMA api, core, servicenow, glpi, azure_devops TO foz_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA api, core, servicenow, glpi, azure_devops TO foz_reader;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA api TO foz_reader;
ALTER DEFAULT PRIVILEGES FOR ROLE foz_owner IN SCHEMA api, core, servicenow, glpi, azure_devops
  GRANT SELECT ON TABLES TO foz_reader;
ALTER DEFAULT PRIVILEGES FOR ROLE foz_owner IN SCHEMA api GRANT EXECUTE ON FUNCTIONS TO foz_reader;
