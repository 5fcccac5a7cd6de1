-- Tickets in core, and the events that tell what differed. core.TYPE_ticket says what a ticket is made of;
-- here core.ticket is brought up to it, for the tickets in pg_temp.touched or for all of a source.

-- How late it is at the source: as the publish says, else as of its latest watermark.
CREATE OR REPLACE FUNCTION core.source_time(p_source text) RETURNS timestamptz LANGUAGE sql STABLE AS $$
  SELECT coalesce(nullif(current_setting('foz.source_time', true), '')::timestamptz,
                  (SELECT max(w.high) FROM ops.watermark w WHERE w.source = p_source), now())
$$;

-- Does the source tell what happened to a ticket? GLPI's log may be switched off here, or the account refused it.
CREATE OR REPLACE FUNCTION core.has_history(p_source text, p_source_type text, p_execution bigint) RETURNS boolean
LANGUAGE sql STABLE AS $$
  SELECT CASE p_source_type
    WHEN 'servicenow' THEN false
    WHEN 'glpi' THEN EXISTS (SELECT FROM ops.watermark w WHERE w.source = p_source AND w.task = 'log')
      OR coalesce((SELECT x.error_class IS DISTINCT FROM 'denied' FROM ops.execution_task x
                    WHERE x.source = p_source AND x.task = 'log' AND x.finished_at IS NOT NULL
                    ORDER BY x.execution_id DESC LIMIT 1),
                  EXISTS (SELECT FROM ops.execution_task x
                           WHERE x.execution_id = p_execution AND x.source = p_source AND x.task = 'log'))
    ELSE true END
$$;

