-- What the HTTP answers are made of besides api.ticket, api.technician and api.ticket_event: the
-- age of what is read, the SLAs of a ticket, breaches, and the figures of the routes as views for
-- those who read the database directly. Applied after the model's own files.

-- Written with the names in it: it is asked with every answer.
DO $do$
BEGIN
  EXECUTE format($f$
    CREATE OR REPLACE FUNCTION api.feeds_tickets(p_task text) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
    BEGIN ATOMIC
      SELECT p_task = ANY (%L::text[]);
    END
    $f$, (SELECT array_agg(DISTINCT r.task ORDER BY r.task) FROM core.role r WHERE r.role IN ('own', 'linked', 'history')));
END
$do$;

COMMENT ON FUNCTION api.feeds_tickets(text) IS
  'tickets, their SLAs and their history are made of this task; lists of names (users, groups) are not';

CREATE OR REPLACE VIEW api.freshness AS
SELECT v.source, v.task, v.version, v.changed_at, v.checked_at AS as_of,
       greatest(0, floor(extract(epoch FROM clock_timestamp() - v.checked_at)))::bigint AS lag_seconds,
       clock_timestamp() - v.checked_at <= interval '300 seconds' AS fresh,
       api.feeds_tickets(v.task) AS feeds_tickets
  FROM ops.projection_version v;

COMMENT ON VIEW api.freshness IS 'how old the copy of each task is, as GET /v1/system/health tells it';
COMMENT ON COLUMN api.freshness.version IS 'grows with each publish that changed something';
COMMENT ON COLUMN api.freshness.as_of IS 'the last publish that succeeded';
COMMENT ON COLUMN api.freshness.feeds_tickets IS
  'tickets, their SLAs and their history are made of this task; lists of names (users, groups) are not';

-- One row: what `meta` of an answer says that reads these sources (NULL: all). The version is a sum,
-- so that it grows with each publish whatever the order of their commits.
CREATE OR REPLACE FUNCTION api.meta(p_sources text[] DEFAULT NULL)
RETURNS TABLE (version bigint, as_of timestamptz, lag_seconds bigint)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
  SELECT coalesce(sum(f.version), 0)::bigint,
         date_trunc('milliseconds', min(f.as_of) FILTER (WHERE f.is_fed)),
         max(f.lag_seconds) FILTER (WHERE f.is_fed)
    FROM (SELECT s.version, s.as_of, s.lag_seconds,
                 s.feeds_tickets AND (p_sources IS NULL OR s.source = ANY (p_sources)) AS is_fed
            FROM api.freshness s) f
$$;

COMMENT ON FUNCTION api.meta(text[]) IS 'version and age of what is read from these sources; NULL: from all';

