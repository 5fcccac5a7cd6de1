-- Run metrics for Prometheus, sorted by name. $1: JSON array of {load, source, task}.
WITH wanted AS (
  SELECT * FROM jsonb_to_recordset($1::jsonb) AS p(load text, source text, task text)
), counted AS (
  SELECT load, status, count(*) AS n, min(queued_at) AS oldest
    FROM ops.execution_log GROUP BY load, status
), latest AS (
  SELECT e.* FROM (SELECT DISTINCT load FROM counted) l
   CROSS JOIN LATERAL (SELECT * FROM ops.execution_log x
                        WHERE x.load = l.load AND x.status NOT IN ('queued', 'running')
                        ORDER BY x.id DESC LIMIT 1) e
), good AS (
  SELECT e.load, e.finished_at FROM (SELECT DISTINCT load FROM counted WHERE status = 'success') l
   CROSS JOIN LATERAL (SELECT x.load, x.finished_at FROM ops.execution_log x
                        WHERE x.load = l.load AND x.status = 'success'
                        ORDER BY x.id DESC LIMIT 1) e
), task AS (
  SELECT t.* FROM wanted p
   CROSS JOIN LATERAL (SELECT * FROM ops.execution_task x
                        WHERE x.source = p.source AND x.task = p.task
                        ORDER BY x.execution_id DESC LIMIT 1) t
), version AS (
  SELECT v.*, extract(epoch FROM clock_timestamp() - v.checked_at) AS lag
    FROM wanted p JOIN ops.projection_version v USING (source, task)
)
SELECT metric, load, source, task, status, kind, value FROM (
  SELECT 'foz_schema_version' AS metric, NULL AS load, NULL AS source, NULL AS task, NULL AS status,
         NULL AS kind, max(version)::numeric AS value FROM ops.migration
  UNION ALL SELECT 'foz_executions', load, NULL, NULL, status, NULL, n FROM counted
  UNION ALL SELECT 'foz_executions_running', NULL, NULL, NULL, NULL, NULL,
                   coalesce(sum(n), 0) FROM counted WHERE status = 'running'
  UNION ALL SELECT 'foz_queue_length', NULL, NULL, NULL, NULL, NULL,
                   coalesce(sum(n), 0) FROM counted WHERE status = 'queued'
  UNION ALL SELECT 'foz_queue_oldest_seconds', NULL, NULL, NULL, NULL, NULL,
                   coalesce(round(extract(epoch FROM clock_timestamp() - min(oldest)), 3), 0)
              FROM counted WHERE status = 'queued'
  UNION ALL SELECT 'foz_execution_last_finished_timestamp_seconds', load, NULL, NULL, NULL, NULL,
                   extract(epoch FROM finished_at) FROM latest
  UNION ALL SELECT 'foz_execution_last_duration_seconds', load, NULL, NULL, NULL, NULL,
                   round(duration_ms / 1000.0, 3) FROM latest
  UNION ALL SELECT 'foz_execution_last_status', load, NULL, NULL, status, NULL, 1 FROM latest
  UNION ALL SELECT 'foz_execution_last_records', l.load, NULL, NULL, NULL, k.kind, k.n
              FROM latest l
             CROSS JOIN LATERAL (VALUES ('read', records_read), ('inserted', records_inserted),
                                        ('updated', records_updated), ('unchanged', records_unchanged),
                                        ('deleted', records_deleted), ('rejected', records_rejected)
                                ) AS k(kind, n)
  UNION ALL SELECT 'foz_execution_last_success_timestamp_seconds', load, NULL, NULL, NULL, NULL,
                   extract(epoch FROM finished_at) FROM good
  UNION ALL SELECT 'foz_task_last_success_timestamp_seconds', NULL, source, task, NULL, NULL,
                   extract(epoch FROM checked_at) FROM version
  UNION ALL SELECT 'foz_task_last_change_timestamp_seconds', NULL, source, task, NULL, NULL,
                   extract(epoch FROM changed_at) FROM version
  UNION ALL SELECT 'foz_task_lag_seconds', NULL, source, task, NULL, NULL, round(lag, 3) FROM version
  UNION ALL SELECT 'foz_task_fresh', NULL, source, task, NULL, NULL, (lag <= 300)::int FROM version
  UNION ALL SELECT 'foz_task_version', NULL, source, task, NULL, NULL, version FROM version
  UNION ALL SELECT 'foz_task_last_status', NULL, source, task, status, NULL, 1 FROM task
  UNION ALL SELECT 'foz_task_last_records', NULL, t.source, t.task, NULL, k.kind, k.n
              FROM task t
             CROSS JOIN LATERAL (VALUES ('read', records_read), ('inserted', records_inserted),
                                        ('updated', records_updated), ('unchanged', records_unchanged),
                                        ('deleted', records_deleted), ('rejected', records_rejected),
                                        ('hidden', records_hidden), ('duplicate', records_duplicate)
                                ) AS k(kind, n)
  UNION ALL SELECT 'foz_task_last_requests', NULL, source, task, NULL, NULL, requests FROM task
  UNION ALL SELECT 'foz_task_last_retries', NULL, source, task, NULL, NULL, retries FROM task
  UNION ALL SELECT 'foz_task_last_throttled_seconds', NULL, source, task, NULL, NULL,
                   round(throttled_ms / 1000.0, 3) FROM task
  UNION ALL SELECT 'foz_dead_letters', NULL, source, task, NULL, NULL, count(*)
              FROM ops.dead_letter WHERE resolved_at IS NULL GROUP BY source, task
) AS samples
WHERE value IS NOT NULL
ORDER BY metric, load, source, task, status, kind
