-- Tickets, newest change first. $1 source, $2 kind, $3 status, $4 priority, $5 queue, $6 category,
-- $7 assignee, $8 team (arrays), $9 opened from, $10 opened before, $11 updated since, $12 search,
-- $13 not the deleted ones, $14 and $15 updated_at and ticket_id of the last row before, $16 ticket_id
-- of the last row before if that has no updated_at, $17 rows. Without a parameter its line is left out.
-- The columns are those of the API, in its order, then those of `meta`. Names of assignees are joined
-- behind the page: all at once takes half of the time that one by one takes.
SELECT p.ticket_id, p.source, p.source_type, p.external_id, p.number, p.kind, p.title, p.status, p.status_raw,
       p.priority, p.queue, p.category, p.requester, p.assignee_id, n.name AS assignee, p.team,
       p.opened_at, p.updated_at, p.resolved_at, p.closed_at, p.resolved_by_id, p.sla_due_at, p.sla_breached,
       p.reopen_count, p.url, p.deleted_at, m.version, m.as_of, m.lag_seconds
  FROM api.meta($1::text[]) m
  LEFT JOIN LATERAL (
    SELECT t.*
      FROM api.ticket t
     WHERE true
--$1   AND t.source = ANY ($1::text[])
--$2   AND t.kind = ANY ($2::text[])
--$3   AND t.status = ANY ($3::text[])
--$4   AND coalesce(t.priority::text, 'unknown') = ANY ($4::text[])
--$5   AND t.queue = ANY ($5::text[])
--$6   AND t.category = ANY ($6::text[])
--$7   AND t.assignee_id IN (SELECT a.technician_id FROM api.technician a
--$7                          WHERE a.technician_id::text = ANY ($7::text[]) OR lower(a.email) = ANY ($7::text[]))
--$8   AND t.team = ANY ($8::text[])
--$9   AND t.opened_at >= $9::timestamptz
--$10  AND t.opened_at < $10::timestamptz
--$11  AND t.updated_at >= $11::timestamptz
--$12  AND to_tsvector('simple', coalesce(t.number, '') || ' ' || coalesce(t.title, ''))
--$12      @@ websearch_to_tsquery('simple', $12::text)
--$13  AND t.deleted_at IS NULL
--$14  AND (t.updated_at, t.ticket_id) < ($14::timestamptz, $15::text)
--$16  AND (t.updated_at IS NOT NULL OR t.ticket_id < $16::text)
     ORDER BY t.updated_at DESC, t.ticket_id DESC
     LIMIT $17) p ON true
  LEFT JOIN api.technician n ON n.technician_id = p.assignee_id
 ORDER BY p.updated_at DESC, p.ticket_id DESC
