-- Tickets, people and SLA breaches from ServiceNow's tables. docs/MODEL.md explains the columns.

DO $do$
DECLARE
  -- The clock that breached first; else the next to run out; else, all being stopped, the last.
  v_slas constant text := $q$
      count(*) AS n,
      coalesce(bool_or(l.has_breached), false) AS breached,
      coalesce(min(l.planned_end_time) FILTER (WHERE l.has_breached),
               min(l.planned_end_time) FILTER (WHERE l.active AND l.stage IS DISTINCT FROM 'paused'),
               min(l.planned_end_time) FILTER (WHERE l.active),
               max(l.planned_end_time)) AS due_at,
      bool_and(coalesce(l.stage = 'paused', false)) FILTER (WHERE l.active) AS waits,
      CASE WHEN NOT coalesce(bool_or(l.active), false)
           THEN coalesce(max(l.end_time), max(l.sys_updated_on)) END AS done_at
    $q$;
  v_ticket constant text := $q$
  SELECT i.source || ':' || i.sys_id AS ticket_id,
         i.source,
         'servicenow'::text AS source_type,
         i.sys_id AS external_id,
         i.number,
         'incident'::text AS kind,
         i.short_description AS title,
         coalesce(st.mapped, 'unmapped') AS status,
         i.state::text AS status_raw,
         coalesce(pr.mapped::smallint, CASE WHEN i.priority BETWEEN 1 AND 5 THEN i.priority::smallint END) AS priority,
         g.name AS queue,
         i.category,
         c.name AS requester,
         a.technician_id AS assignee_id,
         g.name AS team,
         i.opened_at,
         i.sys_updated_on AS updated_at,
         i.resolved_at,
         i.closed_at,
         r.technician_id AS resolved_by_id,
         s.due_at AS sla_due_at,
         i.reopen_count,
         src.url || '/incident.do?sys_id=' || i.sys_id AS url,
         NULL::timestamptz AS deleted_at,
         coalesce(i.etl_execution_id, 0) AS etl_execution_id,
         CASE WHEN s.n > 0 THEN NOT s.breached WHEN st.mapped = 'closed' THEN i.made_sla END AS sla_met,
         coalesce(s.waits, false) AS sla_waits,
         s.done_at AS sla_done_at,
         NULL::timestamptz AS sla_own_due_at,
         NULL::timestamptz AS sla_owned_at,
         NULL::bigint AS sla_owned_after_s,
         i.assigned_to AS assignee_key,
         i.resolved_by AS resolver_key,
         i.assignment_group AS queue_key,
         i.caller_id AS requester_key,
         coalesce(i.opened_at, i.sys_created_on) AS created_at,
         i.sys_id AS key
    FROM servicenow.incident i
    LEFT JOIN core.source src ON src.source = i.source
    LEFT JOIN core.mapping st ON st.source_type = 'servicenow' AND st.kind = 'status' AND st.raw = i.state::text
    LEFT JOIN core.mapping pr ON pr.source_type = 'servicenow' AND pr.kind = 'priority' AND pr.raw = i.priority::text
    LEFT JOIN servicenow.groups g ON g.source = i.source AND g.sys_id = i.assignment_group
    LEFT JOIN core.technician_identity a ON a.source = i.source AND a.external_id = i.assigned_to
    LEFT JOIN core.technician_identity r ON r.source = i.source AND r.external_id = i.resolved_by
    LEFT JOIN core.technician_identity c ON c.source = i.source AND c.external_id = i.caller_id
    $q$;
BEGIN
  IF to_regclass('servicenow.incident') IS NULL OR to_regclass('servicenow.incident_sla') IS NULL
     OR to_regclass('servicenow.groups') IS NULL OR to_regclass('servicenow.sys_user') IS NULL THEN
    RETURN;
  END IF;
  DROP VIEW IF EXISTS core.servicenow_ticket, core.servicenow_ticket_all, core.servicenow_created, core.servicenow_person;

  EXECUTE 'CREATE VIEW core.servicenow_ticket AS' || v_ticket || '
    LEFT JOIN LATERAL (SELECT ' || v_slas || '
                         FROM servicenow.incident_sla l WHERE l.source = i.source AND l.task = i.sys_id) s ON true';
  -- All of them at once: a million look-ups take longer than one pass.
  EXECUTE 'CREATE VIEW core.servicenow_ticket_all AS' || v_ticket || '
    LEFT JOIN (SELECT l.source, l.task, ' || v_slas || '
                 FROM servicenow.incident_sla l GROUP BY l.source, l.task) s ON s.source = i.source AND s.task = i.sys_id';

  CREATE VIEW core.servicenow_created AS
  SELECT source, source || ':' || sys_id AS ticket_id, number, 'incident'::text AS kind, short_description AS title,
         coalesce(opened_at, sys_created_on) AS created_at, sys_updated_on AS updated_at
    FROM servicenow.incident;

  CREATE VIEW core.servicenow_person AS
  SELECT u.source, u.sys_id AS external_id,
         core.technician_id(u.source, u.sys_id, core.email(u.email)) AS technician_id,
         coalesce(u.name, nullif(concat_ws(' ', u.first_name, u.last_name), ''), u.user_name) AS name,
         core.email(u.email) AS email, NULL::text AS team, u.sys_id AS key
    FROM servicenow.sys_user u;
