-- Who resolved how much. $1 from, $2 before (of resolved_at), $3 metric, $4 team (array), $5 by team
-- instead of by person, $6 rank place of the last row before, $7 rows. NULL = any. The columns are
-- those of the API, then the place in the list and those of `meta`.
WITH person AS MATERIALIZED (
  SELECT a.technician_id, a.name, a.email, a.team FROM api.technician a
   WHERE $4::text[] IS NULL OR a.team = ANY ($4::text[])
), figure AS MATERIALIZED (
  SELECT CASE WHEN $5::boolean THEN NULL ELSE p.technician_id END AS technician_id,
         CASE WHEN $5::boolean THEN p.team END AS team, count(*) AS handled,
         count(DISTINCT p.technician_id) AS technicians,
         count(*) FILTER (WHERE f.sla_met) AS sla_met, count(f.sla_met) AS sla_total,
         round(avg(extract(epoch FROM f.resolved_at - f.opened_at)) / 3600, 6) AS hours
    FROM api.ticket_figure f JOIN person p ON p.technician_id = f.resolved_by_id
   WHERE f.resolved_at >= $1::timestamptz AND f.resolved_at < $2::timestamptz
   GROUP BY 1, 2
), ranked AS (
  SELECT g.*, p.name, p.email, p.team AS team_of,
         CASE $3::text WHEN 'handled' THEN g.handled::numeric
                       WHEN 'sla' THEN g.sla_met::numeric / nullif(g.sla_total, 0)
                       WHEN 'resolution' THEN - g.hours END AS score
    FROM figure g LEFT JOIN person p ON p.technician_id = g.technician_id
), listed AS (
  SELECT r.*, rank() OVER (ORDER BY score DESC NULLS LAST) AS rank,
         row_number() OVER (ORDER BY score DESC NULLS LAST, handled DESC, name, team, technician_id) AS place
    FROM ranked r
)
SELECT l.rank, l.technician_id, l.name, l.email, CASE WHEN $5::boolean THEN l.team ELSE l.team_of END, l.technicians,
       l.handled, l.sla_met, l.sla_total, l.hours, l.place, m.version, m.as_of, m.lag_seconds
  FROM api.meta(NULL) m
  LEFT JOIN LATERAL (
    SELECT * FROM listed WHERE place > $6::bigint ORDER BY place LIMIT $7::bigint) l ON true
 ORDER BY l.place
