-- People in core: identities as each source's directory has them, and one technician for all who share an
-- address. Called by core.refresh, core.settle and core.rebuild.

-- Technicians from identities: of the people in pg_temp.person_change, or of all.
CREATE OR REPLACE FUNCTION core.refresh_technicians(p_all boolean) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format($q$
    INSERT INTO core.technician AS t (technician_id, name, email, team)
    SELECT i.technician_id,
           (array_agg(i.name ORDER BY i.name IS NULL, i.source, i.external_id))[1],
           max(i.email),
           (array_agg(i.team ORDER BY i.team IS NULL, i.source, i.external_id))[1]
      FROM core.technician_identity i %s
     GROUP BY i.technician_id
    ON CONFLICT (technician_id) DO UPDATE SET name = excluded.name, email = excluded.email, team = excluded.team
      WHERE (t.name, t.email, t.team) IS DISTINCT FROM (excluded.name, excluded.email, excluded.team)
    $q$, CASE WHEN NOT p_all THEN 'WHERE i.technician_id IN (SELECT c.technician_id FROM pg_temp.person_change c
           UNION SELECT c.old_id FROM pg_temp.person_change c)' END);
  EXECUTE format($q$
    DELETE FROM core.technician t
     WHERE NOT EXISTS (SELECT FROM core.technician_identity i WHERE i.technician_id = t.technician_id) %s
    $q$, CASE WHEN NOT p_all THEN 'AND t.technician_id IN (SELECT c.old_id FROM pg_temp.person_change c)' END);
END
$$;

-- Leaves in pg_temp.person_change who differs from core, and makes it so. Without `all` only those
-- whose keys are in pg_temp.delta are looked at.
CREATE OR REPLACE FUNCTION core.refresh_people(p_source text, p_source_type text, p_all boolean) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
  v_view   text := p_source_type || '_person';
  v_key    text;
  v_type   text;
  v_n      bigint;
BEGIN
  DROP TABLE IF EXISTS pg_temp.person_change;
  IF p_all THEN
    EXECUTE format($q$
      CREATE TEMPORARY TABLE person_change ON COMMIT DROP AS
      SELECT coalesce(v.external_id, i.external_id) AS external_id, v.technician_id, v.name, v.email, v.team,
             i.technician_id AS old_id, i.name AS old_name, i.email AS old_email
        FROM (SELECT * FROM core.%1$I WHERE source = %2$L) v
        FULL JOIN (SELECT * FROM core.technician_identity WHERE source = %2$L) i ON i.external_id = v.external_id
       WHERE (v.technician_id, v.name, v.email, v.team) IS DISTINCT FROM (i.technician_id, i.name, i.email, i.team)
      $q$, v_view, p_source);
  ELSE
    SELECT attname INTO v_key FROM pg_attribute WHERE attrelid = 'pg_temp.delta'::regclass AND attnum = 1;
    SELECT format_type(atttypid, atttypmod) INTO v_type FROM pg_attribute
     WHERE attrelid = ('core.' || v_view)::regclass AND attname = 'key';
    EXECUTE format($q$
      CREATE TEMPORARY TABLE person_change ON COMMIT DROP AS
      SELECT k.key::text AS external_id, v.technician_id, v.name, v.email, v.team,
             i.technician_id AS old_id, i.name AS old_name, i.email AS old_email
        FROM (SELECT d.%3$I::%4$s AS key FROM pg_temp.delta d) k
        LEFT JOIN core.%1$I v ON v.source = %2$L AND v.key = k.key
        LEFT JOIN core.technician_identity i ON i.source = %2$L AND i.external_id = k.key::text
       WHERE (v.technician_id, v.name, v.email, v.team) IS DISTINCT FROM (i.technician_id, i.name, i.email, i.team)
      $q$, v_view, p_source, v_key, v_type);
  END IF;
  GET DIAGNOSTICS v_n = ROW_COUNT;
  IF v_n > 1000 THEN
    ANALYZE pg_temp.person_change;
  END IF;
  IF v_n > 0 THEN
    DELETE FROM core.technician_identity i USING pg_temp.person_change c
     WHERE c.technician_id IS NULL AND i.source = p_source AND i.external_id = c.external_id;
    -- The reference is checked at the commit, when technicians are there.
    UPDATE core.technician_identity i
       SET technician_id = c.technician_id, name = c.name, email = c.email, team = c.team
      FROM pg_temp.person_change c
     WHERE c.technician_id IS NOT NULL AND c.old_id IS NOT NULL
       AND i.source = p_source AND i.external_id = c.external_id;
    INSERT INTO core.technician_identity (source, external_id, technician_id, name, email, team)
    SELECT p_source, c.external_id, c.technician_id, c.name, c.email, c.team
      FROM pg_temp.person_change c WHERE c.technician_id IS NOT NULL AND c.old_id IS NULL;
    -- Statistics that know of other sources' people only let each ticket be compared with everybody.
    IF v_n > 100 THEN
      PERFORM core.analyze_people();
    END IF;
    PERFORM core.refresh_technicians(false);
  END IF;
  RETURN v_n;