-- Events from the difference that pg_temp.change holds. Where the source keeps its history, only of
-- what history cannot tell: that a ticket came, or is gone altogether.
CREATE OR REPLACE FUNCTION core.record_changes(
  p_source text, p_source_type text, p_only_new boolean, p_execution bigint, p_trace text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  v_has_history boolean := core.has_history(p_source, p_source_type, p_execution);
BEGIN
  -- Come, or come back.
  INSERT INTO core.ticket_event (event_id, ticket_id, type, occurred_at, execution_id, trace_id, payload)
  SELECT CASE WHEN d.event_id IS NULL THEN core.event_id(c.ticket_id, 'TicketCreatedV1')
              ELSE core.event_id(c.ticket_id, 'TicketRestoredV1', d.event_id::text) END,
         c.ticket_id, CASE WHEN d.event_id IS NULL THEN 'TicketCreatedV1' ELSE 'TicketRestoredV1' END,
         CASE WHEN d.event_id IS NULL THEN coalesce(c.created_at, c.updated_at, now())
              ELSE greatest(c.updated_at, d.occurred_at) END,
         p_execution, p_trace,
         CASE WHEN d.event_id IS NULL
              THEN jsonb_build_object('number', c.number, 'kind', c.kind, 'title', c.title) ELSE '{}' END
    FROM pg_temp.change c
    LEFT JOIN LATERAL (
      -- What is in a trash comes back by the history.
      SELECT e.event_id, e.occurred_at FROM core.ticket_event e
       WHERE e.ticket_id = c.ticket_id AND e.type = 'TicketDeletedV1' AND e.payload ->> 'how' <> 'trashed'
         AND NOT EXISTS (SELECT FROM core.ticket_event r
                          WHERE r.ticket_id = c.ticket_id AND r.event_id = core.event_id(c.ticket_id, 'TicketRestoredV1', e.event_id::text))
       ORDER BY e.seq DESC LIMIT 1) d ON NOT p_only_new
   -- The first condition spares most tickets the look at their events.
   WHERE c.ticket_id IS NOT NULL
     AND ((c.old).ticket_id IS NULL OR ((c.old).deleted_at IS NOT NULL AND c.deleted_at IS NULL))
     AND ((c.old).ticket_id IS NULL OR d.event_id IS NOT NULL)
  ON CONFLICT DO NOTHING;
  IF p_only_new THEN
    RETURN;
  END IF;
  -- Gone from the source, which does not say when: since the last look, and after its last change.
  INSERT INTO core.ticket_event (event_id, ticket_id, type, occurred_at, execution_id, trace_id, payload)
  SELECT core.event_id((c.old).ticket_id, 'TicketDeletedV1', coalesce(p_execution::text, now()::text)),
         (c.old).ticket_id, 'TicketDeletedV1', greatest(core.source_time(p_source), (c.old).updated_at), p_execution, p_trace,
         '{"how": "deleted"}'
    FROM pg_temp.change c
   WHERE c.ticket_id IS NULL AND (c.old).deleted_at IS NULL
  ON CONFLICT DO NOTHING;
  IF v_has_history THEN
    RETURN;
  END IF;
  INSERT INTO core.ticket_event (event_id, ticket_id, type, occurred_at, execution_id, trace_id, payload)
  SELECT core.event_id(c.ticket_id, e.type, coalesce(c.updated_at::text, ''), e.payload::text),
         c.ticket_id, e.type, coalesce(c.updated_at, now()), p_execution, p_trace, e.payload
    FROM pg_temp.change c
   CROSS JOIN LATERAL (
      SELECT 'TicketStatusChangedV1' AS type,
             jsonb_build_object('old', jsonb_build_object('status', (c.old).status, 'raw', (c.old).status_raw),
                                'new', jsonb_build_object('status', c.status, 'raw', c.status_raw)) AS payload
       WHERE c.status_raw IS DISTINCT FROM (c.old).status_raw
      UNION ALL
      SELECT 'TechnicianAssignmentChangedV1',
             CASE WHEN c.assignee_key IS DISTINCT FROM (c.old).assignee_key
                  THEN jsonb_build_object('assignee', jsonb_build_object(
                         'old', core.person(p_source, (c.old).assignee_key),
                         'new', core.person(p_source, c.assignee_key)))
                  ELSE '{}' END
             || CASE WHEN c.queue_key IS DISTINCT FROM (c.old).queue_key
                  THEN jsonb_build_object('team', jsonb_build_object(
                         'old', CASE WHEN (c.old).queue_key IS NOT NULL THEN
                                  jsonb_build_object('external_id', (c.old).queue_key, 'name', (c.old).queue) END,
                         'new', CASE WHEN c.queue_key IS NOT NULL THEN
                                  jsonb_build_object('external_id', c.queue_key, 'name', c.queue) END))
                  ELSE '{}' END
       WHERE (c.assignee_key, c.queue_key) IS DISTINCT FROM ((c.old).assignee_key, (c.old).queue_key)
      UNION ALL
      SELECT 'TicketDeletedV1', '{"how": "trashed"}' WHERE c.deleted_at IS NOT NULL AND (c.old).deleted_at IS NULL
      UNION ALL
      SELECT 'TicketRestoredV1', '{}' WHERE c.deleted_at IS NULL AND (c.old).deleted_at IS NOT NULL
      UNION ALL
      SELECT 'TicketUpdatedV1',
             jsonb_build_object('fields', jsonb_object_agg(f.name, jsonb_build_object('old', f.old, 'new', f.new)))
        FROM (VALUES ('number', to_jsonb((c.old).number), to_jsonb(c.number)),
                     ('title', to_jsonb((c.old).title), to_jsonb(c.title)),
                     ('priority', to_jsonb((c.old).priority), to_jsonb(c.priority)),
                     ('category', to_jsonb((c.old).category), to_jsonb(c.category)),
                     ('requester', to_jsonb((c.old).requester_key), to_jsonb(c.requester_key)),
                     ('opened_at', to_jsonb((c.old).opened_at), to_jsonb(c.opened_at)),
                     ('reopen_count', to_jsonb((c.old).reopen_count), to_jsonb(c.reopen_count))) f (name, old, new)
       WHERE f.old IS DISTINCT FROM f.new
      HAVING count(*) > 0) e
   WHERE c.ticket_id IS NOT NULL AND (c.old).ticket_id IS NOT NULL
     AND (c.status_raw, c.assignee_key, c.queue_key, c.number, c.title, c.priority, c.category, c.requester_key,
          c.opened_at, c.reopen_count, c.deleted_at)
         IS DISTINCT FROM
         ((c.old).status_raw, (c.old).assignee_key, (c.old).queue_key, (c.old).number, (c.old).title, (c.old).priority,
          (c.old).category, (c.old).requester_key, (c.old).opened_at, (c.old).reopen_count, (c.old).deleted_at)
  ON CONFLICT DO NOTHING;
END
$$;

-- Deadlines that passed, of the tickets in pg_temp.change. Each is one happening of its clock: a deadline
-- that moves later can pass again. Of ServiceNow only the time is known here; which SLA it was its history
-- tells, and what that has told is not told again. Nor is what was recorded before ids named the clock.
CREATE OR REPLACE FUNCTION core.record_breaches(
  p_condition text, p_at timestamptz, p_execution bigint, p_trace text) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
  v_n bigint;
BEGIN
  EXECUTE format($q$
    INSERT INTO core.ticket_event (event_id, ticket_id, type, occurred_at, execution_id, trace_id, payload)
    SELECT core.event_id(t.ticket_id, 'TicketSlaBreachedV1', b.due_at::text, b.clock), t.ticket_id, 'TicketSlaBreachedV1',
           b.due_at, $2, $3, jsonb_build_object('clock', b.clock, 'due_at', b.due_at)
      FROM core.ticket t
     CROSS JOIN LATERAL (
        SELECT 'resolve' AS clock, t.sla_due_at AS due_at
         WHERE CASE WHEN t.sla_done_at IS NULL THEN t.sla_due_at < $1 ELSE t.sla_done_at > t.sla_due_at END
        UNION ALL
        SELECT 'own', t.sla_own_due_at
         WHERE t.sla_owned_at > t.sla_own_due_at
            OR (t.sla_owned_at IS NULL
                AND t.sla_owned_after_s > extract(epoch FROM t.sla_own_due_at - t.opened_at))
            OR (t.sla_owned_after_s = 0 AND t.sla_own_due_at < $1)) b
     WHERE NOT t.sla_waits AND t.deleted_at IS NULL AND (%s)
       AND NOT EXISTS (SELECT FROM core.ticket_event e
                        WHERE e.ticket_id = t.ticket_id AND e.type = 'TicketSlaBreachedV1' AND e.occurred_at = b.due_at
                          AND (t.source_type = 'servicenow' OR e.payload ->> 'clock' = b.clock))
    ON CONFLICT DO NOTHING
    $q$, p_condition) USING p_at, p_execution, p_trace;
  GET DIAGNOSTICS v_n = ROW_COUNT;
  RETURN v_n;
END
$$;

CREATE OR REPLACE FUNCTION core.ticket_columns(p_format text, p_separator text DEFAULT ', ') RETURNS text
LANGUAGE sql STABLE AS $$
  SELECT string_agg(format(p_format, attname), p_separator ORDER BY attnum) FROM pg_attribute
   WHERE attrelid = 'core.ticket'::regclass AND attnum > 0 AND NOT attisdropped
$$;

-- The view to read all tickets of a source by: core.TYPE_ticket_all where one ticket is looked at otherwise.
CREATE OR REPLACE FUNCTION core.view_of_all(p_source_type text) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT quote_ident(p_source_type || CASE WHEN to_regclass('core.' || quote_ident(p_source_type || '_ticket_all')) IS NULL
                                           THEN '_ticket' ELSE '_ticket_all' END)
$$;

-- The next statements are planned for what is there now. As the owner, because nobody else may.
CREATE OR REPLACE FUNCTION core.analyze_tickets() RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path TO pg_catalog AS 'ANALYZE core.ticket';

CREATE OR REPLACE FUNCTION core.analyze_people() RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path TO pg_catalog AS 'ANALYZE core.technician_identity';

CREATE OR REPLACE FUNCTION core.has_tickets(p_source text) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT EXISTS (SELECT FROM core.ticket t WHERE t.ticket_id >= p_source || ':' AND t.ticket_id < p_source || ';')
$$;

-- No ticket of the source is there, nor ever was one that might come back.
CREATE OR REPLACE FUNCTION core.is_new(p_source text) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT NOT core.has_tickets(p_source) AND NOT EXISTS (
    SELECT FROM core.ticket_event e
     WHERE e.ticket_id >= p_source || ':' AND e.ticket_id < p_source || ';' AND e.type = 'TicketDeletedV1')
$$;

DROP FUNCTION IF EXISTS core.drop_indexes();

-- Takes the indexes away where nobody misses them yet: building them from the finished table costs a
-- fraction of keeping them through a million inserts. Returns how to make them again.
-- Where others hold the table, they stay.
CREATE OR REPLACE FUNCTION core.drop_indexes(p_table regclass) RETURNS text[]
LANGUAGE plpgsql SET lock_timeout TO '2s' AS $$
DECLARE
  v_empty  boolean;
  v_index  record;
  v_create text[] := '{}';
BEGIN
  EXECUTE format('SELECT NOT EXISTS (SELECT FROM %s)', p_table) INTO v_empty;
  IF NOT v_empty OR NOT (SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = p_table) THEN
    RETURN v_create;
  END IF;
  BEGIN
    EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', p_table);
  EXCEPTION WHEN lock_not_available THEN
    RETURN v_create;
  END;
  FOR v_index IN SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', p_table, c.conname) AS gone,
                        format('ALTER TABLE %s ADD CONSTRAINT %I %s', p_table, c.conname, pg_get_constraintdef(c.oid)) AS again
                   FROM pg_constraint c WHERE c.conrelid = p_table AND c.contype = 'p'
                    AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.refclassid = 'pg_constraint'::regclass
                                                              AND d.refobjid = c.oid AND d.deptype = 'n')
                  UNION ALL
                 SELECT format('DROP INDEX %s', i.indexrelid::regclass), pg_get_indexdef(i.indexrelid)
                   FROM pg_index i WHERE i.indrelid = p_table AND NOT i.indisunique LOOP
    EXECUTE v_index.gone;
    v_create := v_create || v_index.again;
  END LOOP;
  RETURN v_create;
