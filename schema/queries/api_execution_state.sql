-- Has this execution ($1 id) come to its end?
SELECT status, status NOT IN ('queued', 'running') FROM ops.execution_log WHERE id = $1::bigint
