-- Tickets, people and history from GLPI's tables. docs/MODEL.md explains the columns.

DO $do$
BEGIN
  IF to_regclass('glpi.ticket') IS NULL OR to_regclass('glpi.log') IS NULL OR to_regclass('glpi."user"') IS NULL
     OR to_regclass('glpi.itil_category') IS NULL OR to_regclass('glpi."group"') IS NULL THEN
    RETURN;
  END IF;
  DROP VIEW IF EXISTS core.glpi_ticket, core.glpi_created, core.glpi_person;

  -- Of several actors in one part the first that was named counts. Before statistics know the tables,
  -- an index on who it is looks as good as the one on the ticket, and costs the square: IS TRUE and + 0
  -- keep the planner from it.
  CREATE VIEW core.glpi_ticket AS
  SELECT t.source || ':' || t.id AS ticket_id,
         t.source,
         'glpi'::text AS source_type,
         t.id::text AS external_id,
         t.id::text AS number,
         CASE t.type WHEN 1 THEN 'incident' WHEN 2 THEN 'request' END AS kind,
         t.name AS title,
         coalesce(st.mapped, 'unmapped') AS status,
         t.status::text AS status_raw,
         pr.mapped::smallint AS priority,
         coalesce(g.completename, g.name) AS queue,
         coalesce(c.completename, c.name) AS category,
         coalesce(qi.name, q.alternative_email) AS requester,
         ai.technician_id AS assignee_id,
         coalesce(g.completename, g.name) AS team,
         t.date AS opened_at,
         t.date_mod AS updated_at,
         t.solvedate AS resolved_at,
         t.closedate AS closed_at,
         si.technician_id AS resolved_by_id,
         t.time_to_resolve AS sla_due_at,
         o.n AS reopen_count,
         src.url || '/front/ticket.form.php?id=' || t.id AS url,
         CASE WHEN t.is_deleted
              THEN coalesce((SELECT max(l.date_mod) FROM glpi.log l
                              WHERE l.source = t.source AND l.items_id = t.id AND l.linked_action = 13), t.date_mod)
         END AS deleted_at,
         coalesce(t.etl_execution_id, 0) AS etl_execution_id,
         NULL::boolean AS sla_met,
         coalesce(t.status = 4, false) AS sla_waits,
         t.solvedate AS sla_done_at,
         t.time_to_own AS sla_own_due_at,
         t.takeintoaccountdate AS sla_owned_at,
         t.takeintoaccount_delay_stat::bigint AS sla_owned_after_s,
         a.users_id::text AS assignee_key,
         s.users_id::text AS resolver_key,
         gt.groups_id::text AS queue_key,
         nullif(q.users_id, 0)::text AS requester_key,
         coalesce(t.date_creation, t.date) AS created_at,
         t.id AS key
    FROM glpi.ticket t
    LEFT JOIN core.source src ON src.source = t.source
    LEFT JOIN core.mapping st ON st.source_type = 'glpi' AND st.kind = 'status' AND st.raw = t.status::text
    LEFT JOIN core.mapping pr ON pr.source_type = 'glpi' AND pr.kind = 'priority' AND pr.raw = t.priority::text
    LEFT JOIN glpi.itil_category c ON c.source = t.source AND c.id = t.itilcategories_id
    LEFT JOIN LATERAL (
      SELECT u.users_id FROM glpi.ticket_user u
       WHERE u.source = t.source AND u.tickets_id = t.id AND u.type = 2 AND (u.users_id > 0) IS TRUE
       ORDER BY u.id + 0 LIMIT 1) a ON true
    LEFT JOIN LATERAL (
      SELECT u.users_id, u.alternative_email FROM glpi.ticket_user u
       WHERE u.source = t.source AND u.tickets_id = t.id AND u.type = 1
       ORDER BY u.id + 0 LIMIT 1) q ON true
    LEFT JOIN LATERAL (
      SELECT x.groups_id FROM glpi.group_ticket x
       WHERE x.source = t.source AND x.tickets_id = t.id AND x.type = 2 AND (x.groups_id > 0) IS TRUE
       ORDER BY x.id + 0 LIMIT 1) gt ON true
    LEFT JOIN LATERAL (
      SELECT y.users_id FROM glpi.itil_solution y
       WHERE y.source = t.source AND y.items_id = t.id AND y.status IS DISTINCT FROM 4 AND (y.users_id > 0) IS TRUE
         AND t.solvedate IS NOT NULL
       ORDER BY coalesce(y.status = 3, false) DESC, y.id DESC LIMIT 1) s ON true
    LEFT JOIN LATERAL (
      SELECT count(*)::integer AS n FROM glpi.log l
       WHERE l.source = t.source AND l.items_id = t.id AND l.id_search_option = 12 AND l.linked_action = 0
         AND l.old_value IN ('5', '6') AND l.new_value NOT IN ('5', '6')) o ON true
    LEFT JOIN glpi."group" g ON g.source = t.source AND g.id = gt.groups_id
    LEFT JOIN core.technician_identity ai ON ai.source = t.source AND ai.external_id = a.users_id::text
    LEFT JOIN core.technician_identity qi ON qi.source = t.source AND qi.external_id = q.users_id::text
    LEFT JOIN core.technician_identity si ON si.source = t.source AND si.external_id = s.users_id::text;

  CREATE VIEW core.glpi_created AS
  SELECT t.source, t.source || ':' || t.id AS ticket_id, t.id::text AS number,
         CASE t.type WHEN 1 THEN 'incident' WHEN 2 THEN 'request' END AS kind, t.name AS title,
         coalesce(t.date_creation, t.date) AS created_at, t.date_mod AS updated_at
    FROM glpi.ticket t;

  CREATE VIEW core.glpi_person AS
  SELECT u.source, u.id::text AS external_id,
         core.technician_id(u.source, u.id::text, core.email(e.email)) AS technician_id,
         coalesce(nullif(concat_ws(' ', u.realname, u.firstname), ''), u.name) AS name,
         core.email(e.email) AS email, coalesce(g.completename, g.name) AS team, u.id AS key
    FROM glpi."user" u
    LEFT JOIN LATERAL (
      SELECT m.email FROM glpi.user_email m
       WHERE m.source = u.source AND m.users_id = u.id AND core.email(m.email) IS NOT NULL
       ORDER BY coalesce(m.is_default, false) DESC, m.id LIMIT 1) e ON true
    LEFT JOIN glpi."group" g ON g.source = u.source AND g.id = u.groups_id;
