-- What happened to one ticket ($1 ticket_id), also to one that is gone, as JSON; then `meta`. No row:
-- nothing is known of it.
SELECT json_build_object(
         'ticket_id', $1::text,
         'ticket', (SELECT json_build_object('source', t.source, 'number', t.number, 'title', t.title, 'status', t.status,
                                             'opened_at', api.instant(t.opened_at), 'resolved_at', api.instant(t.resolved_at), 'closed_at', api.instant(t.closed_at),
                                             'sla_due_at', api.instant(t.sla_due_at), 'sla_breached', t.sla_breached,
                                             'deleted_at', api.instant(t.deleted_at))
                      FROM api.ticket t WHERE t.ticket_id = $1::text),
         'events', (SELECT coalesce(json_agg(json_build_object(
                             'event_id', e.event_id, 'type', e.type, 'occurred_at', api.instant(e.occurred_at),
                             'recorded_at', api.instant(e.recorded_at), 'execution_id', e.execution_id, 'trace_id', e.trace_id,
                             'payload', e.payload) ORDER BY e.occurred_at, e.seq), '[]')
                      FROM api.ticket_event e WHERE e.ticket_id = $1::text),
         'slas', (SELECT coalesce(json_agg(json_build_object(
                           'sla_id', s.sla_id, 'name', s.name, 'stage', s.stage, 'active', s.is_active,
                           'started_at', api.instant(s.started_at), 'ended_at', api.instant(s.ended_at), 'due_at', api.instant(s.due_at),
                           'breached', s.breached) ORDER BY s.started_at, s.due_at, s.sla_id, s.name), '[]')
                    FROM api.ticket_sla s WHERE s.ticket_id = $1::text)),
       m.version, m.as_of, m.lag_seconds
  FROM api.meta((SELECT array_agg(t.source) FROM api.ticket t WHERE t.ticket_id = $1::text)) m
 WHERE EXISTS (SELECT FROM api.ticket t WHERE t.ticket_id = $1::text)
    OR EXISTS (SELECT FROM api.ticket_event e WHERE e.ticket_id = $1::text)
