-- Was this execution ($1 id) asked for in the same words? $2 load, $3 mode, $4 from, $5 to, $6 params
SELECT load = $2::text AND mode = $3::text
       AND window_from IS NOT DISTINCT FROM $4::timestamptz
       AND window_to IS NOT DISTINCT FROM $5::timestamptz
       AND params = $6::jsonb
  FROM ops.execution_log WHERE id = $1::bigint