CREATE OR REPLACE FUNCTION api.is_open(p_status text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
  SELECT core.is_open(p_status);
END;

COMMENT ON FUNCTION api.is_open(text) IS 'new, in_progress, pending, and unmapped: not known to be done';

CREATE OR REPLACE FUNCTION api.severity(p_priority smallint) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT CASE p_priority WHEN 1 THEN 'critical' WHEN 2 THEN 'high' WHEN 3 THEN 'medium' ELSE 'low' END
$$;

COMMENT ON FUNCTION api.severity(smallint) IS '1 critical, 2 high, 3 medium, all others and unknown low';

CREATE OR REPLACE FUNCTION api.hours(p_span interval) RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT round(extract(epoch FROM p_span) / 3600, 6)
$$;

COMMENT ON FUNCTION api.hours(interval) IS 'hours with six decimals';

CREATE OR REPLACE FUNCTION api.ageing_bucket(p_opened_at timestamptz, p_now timestamptz) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
  SELECT core.ageing_bucket(p_opened_at, p_now);
END;

COMMENT ON FUNCTION api.ageing_bucket(timestamptz, timestamptz) IS
  'how long a ticket is open; exactly one day is 1-3d';

CREATE OR REPLACE FUNCTION api.instant(p_at timestamptz) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE AS $$
  SELECT (to_json(p_at AT TIME ZONE 'UTC') #>> '{}') || 'Z'
$$;

COMMENT ON FUNCTION api.instant(timestamptz) IS 'RFC 3339 in UTC';

-- The SLAs of tickets, one row each, where the catalog has ServiceNow's.
DO $do$
BEGIN
  IF to_regclass('servicenow.incident_sla') IS NULL OR to_regclass('servicenow.contract_sla') IS NULL THEN
    RETURN;
  END IF;

  CREATE OR REPLACE VIEW api.ticket_sla AS
  SELECT t.ticket_id, s.sla AS sla_id, c.name, s.stage, s.active AS is_active,
         s.start_time AS started_at, s.end_time AS ended_at, s.planned_end_time AS due_at,
         s.has_breached AS breached
    FROM api.ticket t
    JOIN servicenow.incident_sla s ON s.source = t.source AND s.task = t.external_id
    LEFT JOIN servicenow.contract_sla c ON c.source = s.source AND c.sys_id = s.sla
   WHERE t.source_type = 'servicenow'
  UNION ALL
  SELECT t.ticket_id, NULL, d.name, NULL, api.is_open(t.status), t.opened_at, d.ended_at, d.due_at, d.breached
    FROM api.ticket t
   CROSS JOIN LATERAL (VALUES
     (CASE WHEN t.source_type = 'azure_devops' THEN 'due date' ELSE 'time to resolve' END, t.sla_due_at, t.sla_done_at,
      NOT t.sla_waits AND coalesce(t.sla_done_at, now()) > t.sla_due_at),
     ('time to own', t.sla_own_due_at, t.sla_owned_at, NOT t.sla_waits AND (
        coalesce(t.sla_owned_at > t.sla_own_due_at, false)
        OR coalesce(t.sla_owned_at IS NULL
                    AND t.sla_owned_after_s > extract(epoch FROM t.sla_own_due_at - t.opened_at), false)
        OR coalesce(t.sla_owned_after_s = 0 AND t.sla_own_due_at < now(), false)))
     ) AS d(name, due_at, ended_at, breached)
   WHERE t.source_type <> 'servicenow' AND d.due_at IS NOT NULL;

  COMMENT ON VIEW api.ticket_sla IS
    'the SLAs of each ticket: ServiceNow''s own records, the deadlines of GLPI, the due date of Azure DevOps';
  COMMENT ON COLUMN api.ticket_sla.breached IS 'as the source says; by a deadline as of now()';
END
$do$;

-- --- figures -------------------------------------------------------------------------------------

CREATE OR REPLACE VIEW api.overview_part AS
SELECT t.source, t.queue, t.category, t.priority, t.status, t.age IS NOT NULL AS is_open, t.age, t.tickets
  FROM core.tally t
UNION ALL
SELECT g.source, g.queue, g.category, g.priority, g.status, true, g.age, g.n
  FROM core.growth g;

COMMENT ON VIEW api.overview_part IS 'what api.overview sums up: counts as of the last minute, and what time has changed since';

CREATE OR REPLACE VIEW api.overview AS
SELECT o.source, o.queue, o.category, o.priority, o.status, o.is_open, o.age, sum(o.tickets)::bigint AS tickets
  FROM api.overview_part o
 GROUP BY o.source, o.queue, o.category, o.priority, o.status, o.is_open, o.age
HAVING sum(o.tickets) <> 0;

COMMENT ON VIEW api.overview IS
  'tickets counted by everything GET /v1/tickets/overview counts them by; deleted ones are left out';
COMMENT ON COLUMN api.overview.age IS 'of open tickets: 0-1d, 1-3d, 3-7d, 7-30d, 30d+; unknown without opened_at';

CREATE OR REPLACE VIEW api.ticket_figure AS
SELECT t.ticket_id, t.source, t.kind, t.status, t.priority, t.queue, t.category, t.team, t.assignee_id, t.resolved_by_id,
       t.opened_at, to_char(t.opened_at AT TIME ZONE 'UTC', 'YYYY-MM') AS month, t.resolved_at,
       api.hours(t.resolved_at - t.opened_at) AS resolution_hours, NOT t.sla_breached AS sla_met
  FROM api.ticket t
 WHERE t.deleted_at IS NULL;

COMMENT ON VIEW api.ticket_figure IS
  'what GET /v1/tickets/metrics and the ranking are computed from; deleted tickets are left out';
COMMENT ON COLUMN api.ticket_figure.month IS 'of opened_at, in UTC';
COMMENT ON COLUMN api.ticket_figure.resolution_hours IS 'from opened_at to resolved_at by the calendar';
COMMENT ON COLUMN api.ticket_figure.sla_met IS 'NULL: no SLA and no deadline';

CREATE OR REPLACE VIEW api.technician_hour AS
SELECT f.resolved_by_id AS technician_id, date_trunc('hour', f.resolved_at, 'UTC') AS hour, count(*) AS resolved,
       count(*) FILTER (WHERE f.sla_met) AS sla_met, count(f.sla_met) AS sla_total,
       avg(f.resolution_hours) AS mean_resolution_hours
  FROM api.ticket_figure f
 WHERE f.resolved_by_id IS NOT NULL AND f.resolved_at IS NOT NULL
 GROUP BY f.resolved_by_id, date_trunc('hour', f.resolved_at, 'UTC');

COMMENT ON VIEW api.technician_hour IS
  'tickets by who resolved them and when (UTC), as ranking and productivity count them';

-- Breaches that are kept, and those that passed since: two views, for each can be read in order.
CREATE OR REPLACE VIEW api.sla_breach_kept AS
SELECT b.ticket_id, api.severity(b.priority) AS severity, b.breached_at,
       b.source, t.number, t.kind, t.title, t.status, b.priority, t.queue, t.category, t.assignee_id, t.team,
       t.opened_at, t.sla_due_at, t.resolved_at, t.closed_at, t.url
  FROM core.breach b
  JOIN api.ticket t ON t.ticket_id = b.ticket_id
 WHERE t.sla_breached AND NOT EXISTS (SELECT FROM core.run_out r WHERE r.ticket_id = b.ticket_id);

COMMENT ON VIEW api.sla_breach_kept IS 'the part of api.sla_breach that is kept ready; the rest is in api.sla_breach_new';

CREATE OR REPLACE VIEW api.sla_breach_new AS
SELECT t.ticket_id, api.severity(t.priority) AS severity,
       coalesce((SELECT min(e.occurred_at) FROM core.ticket_event e
                  WHERE e.ticket_id = t.ticket_id AND e.type = 'TicketSlaBreachedV1'),
                core.missed_deadline(t.sla_due_at, t.sla_done_at, t.sla_own_due_at, t.sla_owned_at, now()),
                t.resolved_at, t.closed_at, t.updated_at) AS breached_at,
       t.source, t.number, t.kind, t.title, t.status, t.priority, t.queue, t.category, t.assignee_id, t.team,
       t.opened_at, t.sla_due_at, t.resolved_at, t.closed_at, t.url
  FROM core.run_out t
 WHERE t.deleted_at IS NULL
   AND core.is_breached(t.sla_met, t.sla_waits, t.sla_due_at, t.sla_done_at, t.sla_own_due_at, t.sla_owned_at,
                        t.sla_owned_after_s, t.opened_at, now());

COMMENT ON VIEW api.sla_breach_new IS 'the part of api.sla_breach whose deadlines passed within the last minute or so';

CREATE OR REPLACE VIEW api.sla_breach AS
SELECT * FROM api.sla_breach_kept UNION ALL SELECT * FROM api.sla_breach_new;

COMMENT ON VIEW api.sla_breach IS 'tickets that breached an SLA, as GET /v1/sla/breaches lists them; deleted ones are left out';
COMMENT ON COLUMN api.sla_breach.breached_at IS
  'the first breach recorded; else the deadline missed; else when it was resolved, closed or last updated';