END
$do$;

CREATE OR REPLACE FUNCTION core.glpi_touch(p_source text, p_task text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  IF p_task = 'ticket' THEN
    INSERT INTO pg_temp.touched SELECT d.id::text FROM pg_temp.delta d ON CONFLICT DO NOTHING;
  ELSIF p_task IN ('ticket_user', 'group_ticket', 'itil_solution', 'log') THEN
    EXECUTE format($q$
      INSERT INTO pg_temp.touched
      SELECT d.etl_ticket FROM pg_temp.delta d %1$s WHERE d.etl_ticket IS NOT NULL %2$s
      UNION
      SELECT l.%3$I::text FROM pg_temp.delta d JOIN glpi.%4$I l ON l.source = %5$L AND l.id = d.id WHERE true %2$s
      ON CONFLICT DO NOTHING
      $q$,
      CASE WHEN p_task = 'log' THEN format('LEFT JOIN glpi.log l ON l.source = %L AND l.id = d.id', p_source) END,
      -- Of the log only what the ticket is made of: reopenings and the trash.
      CASE WHEN p_task = 'log' THEN
        'AND (l.id IS NULL OR l.linked_action IN (13, 14) OR (l.id_search_option = 12 AND l.old_value IN (''5'', ''6'')))' END,
      CASE WHEN p_task IN ('log', 'itil_solution') THEN 'items_id' ELSE 'tickets_id' END, p_task, p_source);
  ELSIF p_task = 'itil_category' THEN
    INSERT INTO pg_temp.touched
    SELECT t.id::text FROM glpi.ticket t JOIN pg_temp.delta d ON d.id = t.itilcategories_id WHERE t.source = p_source
    ON CONFLICT DO NOTHING;
  ELSIF p_task = 'group' THEN
    INSERT INTO pg_temp.touched
    SELECT t.external_id FROM core.ticket t
      JOIN pg_temp.delta d ON d.id::text = t.queue_key
      LEFT JOIN glpi."group" g ON g.source = p_source AND g.id = d.id
     WHERE t.ticket_id >= p_source || ':' AND t.ticket_id < p_source || ';'
       AND t.queue IS DISTINCT FROM coalesce(g.completename, g.name)
    ON CONFLICT DO NOTHING;
  END IF;
END
$$;

DROP FUNCTION IF EXISTS core.glpi_actor(text, text, boolean);

-- "Souza Ana (7)" of the log as events name it; the last two are what is known of who 7 is.
CREATE OR REPLACE FUNCTION core.glpi_actor(p_text text, p_is_person boolean, p_id uuid, p_name text) RETURNS jsonb
LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN p_text IS NULL OR p_text = '' THEN NULL
              WHEN p_is_person
              THEN jsonb_build_object('external_id', substring(p_text FROM '\((\d+)\)$'), 'id', p_id,
                                      'name', CASE WHEN p_name IS NOT NULL THEN p_name
                                                   WHEN p_text ~ '\(\d+\)$' THEN btrim(regexp_replace(p_text, '\(\d+\)$', ''))
                                                   ELSE p_text END)
              ELSE jsonb_build_object('external_id', substring(p_text FROM '\((\d+)\)$'),
                                      'name', btrim(regexp_replace(p_text, '\(\d+\)$', '')))
         END
$$;

CREATE OR REPLACE FUNCTION core.glpi_history(
  p_source text, p_task text, p_all boolean, p_execution bigint, p_trace text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  IF NOT p_all AND p_task <> 'log' THEN
    RETURN;
  END IF;
  -- Sub-items (12, 17 to 20) are no fields of the ticket.
  EXECUTE format($q$
    INSERT INTO core.ticket_event (event_id, ticket_id, type, occurred_at, execution_id, trace_id, payload)
    SELECT core.event_id($1 || ':' || l.items_id, e.type, 'log', l.id::text), $1 || ':' || l.items_id, e.type,
           coalesce(l.date_mod, now()), $2, $3, e.payload
      FROM glpi.log l
      LEFT JOIN core.technician_identity o ON o.source = $1
            AND o.external_id = CASE WHEN l.id_search_option = 5 THEN substring(l.old_value FROM '\((\d+)\)$') END
      LEFT JOIN core.technician_identity n ON n.source = $1
            AND n.external_id = CASE WHEN l.id_search_option = 5 THEN substring(l.new_value FROM '\((\d+)\)$') END
     CROSS JOIN LATERAL (
        SELECT 'TicketDeletedV1' AS type, '{"how": "trashed"}'::jsonb AS payload WHERE l.linked_action = 13
        UNION ALL
        SELECT 'TicketRestoredV1', '{}' WHERE l.linked_action = 14
        UNION ALL
        SELECT 'TicketStatusChangedV1', jsonb_build_object(
                 'old', jsonb_build_object('raw', l.old_value, 'status', coalesce((SELECT m.mapped FROM core.mapping m
                    WHERE m.source_type = 'glpi' AND m.kind = 'status' AND m.raw = l.old_value), 'unmapped')),
                 'new', jsonb_build_object('raw', l.new_value, 'status', coalesce((SELECT m.mapped FROM core.mapping m
                    WHERE m.source_type = 'glpi' AND m.kind = 'status' AND m.raw = l.new_value), 'unmapped')))
         WHERE l.linked_action = 0 AND l.id_search_option = 12
        UNION ALL
        SELECT 'TechnicianAssignmentChangedV1', jsonb_build_object(
                 CASE l.id_search_option WHEN 5 THEN 'assignee' ELSE 'team' END,
                 jsonb_build_object('old', core.glpi_actor(l.old_value, l.id_search_option = 5, o.technician_id, o.name),
                                    'new', core.glpi_actor(l.new_value, l.id_search_option = 5, n.technician_id, n.name)))
         WHERE l.id_search_option IN (5, 8) AND l.linked_action IN (0, 15, 16)
        UNION ALL
        SELECT 'TicketUpdatedV1', jsonb_build_object('fields', jsonb_build_object(
                 coalesce((SELECT f.name FROM (VALUES (1, 'title'), (3, 'priority'), (4, 'requester'), (7, 'category'),
                     (10, 'urgency'), (11, 'impact'), (14, 'kind'), (15, 'opened_at'), (16, 'closed_at'),
                     (17, 'resolved_at'), (18, 'sla_due_at'), (21, 'content'), (65, 'observer_group'), (66, 'observer'),
                     (71, 'requester_group'), (80, 'entity'), (83, 'location'), (155, 'sla_own_due_at')) f (id, name)
                    WHERE f.id = l.id_search_option), 'option_' || coalesce(l.id_search_option, 0)),
                 jsonb_build_object('old', nullif(l.old_value, ''), 'new', nullif(l.new_value, ''))))
         WHERE l.linked_action IN (0, 15, 16) AND coalesce(l.id_search_option, 0) NOT IN (5, 8, 12)
           AND coalesce(l.id_search_option, 0) > 0) e
     WHERE l.source = $1 %s
     ORDER BY l.id
    ON CONFLICT DO NOTHING
    $q$, CASE WHEN NOT p_all THEN 'AND l.id IN (SELECT d.id FROM pg_temp.delta d WHERE d.kind = ''i'')' END)
    USING p_source, p_execution, p_trace;
END
$$;
