-- Tickets counted, as JSON, then `meta`. $1 source, $2 queue, $3 priority, $4 category (arrays, NULL =
-- any). One pass groups by everything; what is said is summed up from its few rows.
WITH g AS MATERIALIZED (
  SELECT * FROM api.overview o
   WHERE ($1::text[] IS NULL OR o.source = ANY ($1::text[]))
     AND ($2::text[] IS NULL OR o.queue = ANY ($2::text[]))
     AND ($3::text[] IS NULL OR coalesce(o.priority::text, 'unknown') = ANY ($3::text[]))
     AND ($4::text[] IS NULL OR o.category = ANY ($4::text[]))
), status AS (
  SELECT s.name, sum(g.tickets) AS n
    FROM unnest(ARRAY['new', 'in_progress', 'pending', 'resolved', 'closed', 'cancelled', 'unmapped'])
         WITH ORDINALITY AS s(name, place)
    JOIN g ON g.status = s.name GROUP BY s.name, s.place ORDER BY s.place
), priority AS (
  SELECT coalesce(priority::text, 'unknown') AS name, sum(tickets) AS n FROM g GROUP BY priority ORDER BY priority
), source AS (
  SELECT source AS name, sum(tickets) AS n FROM g GROUP BY source ORDER BY source
), queue AS (
  SELECT queue AS key, sum(tickets) AS total, coalesce(sum(tickets) FILTER (WHERE is_open), 0) AS open
    FROM g GROUP BY queue ORDER BY 2 DESC, queue
), category AS (
  SELECT category AS key, sum(tickets) AS total, coalesce(sum(tickets) FILTER (WHERE is_open), 0) AS open
    FROM g GROUP BY category ORDER BY 2 DESC, category
), age AS (
  SELECT b.bucket, coalesce(sum(g.tickets), 0) AS open
    FROM unnest(ARRAY['0-1d', '1-3d', '3-7d', '7-30d', '30d+', 'unknown']) WITH ORDINALITY AS b(bucket, place)
    LEFT JOIN g ON g.age = b.bucket
   GROUP BY b.bucket, b.place HAVING b.bucket <> 'unknown' OR sum(g.tickets) > 0 ORDER BY b.place
)
SELECT json_build_object(
         'total', (SELECT coalesce(sum(tickets), 0) FROM g),
         'open', (SELECT coalesce(sum(tickets), 0) FROM g WHERE is_open),
         'by_status', (SELECT coalesce(json_object_agg(name, n), '{}') FROM status),
         'by_priority', (SELECT coalesce(json_object_agg(name, n), '{}') FROM priority),
         'by_queue', (SELECT coalesce(json_agg(queue), '[]') FROM queue),
         'by_category', (SELECT coalesce(json_agg(category), '[]') FROM category),
         'by_source', (SELECT coalesce(json_object_agg(name, n), '{}') FROM source),
         'ageing', (SELECT json_agg(age) FROM age)),
       m.version, m.as_of, m.lag_seconds
  FROM api.meta($1::text[]) m
