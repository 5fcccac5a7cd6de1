-- What a load calls: core.refresh inside the publish of a task, core.settle at the end of the execution for
-- what was too much for that.
--
-- Neither may join by merging: all rows of a source share its name, and while the statistics of a table that
-- was just filled are missing, a merge by the name alone looks cheap and compares everything with everything.

CREATE OR REPLACE FUNCTION core.register(p_source text, p_source_type text, p_url text) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
  v_url text := core.web_url(p_source_type, p_url);
  v_n   bigint;
BEGIN
  INSERT INTO core.source AS s (source, source_type, url) VALUES (p_source, p_source_type, v_url)
  ON CONFLICT (source) DO UPDATE SET source_type = excluded.source_type, url = excluded.url
    WHERE (s.source_type, s.url) IS DISTINCT FROM (excluded.source_type, excluded.url);
  GET DIAGNOSTICS v_n = ROW_COUNT;
  RETURN v_n > 0;
END
$$;

CREATE OR REPLACE FUNCTION core.refresh(
  p_source text, p_source_type text, p_url text, p_task text, p_execution bigint, p_trace text) RETURNS void
LANGUAGE plpgsql SET TimeZone TO 'UTC' SET jit TO off SET enable_mergejoin TO off AS $$
DECLARE
  v_role    text := core.role_of(p_source_type, p_task);
  v_delta   bigint;
  v_people  bigint := 0;
  v_all     boolean;
  v_empty   boolean;
  v_changed bigint := 0;
  v_at      timestamptz;
  v_size    float8;
BEGIN
  IF v_role IS NULL OR to_regclass('core.' || p_source_type || '_ticket') IS NULL THEN
    RETURN;
  END IF;
  SELECT count(*) INTO v_delta FROM pg_temp.delta;
  -- Before the lock: a publish like this may hold its landed table alone, and whoever has the lock
  -- may be waiting for it.
  IF v_delta > 20000 THEN
    INSERT INTO core.owed (source, task) VALUES (p_source, p_task);
    RETURN;
  END IF;
  PERFORM core.lock();
  v_at := clock_timestamp();
  v_all := v_role <> 'history' AND core.register(p_source, p_source_type, p_url);
  -- From a tenth on it is quicker to look at all of them.
  SELECT greatest(reltuples, 1000) / 10 INTO v_size FROM pg_class WHERE oid = 'core.ticket'::regclass;
  DROP TABLE IF EXISTS pg_temp.touched;
  CREATE TEMPORARY TABLE touched (key text PRIMARY KEY) ON COMMIT DROP;
  IF v_role IN ('people', 'people_all') THEN
    v_people := core.refresh_people(p_source, p_source_type, v_role = 'people_all');
    v_all := v_all OR v_people > 1000;
  END IF;
  v_empty := NOT core.has_tickets(p_source);
  v_all := v_all OR (v_role IN ('own', 'linked') AND v_delta > v_size)
           OR (v_role = 'linked' AND NOT EXISTS (
                 SELECT FROM pg_attribute WHERE attrelid = 'pg_temp.delta'::regclass AND attname = 'etl_ticket'));
  IF v_role <> 'history' AND NOT (v_empty AND v_role <> 'own' AND v_role <> 'dimension') THEN
    IF NOT v_all AND v_people > 0 THEN
      PERFORM core.touch_by_people(p_source);
    END IF;
    IF NOT v_all AND v_role <> 'people' THEN
      EXECUTE format('SELECT core.%I($1, $2)', p_source_type || '_touch') USING p_source, p_task;
    ELSIF v_role = 'dimension' THEN
      EXECUTE format('SELECT core.%I($1, $2)', p_source_type || '_touch') USING p_source, p_task;
    END IF;
    IF v_role = 'own' AND core.is_new(p_source) THEN
      PERFORM core.fill_tickets(p_source, p_source_type, p_execution, p_trace);
      PERFORM core.record_breaches(
        format('t.source = %L AND t.source_type <> ''servicenow''', p_source), v_at, p_execution, p_trace);
    ELSIF v_all OR EXISTS (SELECT FROM pg_temp.touched) THEN
      ANALYZE pg_temp.touched;
      v_all := v_all OR (SELECT count(*) FROM pg_temp.touched) > v_size;
      v_changed := core.refresh_tickets(p_source, p_source_type, v_all, false, p_execution, p_trace);
      IF v_changed > 0 AND p_source_type <> 'servicenow' THEN
        PERFORM core.record_breaches(
          't.ticket_id IN (SELECT c.ticket_id FROM pg_temp.change c)', v_at, p_execution, p_trace);
      END IF;
    END IF;
  END IF;
  IF v_people > 0 THEN
    PERFORM core.follow_addresses();
  END IF;
  EXECUTE format('SELECT core.%I($1, $2, false, $3, $4)', p_source_type || '_history')
    USING p_source, p_task, p_execution, p_trace;
END
$$;

COMMENT ON FUNCTION core.refresh(text, text, text, text, bigint, text) IS
  'brings core up to what a publish changed: called in its transaction, after the merge';

-- What publishes of a source have left to the end. Returns false if that was nothing.
CREATE OR REPLACE FUNCTION core.settle(
  p_source text, p_source_type text, p_url text, p_execution bigint, p_trace text) RETURNS boolean
LANGUAGE plpgsql SET TimeZone TO 'UTC' SET jit TO off SET enable_mergejoin TO off SET work_mem TO '128MB' AS $$
DECLARE
  v_last   bigint;
  v_at     timestamptz;
  v_people bigint;
BEGIN
  IF NOT EXISTS (SELECT FROM core.owed o WHERE o.source = p_source)
     OR to_regclass('core.' || p_source_type || '_ticket') IS NULL THEN
    RETURN false;
  END IF;
  PERFORM core.lock();
  v_at := clock_timestamp();
  SELECT max(id) INTO v_last FROM core.owed o WHERE o.source = p_source;
  PERFORM core.register(p_source, p_source_type, p_url);
  DROP TABLE IF EXISTS pg_temp.touched;
  CREATE TEMPORARY TABLE touched (key text PRIMARY KEY) ON COMMIT DROP;
  v_people := core.refresh_people(p_source, p_source_type, true);
  EXECUTE format('SELECT core.%I($1, NULL)', p_source_type || '_touch') USING p_source;
  IF core.is_new(p_source) THEN
    PERFORM core.fill_tickets(p_source, p_source_type, p_execution, p_trace);
  ELSE
    PERFORM core.refresh_tickets(p_source, p_source_type, true, false, p_execution, p_trace);
  END IF;
  IF v_people > 0 THEN
    PERFORM core.follow_addresses();
  END IF;
  EXECUTE format('SELECT core.%I($1, NULL, true, $2, $3)', p_source_type || '_history')
    USING p_source, p_execution, p_trace;
  IF p_source_type <> 'servicenow' THEN
    PERFORM core.record_breaches(format('t.source = %L', p_source), v_at, p_execution, p_trace);
  END IF;
  DELETE FROM core.owed o WHERE o.source = p_source AND o.id <= v_last;
  PERFORM core.bump(p_source);
  RETURN true;
END
$$;

COMMENT ON FUNCTION core.settle(text, text, text, bigint, text) IS
  'brings core up to publishes that changed too many rows to do it themselves: called at the end of an execution';
