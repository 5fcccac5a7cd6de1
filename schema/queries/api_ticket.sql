-- One ticket ($1 ticket_id), deleted or not. The columns of api_tickets.sql, then those of `meta`.
SELECT t.ticket_id, t.source, t.source_type, t.external_id, t.number, t.kind, t.title, t.status, t.status_raw,
       t.priority, t.queue, t.category, t.requester, t.assignee_id, a.name, t.team,
       t.opened_at, t.updated_at, t.resolved_at, t.closed_at, t.resolved_by_id, t.sla_due_at, t.sla_breached,
       t.reopen_count, t.url, t.deleted_at,
       m.version, m.as_of, m.lag_seconds
  FROM api.ticket t
  LEFT JOIN api.technician a ON a.technician_id = t.assignee_id
 CROSS JOIN api.meta(ARRAY[t.source]) m
 WHERE t.ticket_id = $1::text
