-- The figures beside the tickets: core.tally and core.breach. Whatever changes core.ticket changes
-- them in the same statement, by triggers; time changes them by core.tick. What passed since then is
-- few, and the views of schema api look for it by the indexes on the tickets: so they say what a
-- count of all tickets would, as of now.

CREATE OR REPLACE FUNCTION core.is_open(p_status text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT p_status NOT IN ('resolved', 'closed', 'cancelled')
$$;

-- Stable, not immutable: arithmetic on timestamptz is, and only so it is inlined.
CREATE OR REPLACE FUNCTION core.ageing_bucket(p_opened_at timestamptz, p_at timestamptz) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE AS $$
  SELECT CASE
           WHEN p_opened_at IS NULL THEN 'unknown'
           WHEN p_opened_at > p_at - interval '24 hours' THEN '0-1d'
           WHEN p_opened_at > p_at - interval '72 hours' THEN '1-3d'
           WHEN p_opened_at > p_at - interval '168 hours' THEN '3-7d'
           WHEN p_opened_at > p_at - interval '720 hours' THEN '7-30d'
           ELSE '30d+'
         END
$$;

-- Late as of a moment; NULL: no SLA and no deadline.
CREATE OR REPLACE FUNCTION core.is_breached(
  p_met boolean, p_waits boolean, p_due_at timestamptz, p_done_at timestamptz, p_own_due_at timestamptz,
  p_owned_at timestamptz, p_owned_after_s bigint, p_opened_at timestamptz, p_at timestamptz) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT CASE
           WHEN p_met IS NOT NULL THEN NOT p_met
           WHEN p_due_at IS NULL AND p_own_due_at IS NULL THEN NULL
           ELSE NOT p_waits
                AND (coalesce(CASE WHEN p_done_at IS NULL THEN p_due_at < p_at ELSE p_done_at > p_due_at END, false)
                     OR coalesce(p_owned_at > p_own_due_at, false)
                     OR coalesce(p_owned_at IS NULL
                                 AND p_owned_after_s > extract(epoch FROM p_own_due_at - p_opened_at), false)
                     OR coalesce(p_owned_after_s = 0 AND p_own_due_at < p_at, false))
         END
$$;

-- The first deadline that was missed, as of a moment.
CREATE OR REPLACE FUNCTION core.missed_deadline(
  p_due_at timestamptz, p_done_at timestamptz, p_own_due_at timestamptz, p_owned_at timestamptz, p_at timestamptz)
RETURNS timestamptz LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT least(CASE WHEN p_due_at < coalesce(p_done_at, p_at) THEN p_due_at END,
               CASE WHEN p_own_due_at < coalesce(p_owned_at, p_at) THEN p_own_due_at END)
$$;

-- As of when the figures are. A function, so that the planner knows how little lies between then and now; with
-- its owner's rights, for the views of schema api are read by those who have none here.
CREATE OR REPLACE FUNCTION core.counted_at() RETURNS timestamptz
LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path TO pg_catalog AS $$
BEGIN
  RETURN (SELECT c.counted_at FROM core.clock c);
END
$$;

-- Open tickets that have grown out of an age since the tally was as of now: out of one, into the next.
-- The spans are written out for the index on open tickets.
CREATE OR REPLACE VIEW core.growth AS
SELECT t.source, t.queue, t.category, t.priority, t.status, g.age, g.n
  FROM core.ticket t
  JOIN (VALUES (interval '24 hours', '0-1d', -1), (interval '24 hours', '1-3d', 1),
               (interval '72 hours', '1-3d', -1), (interval '72 hours', '3-7d', 1),
               (interval '168 hours', '3-7d', -1), (interval '168 hours', '7-30d', 1),
               (interval '720 hours', '7-30d', -1), (interval '720 hours', '30d+', 1)) g (span, age, n)
    ON t.opened_at > (SELECT core.counted_at()) - g.span AND t.opened_at <= now() - g.span
 WHERE t.deleted_at IS NULL AND t.status NOT IN ('resolved', 'closed', 'cancelled')
   AND (   (t.opened_at > core.counted_at() - interval '24 hours' AND t.opened_at <= now() - interval '24 hours')
        OR (t.opened_at > core.counted_at() - interval '72 hours' AND t.opened_at <= now() - interval '72 hours')
        OR (t.opened_at > core.counted_at() - interval '168 hours' AND t.opened_at <= now() - interval '168 hours')
        OR (t.opened_at > core.counted_at() - interval '720 hours' AND t.opened_at <= now() - interval '720 hours'));

COMMENT ON VIEW core.growth IS 'what core.tally is to be changed by for its ages to be as of now';

CREATE OR REPLACE VIEW core.run_out AS
SELECT t.*
  FROM core.ticket t
 WHERE (t.sla_done_at IS NULL AND t.sla_due_at >= core.counted_at() AND t.sla_due_at < now())
    OR ((t.sla_owned_at IS NULL OR t.sla_owned_after_s = 0)
        AND t.sla_own_due_at >= core.counted_at() AND t.sla_own_due_at < now());

COMMENT ON VIEW core.run_out IS 'tickets with a deadline that passed since core.breach was as of now';

-- --- keeping them --------------------------------------------------------------------------------

-- Statements, not functions that run them: the rows of a trigger are known in the trigger only.

-- Adds to the tally; p_rows is a query of source, queue, category, priority, status, age and n.
CREATE OR REPLACE FUNCTION core.adding_to_tally(p_rows text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT format($q$
    INSERT INTO core.tally AS t (key, source, queue, category, priority, status, age, tickets)
    SELECT md5(jsonb_build_array(r.source, r.queue, r.category, r.priority, r.status, r.age)::text)::uuid,
           r.source, r.queue, r.category, r.priority, r.status, r.age, sum(r.n)
      FROM (%s) r
     GROUP BY r.source, r.queue, r.category, r.priority, r.status, r.age HAVING sum(r.n) <> 0
    ON CONFLICT (key) DO UPDATE SET tickets = t.tickets + excluded.tickets
    $q$, p_rows)
$$;

-- The rows to add for tickets, with $1 for the moment that the ages are as of.
CREATE OR REPLACE FUNCTION core.counting(p_rows text, p_n integer) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT format($q$
    SELECT c.source, c.queue, c.category, c.priority, c.status,
           CASE WHEN core.is_open(c.status) THEN core.ageing_bucket(c.opened_at, $1) END AS age, %s AS n
      FROM %s c WHERE c.deleted_at IS NULL
    $q$, p_n, p_rows)
$$;

-- Keeps the tickets among p_rows that are late as of $1.
CREATE OR REPLACE FUNCTION core.adding_to_breaches(p_rows text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT format($q$
    INSERT INTO core.breach AS b (ticket_id, source, priority, breached_at, is_recorded)
    SELECT t.ticket_id, t.source, t.priority,
           coalesce(f.at, core.missed_deadline(t.sla_due_at, t.sla_done_at, t.sla_own_due_at, t.sla_owned_at, $1),
                    t.resolved_at, t.closed_at, t.updated_at), f.at IS NOT NULL
      FROM %s t
     CROSS JOIN LATERAL (SELECT min(e.occurred_at) AS at FROM core.ticket_event e
                          WHERE e.ticket_id = t.ticket_id AND e.type = 'TicketSlaBreachedV1') f
     WHERE t.deleted_at IS NULL
       AND core.is_breached(t.sla_met, t.sla_waits, t.sla_due_at, t.sla_done_at, t.sla_own_due_at, t.sla_owned_at,
                            t.sla_owned_after_s, t.opened_at, $1)
    ON CONFLICT (ticket_id) DO UPDATE
      SET source = excluded.source, priority = excluded.priority, breached_at = excluded.breached_at,
          is_recorded = excluded.is_recorded
      WHERE (b.source, b.priority, b.breached_at, b.is_recorded)
            IS DISTINCT FROM (excluded.source, excluded.priority, excluded.breached_at, excluded.is_recorded)
    $q$, p_rows)
$$;

-- Now, but never before the moment that the figures are as of, should the clock be set back.
CREATE OR REPLACE FUNCTION core.present() RETURNS timestamptz LANGUAGE sql VOLATILE AS $$
  SELECT greatest(clock_timestamp(), core.counted_at())
$$;

CREATE OR REPLACE FUNCTION core.count_tickets() RETURNS trigger LANGUAGE plpgsql SET jit TO off AS $$
DECLARE
  v_at timestamptz;
BEGIN
  PERFORM core.lock();
  v_at := core.present();
  EXECUTE core.adding_to_tally(concat_ws(' UNION ALL ', CASE WHEN TG_OP <> 'DELETE' THEN core.counting('come', 1) END,
                                         CASE WHEN TG_OP <> 'INSERT' THEN core.counting('gone', -1) END))
    USING core.counted_at();
  -- By an array, lest a few tickets be looked for by a scan of all breaches.
  IF TG_OP = 'DELETE' THEN
    DELETE FROM core.breach b WHERE b.ticket_id = ANY (ARRAY(SELECT g.ticket_id FROM gone g));
  ELSIF TG_OP = 'UPDATE' THEN
    DELETE FROM core.breach b
     WHERE b.ticket_id = ANY (ARRAY(
       SELECT g.ticket_id FROM gone g
       EXCEPT
       SELECT c.ticket_id FROM come c
        WHERE c.deleted_at IS NULL
          AND core.is_breached(c.sla_met, c.sla_waits, c.sla_due_at, c.sla_done_at, c.sla_own_due_at, c.sla_owned_at,
                               c.sla_owned_after_s, c.opened_at, v_at)));
  END IF;
  IF TG_OP <> 'DELETE' THEN
    EXECUTE core.adding_to_breaches('come') USING v_at;
  END IF;
  RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION core.count_nothing() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM core.tally;
  DELETE FROM core.breach;
  RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION core.count_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE core.breach b SET breached_at = NEW.occurred_at, is_recorded = true
   WHERE b.ticket_id = NEW.ticket_id AND (NOT b.is_recorded OR b.breached_at > NEW.occurred_at);
  RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER count_come AFTER INSERT ON core.ticket
  REFERENCING NEW TABLE AS come FOR EACH STATEMENT EXECUTE FUNCTION core.count_tickets();
CREATE OR REPLACE TRIGGER count_changed AFTER UPDATE ON core.ticket
  REFERENCING OLD TABLE AS gone NEW TABLE AS come FOR EACH STATEMENT EXECUTE FUNCTION core.count_tickets();
CREATE OR REPLACE TRIGGER count_gone AFTER DELETE ON core.ticket
  REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION core.count_tickets();
CREATE OR REPLACE TRIGGER count_none AFTER TRUNCATE ON core.ticket
  FOR EACH STATEMENT EXECUTE FUNCTION core.count_nothing();
CREATE OR REPLACE TRIGGER count_breach AFTER INSERT ON core.ticket_event
  FOR EACH ROW WHEN (NEW.type = 'TicketSlaBreachedV1') EXECUTE FUNCTION core.count_event();

-- Both anew, whatever they held.
CREATE OR REPLACE FUNCTION core.recount() RETURNS void LANGUAGE plpgsql SET jit TO off AS $$
DECLARE
  v_at timestamptz;
BEGIN
  PERFORM core.lock();
  DELETE FROM core.tally;
  DELETE FROM core.breach;
  v_at := core.present();
  UPDATE core.clock SET counted_at = v_at;
  EXECUTE core.adding_to_tally(core.counting('core.ticket', 1)) USING v_at;
  EXECUTE core.adding_to_breaches('core.ticket') USING v_at;
END
$$;

COMMENT ON FUNCTION core.recount() IS 'counts all tickets and breaches again; rebuild does it too';

-- Makes both as of now, by the few tickets that time has changed.
CREATE OR REPLACE FUNCTION core.count_on() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE core.adding_to_tally('SELECT * FROM core.growth');
  DELETE FROM core.tally WHERE tickets = 0;
  EXECUTE core.adding_to_breaches('core.run_out') USING now();
  UPDATE core.clock SET counted_at = now() WHERE counted_at < now();
END
$$;
