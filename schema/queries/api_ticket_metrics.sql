-- Figures of groups of tickets. $1 source, $2 kind, $3 status, $4 priority, $5 queue, $6 category,
-- $7 assignee, $8 team (arrays), $9 opened from, $10 opened before, $11 what to group by. NULL = any.
-- The columns are those of the API, in its order, then those of `meta`.
SELECT p.key, p.name, p.tickets, p.resolved, p.mean_resolution_hours, p.median_resolution_hours, p.sla_met, p.sla_total,
       p.tickets IS NOT NULL, m.version, m.as_of, m.lag_seconds
  FROM api.meta($1::text[]) m
  LEFT JOIN LATERAL (
    SELECT g.key, (SELECT a.name FROM api.technician a WHERE $11 = 'assignee' AND a.technician_id::text = g.key) AS name,
           count(*) AS tickets, count(g.resolved_at) AS resolved,
           round(avg(g.resolution_s) / 3600, 6) AS mean_resolution_hours,
           round((percentile_cont(0.5) WITHIN GROUP (ORDER BY g.resolution_s::float8) / 3600)::numeric, 6)
             AS median_resolution_hours,
           count(*) FILTER (WHERE g.sla_met) AS sla_met, count(g.sla_met) AS sla_total
      FROM (SELECT CASE $11::text
                     WHEN 'priority' THEN f.priority::text
                     WHEN 'queue' THEN f.queue
                     WHEN 'category' THEN f.category
                     WHEN 'source' THEN f.source
                     WHEN 'month' THEN f.month
                     WHEN 'assignee' THEN f.assignee_id::text
                   END AS key,
                   f.resolved_at, f.sla_met, extract(epoch FROM f.resolved_at - f.opened_at) AS resolution_s
              FROM api.ticket_figure f
             WHERE ($1::text[] IS NULL OR f.source = ANY ($1::text[]))
               AND ($2::text[] IS NULL OR f.kind = ANY ($2::text[]))
               AND ($3::text[] IS NULL OR f.status = ANY ($3::text[]))
               AND ($4::text[] IS NULL OR coalesce(f.priority::text, 'unknown') = ANY ($4::text[]))
               AND ($5::text[] IS NULL OR f.queue = ANY ($5::text[]))
               AND ($6::text[] IS NULL OR f.category = ANY ($6::text[]))
               AND ($7::text[] IS NULL OR f.assignee_id IN (
                     SELECT a.technician_id FROM api.technician a
                      WHERE a.technician_id::text = ANY ($7::text[]) OR lower(a.email) = ANY ($7::text[])))
               AND ($8::text[] IS NULL OR f.team = ANY ($8::text[]))
               AND ($9::timestamptz IS NULL OR f.opened_at >= $9::timestamptz)
               AND ($10::timestamptz IS NULL OR f.opened_at < $10::timestamptz)) g
     GROUP BY g.key) p ON true
 ORDER BY CASE WHEN $11::text IN ('priority', 'month') THEN p.key END, p.tickets DESC, p.key