END
$$;

-- Tickets of any source that name somebody by the mail address alone.
CREATE OR REPLACE FUNCTION core.follow_addresses() RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  DROP TABLE IF EXISTS pg_temp.address;
  CREATE TEMPORARY TABLE address ON COMMIT DROP AS
  SELECT 'mail:' || e.email AS key, t.technician_id
    FROM (SELECT email FROM pg_temp.person_change WHERE email IS NOT NULL
          UNION SELECT old_email FROM pg_temp.person_change WHERE old_email IS NOT NULL) e
    LEFT JOIN core.technician t ON t.email = e.email;
  UPDATE core.ticket t SET assignee_id = a.technician_id FROM pg_temp.address a, core.source s
   WHERE s.source_type = 'azure_devops' AND t.source = s.source AND t.assignee_key = a.key
     AND t.assignee_key LIKE 'mail:%' AND t.assignee_id IS DISTINCT FROM a.technician_id;
  UPDATE core.ticket t SET resolved_by_id = a.technician_id FROM pg_temp.address a, core.source s
   WHERE s.source_type = 'azure_devops' AND t.source = s.source AND t.resolver_key = a.key
     AND t.resolver_key LIKE 'mail:%' AND t.resolved_by_id IS DISTINCT FROM a.technician_id;
END
$$;

-- The tickets whose people changed, into pg_temp.touched: one scan, which keeps those that name one of
-- the few (at most 1,000) before it looks closer.
CREATE OR REPLACE FUNCTION core.touch_by_people(p_source text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  v_keys text[];
BEGIN
  -- A ticket shows neither address nor team of a person.
  IF NOT EXISTS (SELECT FROM pg_temp.person_change c
                  WHERE (c.technician_id, c.name) IS DISTINCT FROM (c.old_id, c.old_name)) THEN
    RETURN;
  END IF;
  v_keys := ARRAY(SELECT c.external_id FROM pg_temp.person_change c);
  INSERT INTO pg_temp.touched
  WITH named AS MATERIALIZED (
    SELECT t.external_id, t.assignee_key, t.assignee_id, t.resolver_key, t.resolved_by_id, t.requester_key, t.requester
      FROM core.ticket t
     WHERE t.ticket_id >= p_source || ':' AND t.ticket_id < p_source || ';'
       AND (t.assignee_key = ANY (v_keys) OR t.resolver_key = ANY (v_keys) OR t.requester_key = ANY (v_keys)))
  SELECT n.external_id FROM named n
    LEFT JOIN pg_temp.person_change a ON a.external_id = n.assignee_key
    LEFT JOIN pg_temp.person_change r ON r.external_id = n.resolver_key
    LEFT JOIN pg_temp.person_change q ON q.external_id = n.requester_key
   WHERE (a.external_id IS NOT NULL AND n.assignee_id IS DISTINCT FROM a.technician_id)
      OR (r.external_id IS NOT NULL AND n.resolved_by_id IS DISTINCT FROM r.technician_id)
      OR (q.external_id IS NOT NULL AND n.requester IS DISTINCT FROM q.name)
  ON CONFLICT DO NOTHING;
END
$$;