END
$$;

CREATE OR REPLACE FUNCTION core.create_indexes(p_create text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_create text;
BEGIN
  FOREACH v_create IN ARRAY p_create LOOP
    EXECUTE v_create;
  END LOOP;
END
$$;

-- The first tickets of a source.
CREATE OR REPLACE FUNCTION core.fill_tickets(
  p_source text, p_source_type text, p_execution bigint, p_trace text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  v_n     bigint;
  v_later text[] := core.drop_indexes('core.ticket');
  -- Where no event can be there already, none needs to be looked for.
  v_known boolean := EXISTS (SELECT FROM core.ticket_event e
                              WHERE e.ticket_id >= p_source || ':' AND e.ticket_id < p_source || ';');
BEGIN
  EXECUTE format('INSERT INTO core.ticket (%s) SELECT %s FROM core.%s v WHERE v.source = %L',
                 core.ticket_columns('%I'), core.ticket_columns('v.%I'), core.view_of_all(p_source_type), p_source);
  GET DIAGNOSTICS v_n = ROW_COUNT;
  PERFORM core.create_indexes(v_later);
  IF v_n > 10000 THEN
    PERFORM core.analyze_tickets();
  END IF;
  v_later := core.drop_indexes('core.ticket_event');
  EXECUTE format($q$
    INSERT INTO core.ticket_event (event_id, ticket_id, type, occurred_at, execution_id, trace_id, payload)
    SELECT md5(v.ticket_id || '|TicketCreatedV1')::uuid, v.ticket_id, 'TicketCreatedV1',
           coalesce(v.created_at, v.updated_at, now()), $1, $2,
           jsonb_build_object('number', v.number, 'kind', v.kind, 'title', v.title)
      FROM core.%I v WHERE v.source = %L %s
    $q$, p_source_type || '_created', p_source, CASE WHEN v_known THEN 'ON CONFLICT DO NOTHING' END)
    USING p_execution, p_trace;
  PERFORM core.create_indexes(v_later);
END
$$;

-- Makes the tickets in pg_temp.touched (with `all`: every one of the source) what the landed rows
-- say. Leaves in pg_temp.change what differed.
CREATE OR REPLACE FUNCTION core.refresh_tickets(
  p_source text, p_source_type text, p_all boolean, p_only_new_events boolean, p_execution bigint, p_trace text)
RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
  v_view text := p_source_type || '_ticket';
  v_type text;
  v_n    bigint;
BEGIN
  DROP TABLE IF EXISTS pg_temp.change;
  IF p_all THEN
    EXECUTE format($q$
      CREATE TEMPORARY TABLE change ON COMMIT DROP AS
      SELECT %3$s, v.created_at, t.old
        FROM (SELECT * FROM core.%1$s WHERE source = %2$L) v
        FULL JOIN (SELECT t AS old, t.ticket_id FROM core.ticket t
                    WHERE t.ticket_id >= %2$L || ':' AND t.ticket_id < %2$L || ';') t ON t.ticket_id = v.ticket_id
       WHERE ROW(%3$s)::core.ticket IS DISTINCT FROM t.old
      $q$, core.view_of_all(p_source_type), p_source, core.ticket_columns('v.%I'));
  ELSE
    SELECT format_type(atttypid, atttypmod) INTO v_type FROM pg_attribute
     WHERE attrelid = ('core.' || v_view)::regclass AND attname = 'key';
    EXECUTE format($q$
      CREATE TEMPORARY TABLE change ON COMMIT DROP AS
      SELECT %3$s, v.created_at, t AS old
        FROM pg_temp.touched k
        LEFT JOIN core.%1$I v ON v.source = %2$L AND v.key = k.key::%4$s
        LEFT JOIN core.ticket t ON t.ticket_id = %2$L || ':' || k.key
       WHERE ROW(%3$s)::core.ticket IS DISTINCT FROM t AND NOT (v.ticket_id IS NULL AND t.ticket_id IS NULL)
      $q$, v_view, p_source, core.ticket_columns('v.%I'), v_type);
  END IF;
  GET DIAGNOSTICS v_n = ROW_COUNT;
  IF v_n = 0 THEN
    RETURN 0;
  END IF;
  IF v_n > 1000 THEN
    ANALYZE pg_temp.change;
  END IF;
  DELETE FROM core.ticket t USING pg_temp.change c
   WHERE c.ticket_id IS NULL AND t.ticket_id = (c.old).ticket_id;
  EXECUTE format('UPDATE core.ticket t SET %s FROM pg_temp.change c WHERE t.ticket_id = c.ticket_id'
                 ' AND (c.old).ticket_id IS NOT NULL',
                 core.ticket_columns('%1$I = c.%1$I'));
  EXECUTE format('INSERT INTO core.ticket (%s) SELECT %s FROM pg_temp.change c'
                 ' WHERE c.ticket_id IS NOT NULL AND (c.old).ticket_id IS NULL',
                 core.ticket_columns('%I'), core.ticket_columns('c.%I'));
  PERFORM core.record_changes(p_source, p_source_type, p_only_new_events, p_execution, p_trace);
  RETURN v_n;
END
$$;
