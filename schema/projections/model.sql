-- Views for dashboards that read the database: the content of the HTTP routes. Columns are added,
-- never renamed.

CREATE OR REPLACE VIEW api.ticket AS
SELECT t.ticket_id, t.source, t.source_type, t.external_id, t.number, t.kind, t.title, t.status, t.status_raw,
       t.priority, t.queue, t.category, t.requester, t.assignee_id, t.team, t.opened_at, t.updated_at, t.resolved_at,
       t.closed_at, t.resolved_by_id, t.sla_due_at,
       -- core.is_breached, written out: to inline it would take half of the time a page takes.
       CASE
         WHEN t.sla_met IS NOT NULL THEN NOT t.sla_met
         WHEN t.sla_due_at IS NULL AND t.sla_own_due_at IS NULL THEN NULL
         ELSE NOT t.sla_waits
              AND (coalesce(CASE WHEN t.sla_done_at IS NULL THEN t.sla_due_at < now()
                                 ELSE t.sla_done_at > t.sla_due_at END, false)
                   OR coalesce(t.sla_owned_at > t.sla_own_due_at, false)
                   OR coalesce(t.sla_owned_at IS NULL
                               AND t.sla_owned_after_s > extract(epoch FROM t.sla_own_due_at - t.opened_at), false)
                   OR coalesce(t.sla_owned_after_s = 0 AND t.sla_own_due_at < now(), false))
       END AS sla_breached,
       t.sla_own_due_at, t.reopen_count, t.url, t.deleted_at, t.etl_execution_id,
       t.sla_met, t.sla_waits, t.sla_done_at, t.sla_owned_at, t.sla_owned_after_s,
       t.assignee_key, t.resolver_key, t.queue_key, t.requester_key
  FROM core.ticket t;

COMMENT ON VIEW api.ticket IS 'tickets of all sources in one form; docs/MODEL.md says where each column comes from';
COMMENT ON COLUMN api.ticket.ticket_id IS 'source:external_id';
COMMENT ON COLUMN api.ticket.source IS 'name of the source in the configuration';
COMMENT ON COLUMN api.ticket.source_type IS 'servicenow, glpi or azure_devops';
COMMENT ON COLUMN api.ticket.external_id IS 'the source''s own key: sys_id, ticket id, work item id';
COMMENT ON COLUMN api.ticket.number IS 'the number people know: INC0000045, 123, 42';
COMMENT ON COLUMN api.ticket.kind IS 'incident, request or the work item type';
COMMENT ON COLUMN api.ticket.status IS 'new, in_progress, pending, resolved, closed, cancelled or unmapped';
COMMENT ON COLUMN api.ticket.status_raw IS 'the source''s own state';
COMMENT ON COLUMN api.ticket.priority IS '1 critical to 5 lowest; NULL unknown';
COMMENT ON COLUMN api.ticket.queue IS 'assignment group; area path of a work item';
COMMENT ON COLUMN api.ticket.category IS 'category; project of a work item';
COMMENT ON COLUMN api.ticket.requester IS 'name of who asked for it';
COMMENT ON COLUMN api.ticket.assignee_id IS 'who works on it: api.technician; NULL nobody or not known yet';
COMMENT ON COLUMN api.ticket.team IS 'the team that works on it';
COMMENT ON COLUMN api.ticket.resolved_by_id IS 'who resolved it: api.technician';
COMMENT ON COLUMN api.ticket.sla_due_at IS 'when it has to be resolved';
COMMENT ON COLUMN api.ticket.sla_breached IS 'late as of now; NULL: no SLA and no deadline';
COMMENT ON COLUMN api.ticket.sla_own_due_at IS 'when somebody has to take it into account (GLPI)';
COMMENT ON COLUMN api.ticket.url IS 'the record, for people';
COMMENT ON COLUMN api.ticket.deleted_at IS 'since when it is in the source''s trash or gone';

CREATE OR REPLACE VIEW api.technician AS
SELECT t.technician_id, t.name, t.email, t.team FROM core.technician t;

COMMENT ON VIEW api.technician IS 'one row per person, across sources, matched by e-mail';
COMMENT ON COLUMN api.technician.team IS 'as the source''s directory says; NULL where it does not';

CREATE OR REPLACE VIEW api.technician_identity AS
SELECT i.source, i.external_id, i.technician_id, i.name, i.email, i.team FROM core.technician_identity i;

COMMENT ON VIEW api.technician_identity IS 'who a person is at each source';

CREATE OR REPLACE VIEW api.ticket_event AS
SELECT e.event_id, e.ticket_id, e.type, e.occurred_at, e.recorded_at, e.execution_id, e.trace_id, e.payload, e.seq
  FROM core.ticket_event e;

COMMENT ON VIEW api.ticket_event IS 'what happened to tickets, in order by occurred_at and seq; append-only; payloads as schema/events describes them';
COMMENT ON COLUMN api.ticket_event.occurred_at IS 'by the source''s clock';
COMMENT ON COLUMN api.ticket_event.recorded_at IS 'when it was written here';
COMMENT ON COLUMN api.ticket_event.seq IS 'orders what happened at one instant of the source''s clock';
