-- Events have a place in the order of what happened: sources tell the time in whole seconds, and a
-- ticket may change often in one. Keys of requests stand beside the log, for several may mean one execution.

-- Numbered once and as well as can still be known: by the log's own numbers where GLPI's events come
-- from it, else as they were recorded. Later ones are inserted in the order in which they happened.
ALTER TABLE core.ticket_event ADD COLUMN seq bigint;
ALTER TABLE core.ticket_event DISABLE TRIGGER append_only;

DO $do$
DECLARE
  v_logged text := 'SELECT NULL::uuid AS event_id, NULL::bigint AS id WHERE false';
BEGIN
  IF to_regclass('glpi.log') IS NOT NULL THEN
    -- The id that core.glpi_history computes for the event of a line of the log.
    v_logged := $q$
      SELECT md5(l.source || ':' || l.items_id || '|' ||
                 CASE WHEN l.linked_action = 13 THEN 'TicketDeletedV1'
                      WHEN l.linked_action = 14 THEN 'TicketRestoredV1'
                      WHEN l.id_search_option = 12 THEN 'TicketStatusChangedV1'
                      WHEN l.id_search_option IN (5, 8) THEN 'TechnicianAssignmentChangedV1'
                      ELSE 'TicketUpdatedV1' END || '|log|' || l.id)::uuid AS event_id, l.id
        FROM glpi.log l $q$;
  END IF;
  PERFORM set_config('work_mem', '128MB', true);
  EXECUTE format($q$
    UPDATE core.ticket_event e SET seq = n.seq
      FROM (SELECT x.ctid AS place,
                   row_number() OVER (ORDER BY x.occurred_at, x.type <> 'TicketCreatedV1', l.id, x.recorded_at) AS seq
              FROM core.ticket_event x
              LEFT JOIN (%s) l ON l.event_id = x.event_id) n
     WHERE e.ctid = n.place
    $q$, v_logged);
END
$do$;

ALTER TABLE core.ticket_event ENABLE TRIGGER append_only;
ALTER TABLE core.ticket_event ALTER COLUMN seq SET NOT NULL;
ALTER TABLE core.ticket_event ALTER COLUMN seq ADD GENERATED ALWAYS AS IDENTITY;
SELECT setval(pg_get_serial_sequence('core.ticket_event', 'seq'), (SELECT coalesce(max(seq), 0) + 1 FROM core.ticket_event), false);

COMMENT ON COLUMN core.ticket_event.seq IS 'orders what happened at one instant of the source''s clock';

CREATE TABLE ops.idempotency_key (
  requested_by  text NOT NULL,
  load          text NOT NULL,
  key           text NOT NULL,
  execution_id  bigint NOT NULL REFERENCES ops.execution_log (id) ON DELETE CASCADE,
  PRIMARY KEY (requested_by, load, key)
);

CREATE INDEX idempotency_key_execution ON ops.idempotency_key (execution_id);

COMMENT ON TABLE ops.idempotency_key IS
  'which execution an Idempotency-Key means, for good; several keys may mean one that their requests joined';

INSERT INTO ops.idempotency_key (requested_by, load, key, execution_id)
SELECT l.requested_by, l.load, l.idempotency_key, l.id FROM ops.execution_log l WHERE l.idempotency_key IS NOT NULL;

-- As before, but for the keys: whoever joins an execution has it remembered too, whatever keys it has already.
CREATE OR REPLACE FUNCTION ops.enqueue(
  p_load text, p_mode text, p_window_from timestamptz, p_window_to timestamptz, p_params jsonb,
  p_trigger text, p_requested_by text, p_trace_id text, p_idempotency_key text,
  OUT execution_id bigint, OUT joined boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(1718581762, hashtext(p_load));
  joined := true;
  IF p_idempotency_key IS NOT NULL THEN
    SELECT k.execution_id INTO execution_id FROM ops.idempotency_key k
     WHERE k.requested_by = p_requested_by AND k.load = p_load AND k.key = p_idempotency_key;
    IF FOUND THEN
      RETURN;
    END IF;
  END IF;
  SELECT l.id INTO execution_id FROM ops.execution_log l
   WHERE l.status = 'queued' AND l.worker IS NULL AND l.load = p_load AND l.mode = p_mode
     AND l.window_from IS NOT DISTINCT FROM p_window_from AND l.window_to IS NOT DISTINCT FROM p_window_to
     AND l.params = p_params AND l.cancel_requested_at IS NULL
   ORDER BY l.id LIMIT 1
   FOR UPDATE SKIP LOCKED;
  IF NOT FOUND THEN
    joined := false;
    INSERT INTO ops.execution_log (load, mode, window_from, window_to, params, trigger, requested_by, trace_id)
    VALUES (p_load, p_mode, p_window_from, p_window_to, p_params, p_trigger, p_requested_by, p_trace_id)
    RETURNING id INTO execution_id;
    PERFORM pg_notify('foz_queue', execution_id::text);
  END IF;
  IF p_idempotency_key IS NOT NULL THEN
    INSERT INTO ops.idempotency_key (requested_by, load, key, execution_id)
    VALUES (p_requested_by, p_load, p_idempotency_key, execution_id);
  END IF;
END
$$;

ALTER TABLE ops.execution_log DROP COLUMN idempotency_key;

-- Its owner locks the id's lower 31 bits, for an advisory lock has two int4.
CREATE OR REPLACE FUNCTION ops.execution_is_owned(execution_id bigint) RETURNS boolean
LANGUAGE sql STABLE AS $$
  SELECT EXISTS (
    SELECT FROM pg_locks
     WHERE locktype = 'advisory' AND granted
       AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
       AND classid = 1718581761 AND objid = (execution_id & 2147483647)::oid AND objsubid = 2)
$$;

COMMENT ON FUNCTION ops.execution_is_owned(bigint) IS
  'true while a live worker holds the session lock pg_advisory_lock(1718581761, (id & 2147483647)::int)';

COMMENT ON COLUMN ops.execution_log.retry_due IS
  'interrupted, and to be run once more; of a queued row: an order that a foreground load has taken and gives back';
