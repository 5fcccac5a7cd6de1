-- The version of all projections and the time of this reading.
SELECT coalesce(sum(version), 0)::bigint, date_trunc('milliseconds', clock_timestamp())
  FROM ops.projection_version
