-- What is asked for most, kept beside the tickets so that no question has to look at all of them:
-- tickets counted by everything they are counted by, and those that breached an SLA. Both are
-- computed from core.ticket; triggers keep them current, core.recount computes them anew.

ALTER TABLE core.clock ADD COLUMN counted_at timestamptz NOT NULL DEFAULT clock_timestamp();

COMMENT ON COLUMN core.clock.counted_at IS
  'as of when core.tally has the ages of tickets, and since when core.breach may lack deadlines that passed';

CREATE TABLE core.tally (
  key       uuid PRIMARY KEY,
  source    text NOT NULL,
  queue     text,
  category  text,
  priority  smallint,
  status    text NOT NULL,
  age       text,
  tickets   bigint NOT NULL
) WITH (fillfactor = 70);

COMMENT ON TABLE core.tally IS 'how many tickets that are not deleted have this in common';
COMMENT ON COLUMN core.tally.key IS 'computed from the columns counted by, which may be too long for an index';
COMMENT ON COLUMN core.tally.age IS 'of open tickets, as of core.clock.counted_at; api.overview says it as of now';
COMMENT ON COLUMN core.tally.tickets IS '0 where there are none any more';

CREATE TABLE core.breach (
  ticket_id    text COLLATE "C" PRIMARY KEY,
  source       text NOT NULL,
  priority     smallint,
  breached_at  timestamptz,
  is_recorded  boolean NOT NULL
);

COMMENT ON TABLE core.breach IS 'tickets not deleted that breached an SLA, but for those since core.clock.counted_at';
COMMENT ON COLUMN core.breach.breached_at IS 'as api.sla_breach says it';
COMMENT ON COLUMN core.breach.is_recorded IS 'breached_at is that of the first event';

CREATE INDEX breach_at ON core.breach (breached_at, ticket_id);

-- Whoever owns nothing yet can be late by a deadline that passes, or be told otherwise by it.
DROP INDEX core.ticket_unowned;
CREATE INDEX ticket_unowned ON core.ticket (sla_own_due_at)
  WHERE sla_own_due_at IS NOT NULL AND (sla_owned_at IS NULL OR sla_owned_after_s = 0);

-- To find those that grow older.
CREATE INDEX ticket_open ON core.ticket (opened_at)
  WHERE deleted_at IS NULL AND status NOT IN ('resolved', 'closed', 'cancelled');
