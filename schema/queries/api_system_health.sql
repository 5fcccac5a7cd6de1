-- The state of the queue and of the dead letters.
SELECT (SELECT count(*) FROM ops.execution_log WHERE status = 'queued'),
       (SELECT count(*) FROM ops.execution_log WHERE status = 'running'),
       (SELECT CASE WHEN count(*) > 0
                 THEN greatest(0, floor(extract(epoch FROM clock_timestamp() - min(queued_at))))::bigint END
          FROM ops.execution_log WHERE status = 'queued'),
       (SELECT coalesce(json_agg(json_build_object('source', d.source, 'task', d.task, 'open', d.n)
                                 ORDER BY d.source, d.task), '[]')
          FROM (SELECT source, task, count(*) AS n FROM ops.dead_letter WHERE resolved_at IS NULL
                 GROUP BY source, task) d),
       (SELECT count(*) FROM ops.dead_letter WHERE resolved_at IS NULL),
       pg_is_in_recovery(), m.version, m.as_of, m.lag_seconds
  FROM api.meta(NULL) m
