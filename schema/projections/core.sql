-- Keeps core current. core.refresh runs inside the publish of a task, after the merge has left the
-- changed keys in pg_temp.delta; core.rebuild computes everything again from the landed tables;
-- core.tick finds the deadlines that passed. What is particular to a type of source is in
-- core_TYPE.sql: the views core.TYPE_ticket and core.TYPE_person (columns of core.ticket and of an
-- identity, then `key` as the landed table has it), and the functions core.TYPE_touch and
-- core.TYPE_history.
--
-- A publish that changes very many rows, such as the first of a table, does not do it itself: it
-- leaves a note in core.owed, and core.settle brings core up to all of them at the end of the
-- execution, once. So a first load fills core once and not again for every table that adds to it.
--
-- One lock orders them all. Whoever changes a landed row that core is made of takes it before the
-- commit, so who holds it sees every such row, or its owner still waits and will refresh.

CREATE OR REPLACE FUNCTION core.lock() RETURNS void LANGUAGE sql AS $$
  SELECT pg_advisory_xact_lock(1718581765, 0)
$$;

-- What a task is to core: own (its rows are the tickets), linked (its rows name a ticket), people,
-- people_all (changes people that cannot be told from its keys), dimension, history; NULL: nothing.
CREATE OR REPLACE FUNCTION core.role_of(p_source_type text, p_task text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE p_source_type || '.' || p_task
           WHEN 'servicenow.incident' THEN 'own'
           WHEN 'servicenow.incident_sla' THEN 'linked'
           WHEN 'servicenow.groups' THEN 'dimension'
           WHEN 'servicenow.sys_user' THEN 'people'
           WHEN 'glpi.ticket' THEN 'own'
           WHEN 'glpi.ticket_user' THEN 'linked'
           WHEN 'glpi.group_ticket' THEN 'linked'
           WHEN 'glpi.itil_solution' THEN 'linked'
           WHEN 'glpi.log' THEN 'linked'
           WHEN 'glpi.itil_category' THEN 'dimension'
           WHEN 'glpi.group' THEN 'people_all'
           WHEN 'glpi.user_email' THEN 'people_all'
           WHEN 'glpi.user' THEN 'people'
           WHEN 'azure_devops.work_item' THEN 'own'
           WHEN 'azure_devops.work_item_revision' THEN 'history'
           WHEN 'azure_devops.project' THEN 'dimension'
           WHEN 'azure_devops.work_item_type_state' THEN 'dimension'
           WHEN 'azure_devops.identity' THEN 'people'
         END
$$;

-- Where people find records of a source whose API is at this address.
CREATE OR REPLACE FUNCTION core.web_url(p_source_type text, p_url text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE p_source_type
           WHEN 'glpi' THEN regexp_replace(p_url, '/(apirest\.php|api\.php)(/.*)?$', '')
           ELSE p_url
         END
$$;

CREATE OR REPLACE FUNCTION core.event_id(VARIADIC p_what text[]) RETURNS uuid
LANGUAGE sql IMMUTABLE AS $$
  SELECT md5(array_to_string(p_what, '|', '-'))::uuid
$$;

CREATE OR REPLACE FUNCTION core.technician_id(p_source text, p_external_id text, p_email text) RETURNS uuid
LANGUAGE sql IMMUTABLE AS $$
  SELECT md5(coalesce('mail:' || lower(p_email), 'id:' || p_source || ':' || p_external_id))::uuid
$$;

-- An address fit to tell people by.
CREATE OR REPLACE FUNCTION core.email(p_text text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN p_text LIKE '_%@_%' THEN lower(btrim(p_text)) END
$$;

-- A person as events name it; NULL for nobody.
CREATE OR REPLACE FUNCTION core.person(p_source text, p_key text, p_name text DEFAULT NULL) RETURNS jsonb
LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN p_key IS NOT NULL THEN
           jsonb_build_object('external_id', p_key,
             'id', coalesce((SELECT i.technician_id FROM core.technician_identity i
                              WHERE i.source = p_source AND i.external_id = p_key),
                            (SELECT t.technician_id FROM core.technician t
                              WHERE t.email = substr(p_key, 6) AND starts_with(p_key, 'mail:'))),
             'name', coalesce((SELECT i.name FROM core.technician_identity i
                                WHERE i.source = p_source AND i.external_id = p_key), p_name))
         END
$$;

-- --- people ------------------------------------------------------------------------------------

-- Technicians from identities: of the people in pg_temp.person_change, or of all.
CREATE OR REPLACE FUNCTION core.refresh_technicians(p_all boolean) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format($q$
    INSERT INTO core.technician AS t (technician_id, name, email, team)
    SELECT i.technician_id,
           (array_agg(i.name ORDER BY i.name IS NULL, i.source, i.external_id))[1],
           max(i.email),
           (array_agg(i.team ORDER BY i.team IS NULL, i.source, i.external_id))[1]
      FROM core.technician_identity i %s
     GROUP BY i.technician_id
    ON CONFLICT (technician_id) DO UPDATE SET name = excluded.name, email = excluded.email, team = excluded.team
      WHERE (t.name, t.email, t.team) IS DISTINCT FROM (excluded.name, excluded.email, excluded.team)
    $q$, CASE WHEN NOT p_all THEN 'WHERE i.technician_id IN (SELECT c.technician_id FROM pg_temp.person_change c
           UNION SELECT c.old_id FROM pg_temp.person_change c)' END);
  EXECUTE format($q$
    DELETE FROM core.technician t
     WHERE NOT EXISTS (SELECT FROM core.technician_identity i WHERE i.technician_id = t.technician_id) %s
    $q$, CASE WHEN NOT p_all THEN 'AND t.technician_id IN (SELECT c.old_id FROM pg_temp.person_change c)' END);
END
$$;

-- Leaves in pg_temp.person_change who differs from core, and makes it so. Without `all` only those
-- whose keys are in pg_temp.delta are looked at.
CREATE OR REPLACE FUNCTION core.refresh_people(p_source text, p_source_type text, p_all boolean) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
  v_view   text := p_source_type || '_person';
  v_key    text;
  v_type   text;
  v_n      bigint;
BEGIN
  DROP TABLE IF EXISTS pg_temp.person_change;
  IF p_all THEN
    EXECUTE format($q$
      CREATE TEMPORARY TABLE person_change ON COMMIT DROP AS
      SELECT coalesce(v.external_id, i.external_id) AS external_id, v.technician_id, v.name, v.email, v.team,
             i.technician_id AS old_id, i.name AS old_name, i.email AS old_email
        FROM (SELECT * FROM core.%1$I WHERE source = %2$L) v
        FULL JOIN (SELECT * FROM core.technician_identity WHERE source = %2$L) i ON i.external_id = v.external_id
       WHERE (v.technician_id, v.name, v.email, v.team) IS DISTINCT FROM (i.technician_id, i.name, i.email, i.team)
      $q$, v_view, p_source);
  ELSE
    SELECT attname INTO v_key FROM pg_attribute WHERE attrelid = 'pg_temp.delta'::regclass AND attnum = 1;
    SELECT format_type(atttypid, atttypmod) INTO v_type FROM pg_attribute
     WHERE attrelid = ('core.' || v_view)::regclass AND attname = 'key';
    EXECUTE format($q$
      CREATE TEMPORARY TABLE person_change ON COMMIT DROP AS
      SELECT k.key::text AS external_id, v.technician_id, v.name, v.email, v.team,
             i.technician_id AS old_id, i.name AS old_name, i.email AS old_email
        FROM (SELECT d.%3$I::%4$s AS key FROM pg_temp.delta d) k
        LEFT JOIN core.%1$I v ON v.source = %2$L AND v.key = k.key
        LEFT JOIN core.technician_identity i ON i.source = %2$L AND i.external_id = k.key::text
       WHERE (v.technician_id, v.name, v.email, v.team) IS DISTINCT FROM (i.technician_id, i.name, i.email, i.team)
      $q$, v_view, p_source, v_key, v_type);
  END IF;
  GET DIAGNOSTICS v_n = ROW_COUNT;
  IF v_n > 1000 THEN
    ANALYZE pg_temp.person_change;
  END IF;
  IF v_n > 0 THEN
    DELETE FROM core.technician_identity i USING pg_temp.person_change c
     WHERE c.technician_id IS NULL AND i.source = p_source AND i.external_id = c.external_id;
    -- The reference is checked at the commit, when technicians are there.
    UPDATE core.technician_identity i
       SET technician_id = c.technician_id, name = c.name, email = c.email, team = c.team
      FROM pg_temp.person_change c
     WHERE c.technician_id IS NOT NULL AND c.old_id IS NOT NULL
       AND i.source = p_source AND i.external_id = c.external_id;
    INSERT INTO core.technician_identity (source, external_id, technician_id, name, email, team)
    SELECT p_source, c.external_id, c.technician_id, c.name, c.email, c.team
      FROM pg_temp.person_change c WHERE c.technician_id IS NOT NULL AND c.old_id IS NULL;
    PERFORM core.refresh_technicians(false);
  END IF;
  RETURN v_n;
END
$$;

-- Tickets of any source that name somebody by the mail address alone.
CREATE OR REPLACE FUNCTION core.follow_addresses() RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  DROP TABLE IF EXISTS pg_temp.address;
  CREATE TEMPORARY TABLE address ON COMMIT DROP AS
  SELECT 'mail:' || e.email AS key, t.technician_id
    FROM (SELECT email FROM pg_temp.person_change WHERE email IS NOT NULL
          UNION SELECT old_email FROM pg_temp.person_change WHERE old_email IS NOT NULL) e
    LEFT JOIN core.technician t ON t.email = e.email;
  UPDATE core.ticket t SET assignee_id = a.technician_id FROM pg_temp.address a, core.source s
   WHERE s.source_type = 'azure_devops' AND t.source = s.source AND t.assignee_key = a.key
     AND t.assignee_key LIKE 'mail:%' AND t.assignee_id IS DISTINCT FROM a.technician_id;
  UPDATE core.ticket t SET resolved_by_id = a.technician_id FROM pg_temp.address a, core.source s
   WHERE s.source_type = 'azure_devops' AND t.source = s.source AND t.resolver_key = a.key
     AND t.resolver_key LIKE 'mail:%' AND t.resolved_by_id IS DISTINCT FROM a.technician_id;
END
$$;

-- The tickets whose people changed, into pg_temp.touched: one scan.
CREATE OR REPLACE FUNCTION core.touch_by_people(p_source text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  -- A ticket shows neither address nor team of a person.
  IF NOT EXISTS (SELECT FROM pg_temp.person_change c
                  WHERE (c.technician_id, c.name) IS DISTINCT FROM (c.old_id, c.old_name)) THEN
    RETURN;
  END IF;
  INSERT INTO pg_temp.touched
  SELECT t.external_id FROM core.ticket t
    LEFT JOIN pg_temp.person_change a ON a.external_id = t.assignee_key
    LEFT JOIN pg_temp.person_change r ON r.external_id = t.resolver_key
    LEFT JOIN pg_temp.person_change q ON q.external_id = t.requester_key
   WHERE t.ticket_id >= p_source || ':' AND t.ticket_id < p_source || ';'
     AND ((a.external_id IS NOT NULL AND t.assignee_id IS DISTINCT FROM a.technician_id)
       OR (r.external_id IS NOT NULL AND t.resolved_by_id IS DISTINCT FROM r.technician_id)
       OR (q.external_id IS NOT NULL AND t.requester IS DISTINCT FROM q.name))
  ON CONFLICT DO NOTHING;
END
$$;

-- --- tickets -----------------------------------------------------------------------------------

-- Events from the difference that pg_temp.change holds. Where the source keeps its history, only of
-- what history cannot tell: that a ticket came, or is gone altogether.
CREATE OR REPLACE FUNCTION core.record_changes(
  p_source text, p_source_type text, p_only_new boolean, p_execution bigint, p_trace text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  v_has_history boolean := p_source_type <> 'servicenow';
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
       ORDER BY e.recorded_at DESC LIMIT 1) d ON NOT p_only_new
   WHERE c.ticket_id IS NOT NULL
     AND ((c.old).ticket_id IS NULL
          OR (d.event_id IS NOT NULL AND (c.old).deleted_at IS NOT NULL AND c.deleted_at IS NULL))
  ON CONFLICT DO NOTHING;
  IF p_only_new THEN
    RETURN;
  END IF;
  -- Gone from the source, by a clock that only we have.
  INSERT INTO core.ticket_event (event_id, ticket_id, type, occurred_at, execution_id, trace_id, payload)
  SELECT core.event_id((c.old).ticket_id, 'TicketDeletedV1', coalesce(p_execution::text, now()::text)),
         (c.old).ticket_id, 'TicketDeletedV1', now(), p_execution, p_trace, '{"how": "deleted"}'
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
          c.opened_at, c.reopen_count)
         IS DISTINCT FROM
         ((c.old).status_raw, (c.old).assignee_key, (c.old).queue_key, (c.old).number, (c.old).title, (c.old).priority,
          (c.old).category, (c.old).requester_key, (c.old).opened_at, (c.old).reopen_count)
  ON CONFLICT DO NOTHING;
END
$$;

-- Deadlines that passed, of the tickets in pg_temp.change. Each is one happening: a deadline that
-- moves later can pass again. Sources with a verdict of their own tell by their history.
CREATE OR REPLACE FUNCTION core.record_breaches(
  p_condition text, p_at timestamptz, p_execution bigint, p_trace text) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
  v_n bigint;
BEGIN
  EXECUTE format($q$
    INSERT INTO core.ticket_event (event_id, ticket_id, type, occurred_at, execution_id, trace_id, payload)
    SELECT core.event_id(t.ticket_id, 'TicketSlaBreachedV1', b.due_at::text), t.ticket_id, 'TicketSlaBreachedV1',
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

-- Who may, sees to it that the next statements are planned for what is there now.
CREATE OR REPLACE FUNCTION core.analyze_tickets() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF (SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = 'core.ticket'::regclass) THEN
    ANALYZE core.ticket;
  END IF;
END
$$;

CREATE OR REPLACE FUNCTION core.has_tickets(p_source text) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT EXISTS (SELECT FROM core.ticket t WHERE t.ticket_id >= p_source || ':' AND t.ticket_id < p_source || ';')
$$;

-- No ticket of the source is there, nor ever was one that might come back.
CREATE OR REPLACE FUNCTION core.is_new(p_source text) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT NOT core.has_tickets(p_source) AND NOT EXISTS (
    SELECT FROM core.ticket_event e
     WHERE e.ticket_id >= p_source || ':' AND e.ticket_id < p_source || ';' AND e.type = 'TicketDeletedV1')
$$;

-- Takes the secondary indexes away where nobody misses them yet: building them from the finished
-- table costs a fraction of keeping them through a million inserts. Returns how to make them again.
CREATE OR REPLACE FUNCTION core.drop_indexes() RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
  v_index  record;
  v_create text[] := '{}';
BEGIN
  IF EXISTS (SELECT FROM core.ticket)
     OR NOT (SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = 'core.ticket'::regclass) THEN
    RETURN v_create;
  END IF;
  FOR v_index IN SELECT i.indexrelid::regclass AS name, pg_get_indexdef(i.indexrelid) AS definition
                   FROM pg_index i WHERE i.indrelid = 'core.ticket'::regclass AND NOT i.indisunique LOOP
    EXECUTE 'DROP INDEX ' || v_index.name;
    v_create := v_create || v_index.definition;
  END LOOP;
  RETURN v_create;
END
$$;

-- The first tickets of a source.
CREATE OR REPLACE FUNCTION core.fill_tickets(
  p_source text, p_source_type text, p_execution bigint, p_trace text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  v_n      bigint;
  v_create text;
  v_later  text[] := core.drop_indexes();
BEGIN
  EXECUTE format('INSERT INTO core.ticket (%s) SELECT %s FROM core.%I v WHERE v.source = %L',
                 core.ticket_columns('%I'), core.ticket_columns('v.%I'), p_source_type || '_ticket', p_source);
  GET DIAGNOSTICS v_n = ROW_COUNT;
  FOREACH v_create IN ARRAY v_later LOOP
    EXECUTE v_create;
  END LOOP;
  IF v_n > 10000 THEN
    PERFORM core.analyze_tickets();
  END IF;
  EXECUTE format($q$
    INSERT INTO core.ticket_event (event_id, ticket_id, type, occurred_at, execution_id, trace_id, payload)
    SELECT md5(v.ticket_id || '|TicketCreatedV1')::uuid, v.ticket_id, 'TicketCreatedV1',
           coalesce(v.created_at, v.updated_at, now()), $1, $2,
           jsonb_build_object('number', v.number, 'kind', v.kind, 'title', v.title)
      FROM core.%I v WHERE v.source = %L
    ON CONFLICT DO NOTHING
    $q$, p_source_type || '_created', p_source) USING p_execution, p_trace;
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
        FROM (SELECT * FROM core.%1$I WHERE source = %2$L) v
        FULL JOIN (SELECT t AS old, t.ticket_id FROM core.ticket t
                    WHERE t.ticket_id >= %2$L || ':' AND t.ticket_id < %2$L || ';') t ON t.ticket_id = v.ticket_id
       WHERE ROW(%3$s)::core.ticket IS DISTINCT FROM t.old
      $q$, v_view, p_source, core.ticket_columns('v.%I'));
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

-- --- inside a publish --------------------------------------------------------------------------

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
LANGUAGE plpgsql SET TimeZone TO 'UTC' SET jit TO off AS $$
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
LANGUAGE plpgsql SET TimeZone TO 'UTC' SET jit TO off SET work_mem TO '128MB' AS $$
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

-- --- everything anew ---------------------------------------------------------------------------

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
LANGUAGE plpgsql SET TimeZone TO 'UTC' SET jit TO off SET work_mem TO '128MB' AS $$
DECLARE
  v_source record;
  v_at     timestamptz;
  v_events bigint;
  v_people bigint;
BEGIN
  PERFORM core.lock();
  v_at := clock_timestamp();
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
  SELECT count(*) INTO tickets FROM core.ticket;
  SELECT count(*) INTO technicians FROM core.technician;
  SELECT count(*) - v_events INTO events FROM core.ticket_event;
END
$$;

COMMENT ON FUNCTION core.rebuild(jsonb, text) IS
  'computes core again from the landed tables; p_sources: [{source, source_type, url}] as configured';

-- --- time passes -------------------------------------------------------------------------------

-- Records the deadlines that passed since the last tick; NULL if core is being changed just now.
-- What was late when it came was recorded then.
CREATE OR REPLACE FUNCTION core.tick() RETURNS bigint
LANGUAGE plpgsql SET TimeZone TO 'UTC' SET jit TO off AS $$
DECLARE
  v_from timestamptz;
  v_at   timestamptz;
  v_n    bigint;
BEGIN
  IF NOT pg_try_advisory_xact_lock(1718581765, 0) THEN
    RETURN NULL;
  END IF;
  v_at := clock_timestamp();
  SELECT ticked_at INTO v_from FROM core.clock;
  v_n := core.record_breaches(
    format('(t.sla_done_at IS NULL AND t.sla_due_at >= %1$L AND t.sla_due_at < %2$L)'
           ' OR (t.sla_owned_after_s = 0 AND t.sla_own_due_at >= %1$L AND t.sla_own_due_at < %2$L)', v_from, v_at),
    v_at, NULL, NULL);
  UPDATE core.clock SET ticked_at = v_at;
  IF v_n > 0 THEN
    PERFORM core.bump(s.source) FROM core.source s
      WHERE EXISTS (SELECT FROM core.ticket t
                     WHERE t.source = s.source AND t.sla_done_at IS NULL AND t.sla_due_at >= v_from AND t.sla_due_at < v_at)
         OR EXISTS (SELECT FROM core.ticket t
                     WHERE t.source = s.source AND t.sla_owned_after_s = 0
                       AND t.sla_own_due_at >= v_from AND t.sla_own_due_at < v_at);
  END IF;
  RETURN v_n;
END
$$;

COMMENT ON FUNCTION core.tick() IS 'events of deadlines that passed since it last ran; foz-worker run calls it every minute';
