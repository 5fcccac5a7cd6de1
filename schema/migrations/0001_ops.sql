-- The run log and queue, and what belongs to it. Names of ops.* are relied on outside.

CREATE SCHEMA IF NOT EXISTS ops;
CREATE SCHEMA IF NOT EXISTS staging;
CREATE SCHEMA IF NOT EXISTS core;
CREATE SCHEMA IF NOT EXISTS api;

COMMENT ON SCHEMA ops IS 'run log, queue, watermarks, dead letters, API keys, migrations';
COMMENT ON SCHEMA staging IS 'pages of running loads; swept by foz-worker';
COMMENT ON SCHEMA core IS 'the common model of all sources';
COMMENT ON SCHEMA api IS 'documented views for dashboards';

CREATE TABLE ops.migration (
  version     int PRIMARY KEY,
  name        text NOT NULL,
  checksum    text NOT NULL,
  applied_at  timestamptz NOT NULL DEFAULT now()
);

-- The views as they were last applied; they are replaced whenever their file or a table changes.
CREATE TABLE ops.projection (
  name        text PRIMARY KEY,
  checksum    text NOT NULL,
  applied_at  timestamptz NOT NULL DEFAULT now()
);

CREATE SEQUENCE ops.fence_seq;

CREATE TABLE ops.execution_log (
  id                 bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  load               text NOT NULL,
  mode               text NOT NULL CHECK (mode IN ('incremental', 'window', 'full', 'reconcile', 'retry')),
  window_from        timestamptz,
  window_to          timestamptz,
  params             jsonb NOT NULL DEFAULT '{}',
  trigger            text NOT NULL CHECK (trigger IN ('cli', 'api', 'timer')),
  requested_by       text NOT NULL DEFAULT '',
  trace_id           text,
  status             text NOT NULL DEFAULT 'queued' CHECK (status IN
                       ('queued', 'running', 'success', 'partial', 'held', 'error', 'interrupted', 'cancelled')),
  attempt            int NOT NULL DEFAULT 1,
  worker             text,
  queued_at          timestamptz NOT NULL DEFAULT clock_timestamp(),
  started_at         timestamptz,
  heartbeat_at       timestamptz,
  finished_at        timestamptz,
  duration_ms        bigint,
  records_read       bigint NOT NULL DEFAULT 0,
  records_inserted   bigint NOT NULL DEFAULT 0,
  records_updated    bigint NOT NULL DEFAULT 0,
  records_unchanged  bigint NOT NULL DEFAULT 0,
  records_deleted    bigint NOT NULL DEFAULT 0,
  records_rejected   bigint NOT NULL DEFAULT 0,
  error_message      text,
  fence              bigint,
  retry_of           bigint REFERENCES ops.execution_log (id),
  cancel_requested_at timestamptz,
  cancel_requested_by text,
  idempotency_key    text,
  retry_due          boolean NOT NULL DEFAULT false
);

COMMENT ON COLUMN ops.execution_log.fence IS 'token of the present owner; checked inside every publish';
COMMENT ON COLUMN ops.execution_log.retry_due IS 'interrupted through no wish of anybody: `run` queues it once more';
COMMENT ON COLUMN ops.execution_log.params IS 'source and task restrictions, allow_mass_delete';

-- Two executions of one load never run at once.
CREATE UNIQUE INDEX execution_log_one_running ON ops.execution_log (load) WHERE status = 'running';
CREATE INDEX execution_log_queue ON ops.execution_log (id) WHERE status = 'queued';
CREATE INDEX execution_log_load ON ops.execution_log (load, id DESC);
CREATE UNIQUE INDEX execution_log_idempotency ON ops.execution_log (requested_by, load, idempotency_key)
  WHERE idempotency_key IS NOT NULL;

CREATE TABLE ops.execution_task (
  execution_id       bigint NOT NULL REFERENCES ops.execution_log (id) ON DELETE CASCADE,
  source             text NOT NULL,
  task               text NOT NULL,
  mode               text,
  status             text NOT NULL DEFAULT 'queued' CHECK (status IN
                       ('queued', 'running', 'success', 'partial', 'held', 'error', 'interrupted', 'cancelled')),
  records_read       bigint NOT NULL DEFAULT 0,
  records_inserted   bigint NOT NULL DEFAULT 0,
  records_updated    bigint NOT NULL DEFAULT 0,
  records_unchanged  bigint NOT NULL DEFAULT 0,
  records_deleted    bigint NOT NULL DEFAULT 0,
  records_rejected   bigint NOT NULL DEFAULT 0,
  records_expected   bigint,
  records_hidden     bigint NOT NULL DEFAULT 0,
  records_duplicate  bigint NOT NULL DEFAULT 0,
  nul_removed        bigint NOT NULL DEFAULT 0,
  fields_unreadable  text[],
  requests           bigint NOT NULL DEFAULT 0,
  retries            bigint NOT NULL DEFAULT 0,
  throttled_ms       bigint NOT NULL DEFAULT 0,
  bytes_received     bigint NOT NULL DEFAULT 0,
  fetch_ms           bigint NOT NULL DEFAULT 0,
  transform_ms       bigint NOT NULL DEFAULT 0,
  load_ms            bigint NOT NULL DEFAULT 0,
  peak_page_bytes    bigint NOT NULL DEFAULT 0,
  watermark_before   timestamptz,
  watermark_after    timestamptz,
  error_class        text,
  error_message      text,
  started_at         timestamptz,
  finished_at        timestamptz,
  PRIMARY KEY (execution_id, source, task)
);

