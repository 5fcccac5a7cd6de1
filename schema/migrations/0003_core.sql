-- The common model: tickets, technicians and events of all sources. Refreshed inside the publish of
-- each task by the functions of schema/projections; everything but events can be computed again.

-- Where tickets come from; `url` is where people find them.
CREATE TABLE core.source (
  source       text PRIMARY KEY,
  source_type  text NOT NULL,
  url          text
);

-- Too much at once for a publish: core.settle does it at the end of the execution.
CREATE TABLE core.owed (
  id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  source  text NOT NULL,
  task    text NOT NULL,
  since   timestamptz NOT NULL DEFAULT clock_timestamp()
);

COMMENT ON TABLE core.owed IS 'publishes that changed too many rows to bring core up to them in their own transaction';

COMMENT ON TABLE core.source IS 'sources whose records are in core';
COMMENT ON COLUMN core.source.url IS 'the web address that links to records begin with';

CREATE TABLE core.technician (
  technician_id  uuid PRIMARY KEY,
  name           text,
  email          text,
  team           text
);

COMMENT ON TABLE core.technician IS 'one row per person, across sources';
COMMENT ON COLUMN core.technician.technician_id IS
  'computed from the lower-case e-mail, else from source and external_id: the same person always has the same';

CREATE UNIQUE INDEX technician_email ON core.technician (email) WHERE email IS NOT NULL;

CREATE TABLE core.technician_identity (
  source         text NOT NULL,
  external_id    text NOT NULL,
  technician_id  uuid NOT NULL REFERENCES core.technician DEFERRABLE INITIALLY DEFERRED,
  name           text,
  email          text,
  team           text,
  PRIMARY KEY (source, external_id)
);

COMMENT ON TABLE core.technician_identity IS 'who a person is at each source';
COMMENT ON COLUMN core.technician_identity.external_id IS 'ServiceNow sys_id, GLPI user id, Azure DevOps VSID';

CREATE INDEX technician_identity_person ON core.technician_identity (technician_id);

CREATE TABLE core.ticket (
  ticket_id          text COLLATE "C" PRIMARY KEY,
  source             text NOT NULL,
  source_type        text NOT NULL,
  external_id        text NOT NULL,
  number             text,
  kind               text,
  title              text,
  status             text NOT NULL,
  status_raw         text,
  priority           smallint,
  queue              text,
  category           text,
  requester          text,
  assignee_id        uuid,
  team               text,
  opened_at          timestamptz,
  updated_at         timestamptz,
  resolved_at        timestamptz,
  closed_at          timestamptz,
  resolved_by_id     uuid,
  sla_due_at         timestamptz,
  reopen_count       integer,
  url                text,
  deleted_at         timestamptz,
  etl_execution_id   bigint NOT NULL,
  sla_met            boolean,
  sla_waits          boolean NOT NULL DEFAULT false,
  sla_done_at        timestamptz,
  sla_own_due_at     timestamptz,
  sla_owned_at       timestamptz,
  sla_owned_after_s  bigint,
  assignee_key       text,
  resolver_key       text,
  queue_key          text,
  requester_key      text
);

COMMENT ON TABLE core.ticket IS 'tickets of all sources; api.ticket adds sla_breached as of now';
COMMENT ON COLUMN core.ticket.ticket_id IS 'source:external_id';
COMMENT ON COLUMN core.ticket.status IS 'new, in_progress, pending, resolved, closed, cancelled, unmapped';
COMMENT ON COLUMN core.ticket.priority IS '1 critical to 5 lowest; NULL unknown';
COMMENT ON COLUMN core.ticket.sla_due_at IS 'when it has to be resolved';
COMMENT ON COLUMN core.ticket.sla_met IS
  'the source''s own verdict, where it gives one: true met, false breached; it wins over all deadlines';
COMMENT ON COLUMN core.ticket.sla_waits IS 'its clocks stand still, so it is not late (GLPI pending)';
COMMENT ON COLUMN core.ticket.sla_done_at IS 'when the clock that ends at sla_due_at stopped; NULL while it runs';
COMMENT ON COLUMN core.ticket.sla_own_due_at IS 'when somebody has to take it into account (GLPI)';
COMMENT ON COLUMN core.ticket.sla_owned_at IS 'when somebody did; NULL unknown or nobody';
COMMENT ON COLUMN core.ticket.sla_owned_after_s IS 'active seconds until then as GLPI counts them; 0 not yet';
COMMENT ON COLUMN core.ticket.etl_execution_id IS 'the execution that last changed the landed row of the ticket itself';
COMMENT ON COLUMN core.ticket.assignee_key IS
  'external_id of the assignee, known or not; mail:ADDRESS where the source gave a name only';
