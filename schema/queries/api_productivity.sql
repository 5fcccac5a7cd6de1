-- What one person ($1 technician_id as text) resolved between $2 and $3, as JSON, then `meta`. Days and
-- hours are UTC; days without are there with 0, unless it is more than ten years. No row: there is no such person.
WITH hours AS MATERIALIZED (
  SELECT (h.hour AT TIME ZONE 'UTC')::date AS day, extract(hour FROM h.hour AT TIME ZONE 'UTC')::int AS hour,
         count(*) AS resolved, count(*) FILTER (WHERE h.sla_met) AS sla_met, count(h.sla_met) AS sla_total,
         sum(h.resolution_s) AS resolution_s, count(h.resolution_s) AS n_timed
    FROM (SELECT f.resolved_at AS hour, f.sla_met, extract(epoch FROM f.resolved_at - f.opened_at) AS resolution_s
            FROM api.ticket_figure f
            JOIN api.technician a ON a.technician_id = f.resolved_by_id
           WHERE a.technician_id::text = lower($1::text)
             AND f.resolved_at >= $2::timestamptz AND f.resolved_at < $3::timestamptz) h
   GROUP BY 1, 2
), calendar AS (
  SELECT day::date AS day
    FROM generate_series(($2::timestamptz AT TIME ZONE 'UTC')::date,
                         (($3::timestamptz - interval '1 microsecond') AT TIME ZONE 'UTC')::date, interval '1 day') AS s(day)
   WHERE $3::timestamptz - $2::timestamptz <= interval '3660 days'
  UNION SELECT day FROM hours
)
SELECT json_build_object(
         'technician', json_build_object('id', a.technician_id, 'name', a.name, 'email', a.email, 'team', a.team),
         'from', api.instant($2::timestamptz), 'to', api.instant($3::timestamptz),
         'handled', (SELECT coalesce(sum(resolved), 0) FROM hours),
         'sla_met', (SELECT coalesce(sum(sla_met), 0) FROM hours),
         'sla_total', (SELECT coalesce(sum(sla_total), 0) FROM hours),
         'mean_resolution_hours', (SELECT round(sum(resolution_s) / nullif(sum(n_timed), 0) / 3600, 6) FROM hours),
         'by_day', (SELECT coalesce(json_agg(json_build_object('date', d.day, 'resolved', d.resolved) ORDER BY d.day), '[]')
                      FROM (SELECT c.day::date AS day, coalesce(sum(h.resolved), 0) AS resolved
                              FROM calendar c LEFT JOIN hours h ON h.day = c.day GROUP BY c.day) d),
         'by_hour', (SELECT json_agg(json_build_object('hour', c.hour, 'resolved', coalesce(h.resolved, 0)) ORDER BY c.hour)
                       FROM generate_series(0, 23) AS c(hour)
                       LEFT JOIN (SELECT hour, sum(resolved) AS resolved FROM hours GROUP BY hour) h USING (hour))),
       m.version, m.as_of, m.lag_seconds
  FROM api.technician a CROSS JOIN api.meta(NULL) m
 WHERE a.technician_id::text = lower($1::text)
