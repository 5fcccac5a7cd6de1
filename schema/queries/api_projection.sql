-- What the cache watches: the version of all projections, their last publish, and whether this server
-- follows another. $1 version and $2 publish to be reached; is it?
SELECT m.version, p.checked_at, pg_is_in_recovery(),
       m.version >= $1::bigint AND ($2::timestamptz IS NULL OR p.checked_at >= $2::timestamptz)
  FROM api.meta(NULL) m CROSS JOIN (SELECT max(checked_at) AS checked_at FROM ops.projection_version) p