END
$do$;

CREATE OR REPLACE FUNCTION core.servicenow_touch(p_source text, p_task text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  IF p_task = 'incident' THEN
    INSERT INTO pg_temp.touched SELECT d.sys_id FROM pg_temp.delta d ON CONFLICT DO NOTHING;
  ELSIF p_task = 'incident_sla' THEN
    INSERT INTO pg_temp.touched
    SELECT d.etl_ticket FROM pg_temp.delta d WHERE d.etl_ticket IS NOT NULL
    UNION
    SELECT l.task FROM pg_temp.delta d JOIN servicenow.incident_sla l ON l.source = p_source AND l.sys_id = d.sys_id
     WHERE l.task IS NOT NULL
    ON CONFLICT DO NOTHING;
  ELSIF p_task = 'groups' THEN
    INSERT INTO pg_temp.touched
    SELECT t.external_id FROM core.ticket t
      JOIN pg_temp.delta d ON d.sys_id = t.queue_key
      LEFT JOIN servicenow.groups g ON g.source = p_source AND g.sys_id = d.sys_id
     WHERE t.ticket_id >= p_source || ':' AND t.ticket_id < p_source || ';' AND t.queue IS DISTINCT FROM g.name
    ON CONFLICT DO NOTHING;
  END IF;
END
$$;

-- ServiceNow says itself which SLA was breached, and when its time was over. Each has an event of its
-- own, also of several that were over at once. But there may be one that does not name its record: of a
-- clock that ran out before ServiceNow said so, or from when ids did not. It is that of one SLA it can
-- be, of which there is no other; whichever that is said to be, the rest get theirs and all are told once.
CREATE OR REPLACE FUNCTION core.servicenow_history(
  p_source text, p_task text, p_all boolean, p_execution bigint, p_trace text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  v_told boolean; -- some breach of the source is told already: the first fill asks once, not for each
BEGIN
  IF NOT p_all AND p_task <> 'incident_sla' THEN
    RETURN;
  END IF;
  v_told := NOT p_all OR EXISTS (
    SELECT FROM core.ticket_event e
     WHERE e.ticket_id >= p_source || ':' AND e.ticket_id < p_source || ';' AND e.type = 'TicketSlaBreachedV1');
  EXECUTE format($q$
    WITH breach AS (
      SELECT l.sys_id, l.sla, $1 || ':' || l.task AS ticket_id, l.planned_end_time AS due_at,
             coalesce(l.planned_end_time, l.sys_updated_on, now()) AS occurred_at,
             CASE WHEN l.planned_end_time IS NULL
                  THEN core.event_id($1 || ':' || l.task, 'TicketSlaBreachedV1', l.sys_id)
                  ELSE core.event_id($1 || ':' || l.task, 'TicketSlaBreachedV1', l.planned_end_time::text, l.sys_id) END AS event_id
        FROM servicenow.incident_sla l
       WHERE l.source = $1 AND l.has_breached AND l.task IS NOT NULL %s),
    untold AS (
      SELECT b.*, $4 AND EXISTS (
               SELECT FROM core.ticket_event e
                WHERE e.ticket_id = b.ticket_id AND e.type = 'TicketSlaBreachedV1' AND e.occurred_at = b.due_at
                  AND coalesce(e.payload ->> 'sla' = b.sla, true)
                  AND (e.payload ->> 'clock' = 'resolve'
                       OR e.event_id = core.event_id(b.ticket_id, 'TicketSlaBreachedV1', b.due_at::text))) AS may_be_told
        FROM breach b
       WHERE NOT ($4 AND EXISTS (SELECT FROM core.ticket_event e WHERE e.ticket_id = b.ticket_id AND e.event_id = b.event_id)))
    INSERT INTO core.ticket_event (event_id, ticket_id, type, occurred_at, execution_id, trace_id, payload)
    SELECT u.event_id, u.ticket_id, 'TicketSlaBreachedV1', u.occurred_at, $2, $3,
           jsonb_build_object('clock', 'sla', 'due_at', u.due_at, 'sla', u.sla)
      FROM (SELECT o.*, row_number() OVER (PARTITION BY o.ticket_id, o.due_at, o.may_be_told ORDER BY o.sys_id) AS n
              FROM untold o) u
     WHERE NOT (u.may_be_told AND u.n = 1)
     ORDER BY u.occurred_at
    ON CONFLICT DO NOTHING
    $q$, CASE WHEN NOT p_all THEN 'AND l.task IN (
                 SELECT o.task FROM pg_temp.delta d JOIN servicenow.incident_sla o ON o.source = $1 AND o.sys_id = d.sys_id
                  WHERE d.kind <> ''d'')' END)
    USING p_source, p_execution, p_trace, v_told;
END
$$;