CREATE INDEX execution_task_latest ON ops.execution_task (source, task, execution_id DESC);

CREATE TABLE ops.watermark (
  source        text NOT NULL,
  task          text NOT NULL,
  cursor        jsonb NOT NULL,
  high          timestamptz,
  execution_id  bigint NOT NULL,
  updated_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (source, task)
);

CREATE TABLE ops.dead_letter (
  id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  execution_id  bigint NOT NULL,
  source        text NOT NULL,
  task          text NOT NULL,
  record_key    text NOT NULL,
  reason        text NOT NULL,
  payload       jsonb,
  first_seen    timestamptz NOT NULL DEFAULT clock_timestamp(),
  last_seen     timestamptz NOT NULL DEFAULT clock_timestamp(),
  resolved_at   timestamptz
);

CREATE UNIQUE INDEX dead_letter_open ON ops.dead_letter (source, task, record_key) WHERE resolved_at IS NULL;

CREATE TABLE ops.api_key (
  name             text PRIMARY KEY,
  key_hash         bytea NOT NULL UNIQUE,
  scopes           text[] NOT NULL,
  per_minute       int,
  created_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
  last_used_at     timestamptz,
  revoked_at       timestamptz
);

COMMENT ON COLUMN ops.api_key.key_hash IS 'SHA-256 of the whole key; the key itself is stored nowhere';

-- One row a source and task, one number for all: what the API's versions are made of.
CREATE TABLE ops.projection_version (
  source      text NOT NULL,
  task        text NOT NULL,
  version     bigint NOT NULL,
  changed_at  timestamptz NOT NULL,
  checked_at  timestamptz NOT NULL,
  PRIMARY KEY (source, task)
);

COMMENT ON COLUMN ops.projection_version.changed_at IS 'last publish that changed a row';
COMMENT ON COLUMN ops.projection_version.checked_at IS 'last publish that succeeded';

CREATE SEQUENCE ops.projection_version_seq;

-- Who owns an execution holds this session advisory lock: two int4 keys, the first spells "foz\1".
CREATE FUNCTION ops.execution_is_owned(execution_id bigint) RETURNS boolean
LANGUAGE sql STABLE AS $$
  SELECT EXISTS (
    SELECT FROM pg_locks
     WHERE locktype = 'advisory' AND granted
       AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
       AND classid = 1718581761 AND objid = (execution_id & 4294967295)::oid AND objsubid = 2)
$$;

COMMENT ON FUNCTION ops.execution_is_owned(bigint) IS
  'true while a live worker holds the session lock pg_advisory_lock(1718581761, id)';

-- Queues a request, or joins the same one that is queued and not yet owned. Returns the execution.
-- It runs with its owner's rights: who may enqueue need not be able to write the log.
CREATE FUNCTION ops.enqueue(
  p_load text, p_mode text, p_window_from timestamptz, p_window_to timestamptz, p_params jsonb,
  p_trigger text, p_requested_by text, p_trace_id text, p_idempotency_key text,
  OUT execution_id bigint, OUT joined boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(1718581762, hashtext(p_load));
  joined := true;
  IF p_idempotency_key IS NOT NULL THEN
    SELECT l.id INTO execution_id FROM ops.execution_log l
     WHERE l.requested_by = p_requested_by AND l.load = p_load AND l.idempotency_key = p_idempotency_key;
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
  IF FOUND THEN
    -- The same key again must find this execution even when it has ended by then.
    UPDATE ops.execution_log l SET idempotency_key = p_idempotency_key
     WHERE l.id = execution_id AND l.idempotency_key IS NULL AND l.requested_by = p_requested_by
       AND p_idempotency_key IS NOT NULL;
    RETURN;
  END IF;
  joined := false;
  INSERT INTO ops.execution_log (load, mode, window_from, window_to, params, trigger, requested_by, trace_id, idempotency_key)
  VALUES (p_load, p_mode, p_window_from, p_window_to, p_params, p_trigger, p_requested_by, p_trace_id, p_idempotency_key)
  RETURNING id INTO execution_id;
  PERFORM pg_notify('foz_queue', execution_id::text);
END
$$;

REVOKE ALL ON FUNCTION ops.enqueue(text, text, timestamptz, timestamptz, jsonb, text, text, text, text) FROM PUBLIC;

-- Landed tables call this when a row is changed and its content hash is not: someone edited it by
-- hand. Without a hash the row differs from the source's, so the next full load repairs it.
CREATE FUNCTION ops.forget_hash() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  NEW.etl_hash := NULL;
  RETURN NEW;
END
$$;
