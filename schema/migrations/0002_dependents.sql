-- Records of a task that have to be read again because their parent changed: written in the
-- parent's commit, cleared in the child's.
CREATE TABLE ops.owed (
  id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  source        text NOT NULL,
  task          text NOT NULL,
  parent_key    text NOT NULL,
  execution_id  bigint NOT NULL,
  since         timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE INDEX owed_task ON ops.owed (source, task, id);

COMMENT ON TABLE ops.owed IS
  'parents whose records a task has yet to read again; written with the parent, cleared with the records';
COMMENT ON COLUMN ops.owed.task IS 'the task that owes the work, not the parent''s';
COMMENT ON COLUMN ops.owed.parent_key IS 'key of the parent''s row, as text';
COMMENT ON COLUMN ops.owed.execution_id IS 'the execution that published the parent';
COMMENT ON COLUMN ops.owed.since IS 'when the parent was published';

ALTER TABLE ops.watermark ADD COLUMN profile text;

COMMENT ON COLUMN ops.watermark.profile IS
  'what the records read since the cursor began depend on (fields, entities); another one starts afresh';

ALTER TABLE ops.execution_task ADD COLUMN records_foreign bigint NOT NULL DEFAULT 0;

COMMENT ON COLUMN ops.execution_task.records_foreign IS 'read, but belonging to no record that is copied';
