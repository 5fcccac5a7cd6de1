-- The state of each load, and the version of all projections. $1: JSON array of load names.
SELECT l.name, coalesce(q.n, 0), r.id, e.id, e.status, e.finished_at,
       (SELECT coalesce(sum(version), 0)::bigint FROM ops.projection_version)
  FROM jsonb_array_elements_text($1::jsonb) AS l(name)
  LEFT JOIN LATERAL (SELECT count(*) AS n FROM ops.execution_log
                      WHERE load = l.name AND status = 'queued') q ON true
  LEFT JOIN LATERAL (SELECT id FROM ops.execution_log
                      WHERE load = l.name AND status = 'running') r ON true
  LEFT JOIN LATERAL (SELECT id, status, finished_at FROM ops.execution_log
                      WHERE load = l.name AND status NOT IN ('queued', 'running')
                      ORDER BY id DESC LIMIT 1) e ON true
 ORDER BY l.name
