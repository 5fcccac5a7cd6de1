-- The run log, newest first. $1 id, $2 load, $3 status, $4 source (arrays), $5 queued since, $6 below this id,
-- $7 rows, $8 the loads that $4 belong to. NULL = any. The columns are those of the API, in its order.
-- Whoever names no source asks for all of the load; once there are tasks, they say which those were.
SELECT id, load, mode, status, trigger, requested_by, trace_id, attempt, worker,
       window_from, window_to, params, queued_at, started_at, heartbeat_at, finished_at, duration_ms,
       records_read, records_inserted, records_updated, records_unchanged, records_deleted,
       records_rejected, error_message, retry_of, cancel_requested_at, cancel_requested_by
  FROM ops.execution_log e
 WHERE ($1::bigint IS NULL OR id = $1::bigint)
   AND ($2::text[] IS NULL OR load = ANY ($2::text[]))
   AND ($3::text[] IS NULL OR status = ANY ($3::text[]))
   AND ($4::text[] IS NULL
        OR params -> 'source' ?| $4::text[]
        OR EXISTS (SELECT FROM ops.execution_task t WHERE t.execution_id = e.id AND t.source = ANY ($4::text[]))
        OR (load = ANY ($8::text[]) AND NOT params ? 'source'
            AND NOT EXISTS (SELECT FROM ops.execution_task t WHERE t.execution_id = e.id)))
   AND ($5::timestamptz IS NULL OR queued_at >= $5::timestamptz)
   AND ($6::bigint IS NULL OR id < $6::bigint)
 ORDER BY id DESC
 LIMIT $7::bigint
