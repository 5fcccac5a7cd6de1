-- How old each task's copy is. $1: JSON array of {load, source, task}.
SELECT p.load, p.source, p.task, v.version, v.changed_at, v.checked_at,
       CASE WHEN v.checked_at IS NOT NULL
            THEN greatest(0, floor(extract(epoch FROM clock_timestamp() - v.checked_at)))::bigint END,
       w.high, t.execution_id, t.status, t.error_message,
       api.feeds_tickets(p.task)
  FROM jsonb_to_recordset($1::jsonb) AS p(load text, source text, task text)
  LEFT JOIN ops.projection_version v ON v.source = p.source AND v.task = p.task
  LEFT JOIN ops.watermark w ON w.source = p.source AND w.task = p.task
  LEFT JOIN LATERAL (SELECT execution_id, status, error_message FROM ops.execution_task x
                      WHERE x.source = p.source AND x.task = p.task
                      ORDER BY execution_id DESC LIMIT 1) t ON true
 ORDER BY p.load, p.source, p.task
