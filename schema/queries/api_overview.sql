-- Tickets counted, as JSON, then `meta`. $1 source, $2 queue, $3 priority, $4 category (arrays, NULL =
-- any). One pass groups by each of the columns; `by` tells the rows of each apart.
WITH g AS MATERIALIZED (
  SELECT grouping(o.status, o.priority, o.source, o.queue, o.category, o.age) AS by,
         o.status, o.priority, o.source, o.queue, o.category, o.age, sum(o.tickets) AS total,
         coalesce(sum(o.tickets) FILTER (WHERE o.is_open), 0) AS open
    FROM api.overview_part o
   WHERE ($1::text[] IS NULL OR o.source = ANY ($1::text[]))
     AND ($2::text[] IS NULL OR o.queue = ANY ($2::text[]))
     AND ($3::text[] IS NULL OR coalesce(o.priority::text, 'unknown') = ANY ($3::text[]))
     AND ($4::text[] IS NULL OR o.category = ANY ($4::text[]))
   GROUP BY GROUPING SETS ((o.status), (o.priority), (o.source), (o.queue), (o.category), (o.age), ())
  HAVING sum(o.tickets) <> 0
), status AS (
  SELECT s.name, g.total AS n
    FROM unnest(ARRAY['new', 'in_progress', 'pending', 'resolved', 'closed', 'cancelled', 'unmapped'])
         WITH ORDINALITY AS s(name, place)
    JOIN g ON g.status = s.name AND g.by = b'011111'::int ORDER BY s.place
), priority AS (
  SELECT coalesce(priority::text, 'unknown') AS name, total AS n FROM g WHERE by = b'101111'::int ORDER BY priority
), source AS (
  SELECT source AS name, total AS n FROM g WHERE by = b'110111'::int ORDER BY source
), queue AS (
  SELECT queue AS key, total, open FROM g WHERE by = b'111011'::int ORDER BY total DESC, queue
), category AS (
  SELECT category AS key, total, open FROM g WHERE by = b'111101'::int ORDER BY total DESC, category
), age AS (
  SELECT b.bucket, coalesce(g.total, 0) AS open
    FROM unnest(ARRAY['0-1d', '1-3d', '3-7d', '7-30d', '30d+', 'unknown']) WITH ORDINALITY AS b(bucket, place)
    LEFT JOIN g ON g.age = b.bucket AND g.by = b'111110'::int
   WHERE b.bucket <> 'unknown' OR g.total > 0 ORDER BY b.place
), everything AS (
  SELECT total, open FROM g WHERE by = b'111111'::int
)
SELECT json_build_object(
         'total', coalesce((SELECT total FROM everything), 0),
         'open', coalesce((SELECT open FROM everything), 0),
         'by_status', (SELECT coalesce(json_object_agg(name, n), '{}') FROM status),
         'by_priority', (SELECT coalesce(json_object_agg(name, n), '{}') FROM priority),
         'by_queue', (SELECT coalesce(json_agg(queue), '[]') FROM queue),
         'by_category', (SELECT coalesce(json_agg(category), '[]') FROM category),
         'by_source', (SELECT coalesce(json_object_agg(name, n), '{}') FROM source),
         'ageing', (SELECT json_agg(age) FROM age)),
       m.version, m.as_of, m.lag_seconds
  FROM api.meta($1::text[]) m
