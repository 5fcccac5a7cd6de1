-- Tickets that breached an SLA, newest breach first. $1 source, $2 severity (arrays), $3 from, $4
-- before (of breached_at), $5 and $6 breached_at and ticket_id of the last row before, $7 rows. Without
-- a parameter its line is left out. The columns are those of the API, in its order, then those of
-- `meta`. Of both parts of api.sla_breach a page, so that each comes in its order from an index.
SELECT p.*, m.version, m.as_of, m.lag_seconds
  FROM api.meta($1::text[]) m
  LEFT JOIN LATERAL (
    SELECT b.ticket_id, b.severity, b.breached_at, b.source, b.number, b.kind, b.title, b.status, b.priority, b.queue,
           b.category, b.assignee_id, (SELECT a.name FROM api.technician a WHERE a.technician_id = b.assignee_id) AS assignee,
           b.team, b.opened_at, b.sla_due_at, b.resolved_at, b.closed_at, b.url
      FROM ((SELECT k.* FROM api.sla_breach_kept k
              WHERE k.breached_at >= $3::timestamptz AND k.breached_at < $4::timestamptz
--$1            AND k.source = ANY ($1::text[])
--$2            AND k.severity = ANY ($2::text[])
--$6            AND (k.breached_at, k.ticket_id) < ($5::timestamptz, $6::text)
              ORDER BY k.breached_at DESC, k.ticket_id DESC
              LIMIT $7)
            UNION ALL
            SELECT n.* FROM api.sla_breach_new n
             WHERE n.breached_at >= $3::timestamptz AND n.breached_at < $4::timestamptz
--$1           AND n.source = ANY ($1::text[])
--$2           AND n.severity = ANY ($2::text[])
--$6           AND (n.breached_at, n.ticket_id) < ($5::timestamptz, $6::text)
           ) b
     ORDER BY b.breached_at DESC, b.ticket_id DESC
     LIMIT $7) p ON true
 ORDER BY p.breached_at DESC, p.ticket_id DESC
