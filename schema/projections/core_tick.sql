-- Time passes: deadlines run out without any change at a source.

-- Records the deadlines that passed since the last tick; NULL if core is being changed just now.
-- What was late when it came was recorded then.
CREATE OR REPLACE FUNCTION core.tick() RETURNS bigint
LANGUAGE plpgsql SET TimeZone TO 'UTC' SET jit TO off AS $$
DECLARE
  v_from timestamptz;
  v_at   timestamptz;
  v_n    bigint;
BEGIN
  IF NOT pg_try_advisory_xact_lock(1718581765, 0) THEN
    RETURN NULL;
  END IF;
  v_at := clock_timestamp();
  SELECT ticked_at INTO v_from FROM core.clock;
  v_n := core.record_breaches(
    format('(t.sla_done_at IS NULL AND t.sla_due_at >= %1$L AND t.sla_due_at < %2$L)'
           ' OR (t.sla_owned_after_s = 0 AND t.sla_own_due_at >= %1$L AND t.sla_own_due_at < %2$L)', v_from, v_at),
    v_at, NULL, NULL);
  UPDATE core.clock SET ticked_at = v_at;
  PERFORM core.count_on();
  IF v_n > 0 THEN
    PERFORM core.bump(s.source) FROM core.source s
      WHERE EXISTS (SELECT FROM core.ticket t
                     WHERE t.source = s.source AND t.sla_done_at IS NULL AND t.sla_due_at >= v_from AND t.sla_due_at < v_at)
         OR EXISTS (SELECT FROM core.ticket t
                     WHERE t.source = s.source AND t.sla_owned_after_s = 0
                       AND t.sla_own_due_at >= v_from AND t.sla_own_due_at < v_at);
  END IF;
  RETURN v_n;
END
$$;

COMMENT ON FUNCTION core.tick() IS 'events of deadlines that passed since it last ran; foz-worker run calls it every minute';
