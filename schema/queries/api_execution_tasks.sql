-- The tasks of one execution ($1 id). The columns are those of the API, in its order.
SELECT source, task, mode, status, records_read, records_inserted, records_updated,
       records_unchanged, records_deleted, records_rejected, records_expected, records_hidden,
       records_duplicate, to_json(fields_unreadable), requests, retries, throttled_ms, bytes_received,
       fetch_ms, transform_ms, load_ms, peak_page_bytes, watermark_before, watermark_after,
       error_class, error_message, started_at, finished_at
  FROM ops.execution_task
 WHERE execution_id = $1::bigint
 ORDER BY source, task
