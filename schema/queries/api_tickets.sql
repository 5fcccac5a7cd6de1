-- Tickets, newest change first. $1 source, $2 kind, $3 status, $4 priority, $5 queue, $6 category,
-- $7 assignee, $8 team (arrays), $9 opened from, $10 opened before, $11 updated since, $12 search,
-- $13 deleted ones too, $14 and $15 updated_at and ticket_id of the last row before, $16 rows.
-- NULL = any. The columns are those of the API, in its order, then those of `meta`.
SELECT p.*, m.version, m.as_of, m.lag_seconds
  FROM api.meta($1::text[]) m
  LEFT JOIN LATERAL (
    SELECT t.ticket_id, t.source, t.source_type, t.external_id, t.number, t.kind, t.title, t.status, t.status_raw,
           t.priority, t.queue, t.category, t.requester, t.assignee_id,
           (SELECT a.name FROM api.technician a WHERE a.technician_id = t.assignee_id) AS assignee, t.team,
           t.opened_at, t.updated_at, t.resolved_at, t.closed_at, t.resolved_by_id, t.sla_due_at, t.sla_breached,
           t.reopen_count, t.url, t.deleted_at
      FROM api.ticket t
     WHERE ($1::text[] IS NULL OR t.source = ANY ($1::text[]))
       AND ($2::text[] IS NULL OR t.kind = ANY ($2::text[]))
       AND ($3::text[] IS NULL OR t.status = ANY ($3::text[]))
       AND ($4::text[] IS NULL OR coalesce(t.priority::text, 'unknown') = ANY ($4::text[]))
       AND ($5::text[] IS NULL OR t.queue = ANY ($5::text[]))
       AND ($6::text[] IS NULL OR t.category = ANY ($6::text[]))
       AND ($7::text[] IS NULL OR t.assignee_id IN (
             SELECT a.technician_id FROM api.technician a
              WHERE a.technician_id::text = ANY ($7::text[]) OR lower(a.email) = ANY ($7::text[])))
       AND ($8::text[] IS NULL OR t.team = ANY ($8::text[]))
       AND ($9::timestamptz IS NULL OR t.opened_at >= $9::timestamptz)
       AND ($10::timestamptz IS NULL OR t.opened_at < $10::timestamptz)
       AND ($11::timestamptz IS NULL OR t.updated_at >= $11::timestamptz)
       AND ($12::text IS NULL
            OR to_tsvector('simple', coalesce(t.number, '') || ' ' || coalesce(t.title, ''))
               @@ websearch_to_tsquery('simple', $12::text))
       AND ($13::boolean OR t.deleted_at IS NULL)
       AND ($15::text IS NULL
            OR ($14::timestamptz IS NULL AND (t.updated_at IS NOT NULL OR t.ticket_id < $15::text))
            OR ($14::timestamptz IS NOT NULL AND (t.updated_at, t.ticket_id) < ($14::timestamptz, $15::text)))
     ORDER BY t.updated_at DESC, t.ticket_id DESC
     LIMIT $16::bigint) p ON true
 ORDER BY p.updated_at DESC, p.ticket_id DESC
