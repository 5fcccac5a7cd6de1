-- Everything anew from the landed tables.

-- Tells readers of their caches.
CREATE OR REPLACE FUNCTION core.bump(p_source text) RETURNS void LANGUAGE sql AS $$
  WITH bumped AS (
    UPDATE ops.projection_version p SET version = nextval('ops.projection_version_seq')
     WHERE p.source = p_source AND core.role_of(
             (SELECT s.source_type FROM core.source s WHERE s.source = p_source), p.task) IS NOT NULL
    RETURNING task, version)
  SELECT pg_notify('foz_projection', concat_ws(' ', p_source, task, version)) FROM bumped
$$;

-- The sources that have landed rows of this type.
CREATE OR REPLACE FUNCTION core.landed_sources(p_source_type text) RETURNS SETOF text
LANGUAGE plpgsql STABLE AS $$
DECLARE
  v_table regclass;
BEGIN
  FOR v_table IN
    SELECT c.oid::regclass FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = p_source_type AND c.relkind = 'r' AND core.role_of(n.nspname, c.relname) IN ('own', 'people')
  LOOP
    RETURN QUERY EXECUTE format($q$
      WITH RECURSIVE found AS (
        (SELECT source FROM %1$s ORDER BY source LIMIT 1)
        UNION ALL
        SELECT (SELECT t.source FROM %1$s t WHERE t.source > f.source ORDER BY t.source LIMIT 1)
          FROM found f WHERE f.source IS NOT NULL)
      SELECT source FROM found WHERE source IS NOT NULL
      $q$, v_table);
  END LOOP;
END
$$;

CREATE OR REPLACE FUNCTION core.rebuild(
  p_sources jsonb, p_source_type text DEFAULT NULL,
  OUT tickets bigint, OUT changed bigint, OUT technicians bigint, OUT events bigint)
LANGUAGE plpgsql SET TimeZone TO 'UTC' SET jit TO off SET enable_mergejoin TO off SET work_mem TO '128MB' AS $$
DECLARE
  v_source record;
  v_at     timestamptz;
  v_events bigint;
BEGIN
  PERFORM core.lock();
  v_at := clock_timestamp();
  DELETE FROM core.owed o
   WHERE p_source_type IS NULL
      OR o.source IN (SELECT s.source FROM core.source s WHERE s.source_type = p_source_type);
  SELECT count(*) INTO v_events FROM core.ticket_event;
  PERFORM core.register(s ->> 'source', s ->> 'source_type', s ->> 'url')
     FROM jsonb_array_elements(p_sources) s
    WHERE s ->> 'source' IN (SELECT core.landed_sources(s ->> 'source_type'))
       OR EXISTS (SELECT FROM core.source o WHERE o.source = s ->> 'source');
  INSERT INTO core.source (source, source_type)
  SELECT l, t.type FROM (VALUES ('servicenow'), ('glpi'), ('azure_devops')) t (type), core.landed_sources(t.type) l
  ON CONFLICT DO NOTHING;
  changed := 0;
  DROP TABLE IF EXISTS pg_temp.touched;
  CREATE TEMPORARY TABLE touched (key text PRIMARY KEY) ON COMMIT DROP;
  FOR v_source IN SELECT * FROM core.source s WHERE to_regclass('core.' || s.source_type || '_ticket') IS NOT NULL
                     AND (p_source_type IS NULL OR s.source_type = p_source_type) ORDER BY s.source LOOP
    PERFORM core.refresh_people(v_source.source, v_source.source_type, true);
  END LOOP;
  PERFORM core.refresh_technicians(true);
  FOR v_source IN SELECT * FROM core.source s WHERE to_regclass('core.' || s.source_type || '_ticket') IS NOT NULL
                     AND (p_source_type IS NULL OR s.source_type = p_source_type) ORDER BY s.source LOOP
    EXECUTE format('SELECT core.%I($1, NULL)', v_source.source_type || '_touch') USING v_source.source;
    changed := changed
      + core.refresh_tickets(v_source.source, v_source.source_type, true, true, NULL, NULL);
    EXECUTE format('SELECT core.%I($1, NULL, true, NULL, NULL)', v_source.source_type || '_history')
      USING v_source.source;
    IF v_source.source_type <> 'servicenow' THEN
      PERFORM core.record_breaches(format('t.source = %L', v_source.source), v_at, NULL, NULL);
    END IF;
    PERFORM core.bump(v_source.source);
  END LOOP;
  PERFORM core.recount();
  SELECT count(*) INTO tickets FROM core.ticket;
  SELECT count(*) INTO technicians FROM core.technician;
  SELECT count(*) - v_events INTO events FROM core.ticket_event;
END
$$;

COMMENT ON FUNCTION core.rebuild(jsonb, text) IS
  'computes core again from the landed tables; p_sources: [{source, source_type, url}] as configured';
