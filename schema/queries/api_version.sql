-- The version of all projections and the time of this reading.
SELECT coalesce(max(version), 0), date_trunc('milliseconds', clock_timestamp())
  FROM ops.projection_version