COMMENT ON COLUMN core.ticket.resolver_key IS 'the same of who resolved it';
COMMENT ON COLUMN core.ticket.queue_key IS 'the source''s key of the queue, where it has one';
COMMENT ON COLUMN core.ticket.requester_key IS 'external_id of the requester, known or not';

CREATE INDEX ticket_opened ON core.ticket (opened_at);
CREATE INDEX ticket_updated ON core.ticket (updated_at, ticket_id);
CREATE INDEX ticket_resolved ON core.ticket (resolved_at) WHERE resolved_at IS NOT NULL;
CREATE INDEX ticket_assignee ON core.ticket (assignee_id) WHERE assignee_id IS NOT NULL;
-- Who is known by a mail address only. Others are looked for by a scan: people change seldom, and
-- every index here is paid for by each change of a ticket.
CREATE INDEX ticket_assignee_mail ON core.ticket (assignee_key) WHERE assignee_key LIKE 'mail:%';
CREATE INDEX ticket_resolver_mail ON core.ticket (resolver_key) WHERE resolver_key LIKE 'mail:%';
CREATE INDEX ticket_running ON core.ticket (sla_due_at) WHERE sla_done_at IS NULL AND sla_due_at IS NOT NULL;
CREATE INDEX ticket_unowned ON core.ticket (sla_own_due_at) WHERE sla_owned_after_s = 0 AND sla_own_due_at IS NOT NULL;
CREATE INDEX ticket_search ON core.ticket USING gin
  (to_tsvector('simple', coalesce(number, '') || ' ' || coalesce(title, '')));

CREATE TABLE core.ticket_event (
  event_id      uuid NOT NULL,
  ticket_id     text COLLATE "C" NOT NULL,
  type          text NOT NULL CHECK (type IN
                  ('TicketCreatedV1', 'TicketUpdatedV1', 'TechnicianAssignmentChangedV1', 'TicketStatusChangedV1',
                   'TicketSlaBreachedV1', 'TicketDeletedV1', 'TicketRestoredV1')),
  occurred_at   timestamptz NOT NULL,
  recorded_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
  execution_id  bigint,
  trace_id      text,
  payload       jsonb NOT NULL,
  -- An event's id is computed from its ticket too, so it is unique by itself.
  PRIMARY KEY (ticket_id, event_id)
);

COMMENT ON TABLE core.ticket_event IS 'append-only; a ticket that is gone keeps its events';
COMMENT ON COLUMN core.ticket_event.event_id IS
  'computed from what happened, so that the same happening is recorded once however often it is seen';
COMMENT ON COLUMN core.ticket_event.occurred_at IS 'by the source''s clock';

CREATE FUNCTION core.refuse_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% is append-only', TG_RELID::regclass USING ERRCODE = 'restrict_violation';
END
$$;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON core.ticket_event
  FOR EACH ROW EXECUTE FUNCTION core.refuse_change();

-- Mappings that an operator may change: the catalog's, written here by migrate.
CREATE TABLE core.mapping (
  source_type  text NOT NULL,
  kind         text NOT NULL CHECK (kind IN ('status', 'priority')),
  raw          text NOT NULL,
  mapped       text NOT NULL,
  PRIMARY KEY (source_type, kind, raw)
);

COMMENT ON TABLE core.mapping IS 'from a source''s own value to the common one, as the catalog says; absent = unmapped';

-- How far the clocks of running tickets were looked at.
CREATE TABLE core.clock (
  one        boolean PRIMARY KEY DEFAULT true CHECK (one),
  ticked_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);

INSERT INTO core.clock DEFAULT VALUES;

COMMENT ON TABLE core.clock IS 'until when deadlines that passed have become events; kept by foz-worker run';

-- What a state of a work item means: the project's process as it is, and the category that the state
-- was last seen with.
CREATE TABLE core.azure_devops_project (
  source      text NOT NULL,
  name        text NOT NULL,
  process_id  text,
  PRIMARY KEY (source, name)
);

CREATE TABLE core.azure_devops_state (
  source      text NOT NULL,
  process_id  text NOT NULL,
  type        text NOT NULL,
  state       text NOT NULL,
  category    text NOT NULL,
  PRIMARY KEY (source, process_id, type, state)
);

COMMENT ON TABLE core.azure_devops_project IS 'the process of each project, by its present name';
COMMENT ON TABLE core.azure_devops_state IS 'the category each state was last seen with';
