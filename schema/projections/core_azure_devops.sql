-- Tickets, people and history from Azure DevOps' tables. docs/MODEL.md explains the columns.

DO $do$
BEGIN
  IF to_regclass('azure_devops.work_item') IS NULL OR to_regclass('azure_devops.work_item_revision') IS NULL
     OR to_regclass('azure_devops.project') IS NULL OR to_regclass('azure_devops.work_item_type_state') IS NULL
     OR to_regclass('azure_devops.identity') IS NULL THEN
    RETURN;
  END IF;
  DROP VIEW IF EXISTS core.azure_devops_ticket, core.azure_devops_created, core.azure_devops_person;

  CREATE VIEW core.azure_devops_ticket AS
  SELECT w.source || ':' || w.id AS ticket_id,
         w.source,
         'azure_devops'::text AS source_type,
         w.id::text AS external_id,
         w.id::text AS number,
         w.work_item_type AS kind,
         w.title,
         coalesce(st.mapped, 'unmapped') AS status,
         w.state AS status_raw,
         coalesce(pr.mapped::smallint, CASE WHEN w.priority BETWEEN 1 AND 5 THEN w.priority::smallint END) AS priority,
         w.area_path AS queue,
         w.team_project AS category,
         coalesce(c.name, w.created_by_display, w.created_by) AS requester,
         coalesce(a.technician_id, am.technician_id) AS assignee_id,
         substring(w.area_path FROM '[^\\]+$') AS team,
         w.created_date AS opened_at,
         w.changed_date AS updated_at,
         e.resolved_at,
         e.closed_at,
         coalesce(r.technician_id, rm.technician_id) AS resolved_by_id,
         w.due_date AS sla_due_at,
         NULL::integer AS reopen_count,
         src.url || '/_workitems/edit/' || w.id AS url,
         CASE WHEN w.is_deleted THEN w.changed_date ELSE w.gone_since END AS deleted_at,
         coalesce(w.etl_execution_id, 0) AS etl_execution_id,
         NULL::boolean AS sla_met,
         false AS sla_waits,
         coalesce(e.resolved_at, e.closed_at) AS sla_done_at,
         NULL::timestamptz AS sla_own_due_at,
         NULL::timestamptz AS sla_owned_at,
         NULL::bigint AS sla_owned_after_s,
         coalesce(w.assigned_to_id, 'mail:' || core.email(w.assigned_to)) AS assignee_key,
         e.resolver_key,
         NULL::text AS queue_key,
         coalesce(w.created_by_id, 'mail:' || core.email(w.created_by)) AS requester_key,
         w.created_date AS created_at,
         w.id AS key
    FROM azure_devops.work_item w
    LEFT JOIN core.source src ON src.source = w.source
    LEFT JOIN core.azure_devops_project p ON p.source = w.source AND p.name = w.team_project
    LEFT JOIN core.azure_devops_state s
           ON s.source = w.source AND s.process_id = coalesce(p.process_id, '*') AND s.type = w.work_item_type AND s.state = w.state
    LEFT JOIN core.mapping st ON st.source_type = 'azure_devops' AND st.kind = 'status' AND st.raw = s.category
    LEFT JOIN core.mapping pr
           ON pr.source_type = 'azure_devops' AND pr.kind = 'priority' AND pr.raw = w.priority::text
    -- Dates of a state that the item has left again are not its.
    CROSS JOIN LATERAL (
      SELECT CASE coalesce(st.mapped, 'unmapped')
               WHEN 'resolved' THEN coalesce(w.resolved_date, w.closed_date, w.state_change_date, w.changed_date)
               WHEN 'closed' THEN coalesce(w.resolved_date, w.closed_date, w.state_change_date, w.changed_date)
               WHEN 'unmapped' THEN coalesce(w.resolved_date, w.closed_date) END AS resolved_at,
             CASE coalesce(st.mapped, 'unmapped')
               WHEN 'closed' THEN coalesce(w.closed_date, w.state_change_date, w.changed_date)
               WHEN 'cancelled' THEN coalesce(w.closed_date, w.state_change_date, w.changed_date)
               WHEN 'unmapped' THEN w.closed_date END AS closed_at,
             CASE WHEN coalesce(st.mapped, 'unmapped') IN ('resolved', 'closed', 'unmapped')
               THEN coalesce(w.resolved_by_id, 'mail:' || core.email(w.resolved_by),
                             w.closed_by_id, 'mail:' || core.email(w.closed_by)) END AS resolver_key) e
    LEFT JOIN core.technician_identity a ON a.source = w.source AND a.external_id = w.assigned_to_id
    LEFT JOIN core.technician am ON w.assigned_to_id IS NULL AND am.email = core.email(w.assigned_to)
    LEFT JOIN core.technician_identity r ON r.source = w.source AND r.external_id = e.resolver_key
    LEFT JOIN core.technician rm ON starts_with(e.resolver_key, 'mail:') AND rm.email = substr(e.resolver_key, 6)
    LEFT JOIN core.technician_identity c ON c.source = w.source AND c.external_id = w.created_by_id;

  CREATE VIEW core.azure_devops_created AS
  SELECT w.source, w.source || ':' || w.id AS ticket_id, w.id::text AS number, w.work_item_type AS kind, w.title,
         w.created_date AS created_at, w.changed_date AS updated_at
    FROM azure_devops.work_item w;

  CREATE VIEW core.azure_devops_person AS
  SELECT i.source, i.id AS external_id,
         core.technician_id(i.source, i.id, coalesce(core.email(i.mail), core.email(i.unique_name))) AS technician_id,
         coalesce(i.display_name, i.unique_name) AS name,
         coalesce(core.email(i.mail), core.email(i.unique_name)) AS email, NULL::text AS team, i.id AS key
    FROM azure_devops.identity i;
END
$do$;

-- A project's process and the categories of its states as they are now. The tickets whose state
-- means something else than before are touched. Work items may name a project that has another name
-- by now: each name leads to its project, see core.azure_devops_project_name. Or it is gone: for them
-- process '*' holds the states about which all processes agree.
CREATE OR REPLACE FUNCTION core.azure_devops_refresh_states(p_source text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  DROP TABLE IF EXISTS pg_temp.old_state, pg_temp.old_agreed, pg_temp.old_project;
  CREATE TEMPORARY TABLE old_project ON COMMIT DROP AS
  SELECT p.name FROM core.azure_devops_project p WHERE p.source = p_source AND p.process_id IS NOT NULL;
  CREATE TEMPORARY TABLE old_agreed ON COMMIT DROP AS
  SELECT s.type, s.state, s.category FROM core.azure_devops_state s
   WHERE s.source = p_source AND s.process_id = '*';
  CREATE TEMPORARY TABLE old_state ON COMMIT DROP AS
  SELECT p.name, s.type, s.state, s.category FROM core.azure_devops_project p
    JOIN core.azure_devops_state s ON s.source = p.source AND s.process_id = p.process_id WHERE p.source = p_source;
  INSERT INTO core.azure_devops_project_name (source, name, project_id)
  SELECT p.source, p.name, p.id FROM azure_devops.project p WHERE p.source = p_source AND p.name IS NOT NULL
  ON CONFLICT DO NOTHING;
  DELETE FROM core.azure_devops_project WHERE source = p_source;
  INSERT INTO core.azure_devops_project (source, name, process_id)
  SELECT DISTINCT ON (n.name) n.source, n.name, p.process
    FROM core.azure_devops_project_name n
    JOIN (
      -- The states of a project whose process nobody tells land by the project's own id.
      SELECT p.source, p.id, p.name, p.last_update_time, coalesce(p.process_id, (SELECT p.id WHERE EXISTS (
               SELECT FROM azure_devops.work_item_type_state s WHERE s.source = p.source AND s.process_id = p.id))) AS process
        FROM azure_devops.project p) p ON p.source = n.source AND p.id = n.project_id
   WHERE n.source = p_source
   -- Whose name it is goes before whose it was.
   ORDER BY n.name, p.name IS DISTINCT FROM n.name, p.process IS NULL, p.last_update_time DESC NULLS LAST,
            n.noted_at DESC, p.id;
  DELETE FROM core.azure_devops_state WHERE source = p_source;
  INSERT INTO core.azure_devops_state (source, process_id, type, state, category)
  SELECT DISTINCT ON (s.process_id, s.type, s.state) s.source, s.process_id, s.type, s.state, s.category
    FROM azure_devops.work_item_type_state s
   WHERE s.source = p_source
   ORDER BY s.process_id, s.type, s.state, s.last_seen DESC NULLS LAST, s.first_seen DESC NULLS LAST, s.category;
  INSERT INTO core.azure_devops_state (source, process_id, type, state, category)
  SELECT s.source, '*', s.type, s.state, min(s.category)
    FROM core.azure_devops_state s WHERE s.source = p_source
   GROUP BY s.source, s.type, s.state HAVING count(DISTINCT s.category) = 1;
  INSERT INTO pg_temp.touched
  SELECT w.id::text
    FROM (SELECT s.type, s.state, s.category FROM core.azure_devops_state s
           WHERE s.source = p_source AND s.process_id = '*') n
    FULL JOIN pg_temp.old_agreed o ON o.type = n.type AND o.state = n.state
    JOIN azure_devops.work_item w ON w.work_item_type = coalesce(n.type, o.type) AND w.state = coalesce(n.state, o.state)
   WHERE n.category IS DISTINCT FROM o.category AND w.source = p_source
     AND NOT EXISTS (SELECT FROM core.azure_devops_project p
                      WHERE p.source = p_source AND p.name = w.team_project AND p.process_id IS NOT NULL)
  ON CONFLICT DO NOTHING;
  INSERT INTO pg_temp.touched
  SELECT w.id::text
    FROM (SELECT p.name FROM core.azure_devops_project p WHERE p.source = p_source AND p.process_id IS NOT NULL) n
    FULL JOIN pg_temp.old_project o ON o.name = n.name
    JOIN azure_devops.work_item w ON w.team_project = coalesce(n.name, o.name)
   WHERE (n.name IS NULL OR o.name IS NULL) AND w.source = p_source
  ON CONFLICT DO NOTHING;
  INSERT INTO pg_temp.touched
  SELECT w.id::text
    FROM (SELECT p.name, s.type, s.state, s.category FROM core.azure_devops_project p
            JOIN core.azure_devops_state s ON s.source = p.source AND s.process_id = p.process_id
           WHERE p.source = p_source) n
    FULL JOIN pg_temp.old_state o ON o.name = n.name AND o.type = n.type AND o.state = n.state
    JOIN azure_devops.work_item w ON w.team_project = coalesce(n.name, o.name)
         AND w.work_item_type = coalesce(n.type, o.type) AND w.state = coalesce(n.state, o.state)
   WHERE n.category IS DISTINCT FROM o.category AND w.source = p_source
  ON CONFLICT DO NOTHING;
END
$$;

CREATE OR REPLACE FUNCTION core.azure_devops_touch(p_source text, p_task text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  IF p_task = 'work_item' THEN
    INSERT INTO pg_temp.touched SELECT d.id::text FROM pg_temp.delta d ON CONFLICT DO NOTHING;
  ELSE
    PERFORM core.azure_devops_refresh_states(p_source);
  END IF;
END
$$;

CREATE OR REPLACE FUNCTION core.azure_devops_status(p_source text, p_project text, p_type text, p_state text)
RETURNS jsonb LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN p_state IS NOT NULL THEN jsonb_build_object('raw', p_state, 'status', coalesce((
    SELECT m.mapped FROM core.azure_devops_state s
      JOIN core.mapping m ON m.source_type = 'azure_devops' AND m.kind = 'status' AND m.raw = s.category
     WHERE s.source = p_source AND s.type = p_type AND s.state = p_state AND s.process_id = coalesce((
       SELECT p.process_id FROM core.azure_devops_project p WHERE p.source = p_source AND p.name = p_project), '*')),
    'unmapped')) END
$$;

-- What each new revision did, by the revision before it; and what the one behind it did, if it came late.
CREATE OR REPLACE FUNCTION core.azure_devops_history(
  p_source text, p_task text, p_all boolean, p_execution bigint, p_trace text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  IF p_all OR p_task = 'work_item_revision' THEN
    EXECUTE format($q$
      WITH revision AS (
        SELECT $1 || ':' || w.id AS ticket_id, w.id, w.rev, w.changed_date, w.created_date,
               w.work_item_type, w.title, w.state, w.team_project, w.area_path, w.iteration_path, w.priority, w.severity,
               w.tags, w.parent, w.due_date, w.reason, coalesce(w.is_deleted, false) AS is_deleted,
               coalesce(w.assigned_to_id, 'mail:' || core.email(w.assigned_to), w.assigned_to) AS assignee,
               w.assigned_to_id IS NULL AS is_bare, lower(w.assigned_to) AS assignee_unique,
               coalesce(w.assigned_to_display, w.assigned_to) AS assignee_name
          FROM azure_devops.work_item_revision w WHERE w.source = $1 %1$s),
      pair AS (
        SELECT r.*, lag(r.rev) OVER item AS old_rev, lag(work_item_type) OVER item AS old_type,
               lag(title) OVER item AS old_title, lag(state) OVER item AS old_state,
               lag(team_project) OVER item AS old_project, lag(area_path) OVER item AS old_area,
               lag(iteration_path) OVER item AS old_iteration, lag(priority) OVER item AS old_priority,
               lag(severity) OVER item AS old_severity, lag(tags) OVER item AS old_tags, lag(parent) OVER item AS old_parent,
               lag(due_date) OVER item AS old_due, lag(is_deleted) OVER item AS old_deleted,
               lag(assignee) OVER item AS old_assignee, lag(is_bare) OVER item AS was_bare,
               lag(assignee_unique) OVER item AS old_unique, lag(assignee_name) OVER item AS old_assignee_name
          FROM revision r WINDOW item AS (PARTITION BY r.id ORDER BY r.rev))
      INSERT INTO core.ticket_event (event_id, ticket_id, type, occurred_at, execution_id, trace_id, payload)
      SELECT CASE WHEN e.type = 'TicketCreatedV1' THEN core.event_id(p.ticket_id, e.type)
                  ELSE core.event_id(p.ticket_id, e.type, 'rev', p.rev::text) END,
             p.ticket_id, e.type,
             CASE WHEN e.type = 'TicketCreatedV1' THEN coalesce(p.created_date, p.changed_date, now())
                  ELSE coalesce(p.changed_date, now()) END,
             $2, $3, e.payload
        FROM pair p
        LEFT JOIN core.technician_identity oi ON oi.source = $1 AND oi.external_id = p.old_assignee
        LEFT JOIN core.technician om ON starts_with(p.old_assignee, 'mail:') AND om.email = substr(p.old_assignee, 6)
        LEFT JOIN core.technician_identity ni ON ni.source = $1 AND ni.external_id = p.assignee
        LEFT JOIN core.technician nm ON starts_with(p.assignee, 'mail:') AND nm.email = substr(p.assignee, 6)
       CROSS JOIN LATERAL (
          SELECT 'TicketCreatedV1' AS type,
                 jsonb_build_object('number', p.id::text, 'kind', p.work_item_type, 'title', p.title) AS payload
           WHERE p.old_rev IS NULL
          UNION ALL
          SELECT 'TicketStatusChangedV1', jsonb_build_object(
                   'old', core.azure_devops_status($1, p.old_project, p.old_type, p.old_state),
                   'new', core.azure_devops_status($1, p.team_project, p.work_item_type, p.state))
           WHERE p.old_rev IS NOT NULL AND p.state IS DISTINCT FROM p.old_state
          UNION ALL
          SELECT 'TechnicianAssignmentChangedV1', jsonb_build_object('assignee', jsonb_build_object(
                   'old', core.named(p.old_assignee, coalesce(oi.technician_id, om.technician_id), coalesce(oi.name, p.old_assignee_name)),
                   'new', core.named(p.assignee, coalesce(ni.technician_id, nm.technician_id), coalesce(ni.name, p.assignee_name))))
           WHERE p.assignee IS DISTINCT FROM p.old_assignee
             -- The same person, once with an id and once as a text, is no change.
             AND NOT coalesce(p.assignee_unique = p.old_unique AND p.is_bare <> p.was_bare, false)
          UNION ALL
          SELECT 'TicketDeletedV1', '{"how": "trashed"}'
           WHERE p.is_deleted AND NOT coalesce(p.old_deleted, false)
          UNION ALL
          SELECT 'TicketRestoredV1', '{}' WHERE NOT p.is_deleted AND p.old_deleted
          UNION ALL
          SELECT 'TicketUpdatedV1',
                 jsonb_build_object('fields', jsonb_object_agg(f.name, jsonb_build_object('old', f.old, 'new', f.new)))
            FROM (VALUES ('title', to_jsonb(p.old_title), to_jsonb(p.title)),
                         ('kind', to_jsonb(p.old_type), to_jsonb(p.work_item_type)),
                         ('priority', to_jsonb(p.old_priority), to_jsonb(p.priority)),
                         ('severity', to_jsonb(p.old_severity), to_jsonb(p.severity)),
                         ('queue', to_jsonb(p.old_area), to_jsonb(p.area_path)),
                         ('category', to_jsonb(p.old_project), to_jsonb(p.team_project)),
                         ('iteration', to_jsonb(p.old_iteration), to_jsonb(p.iteration_path)),
                         ('tags', to_jsonb(p.old_tags), to_jsonb(p.tags)),
                         ('parent', to_jsonb(p.old_parent), to_jsonb(p.parent)),
                         ('sla_due_at', to_jsonb(p.old_due), to_jsonb(p.due_date))) f (name, old, new)
           WHERE p.old_rev IS NOT NULL AND f.old IS DISTINCT FROM f.new
          HAVING count(*) > 0) e
       WHERE true %2$s
       ORDER BY p.rev, e.type <> 'TicketCreatedV1', e.type
      ON CONFLICT DO NOTHING
      $q$, CASE WHEN NOT p_all THEN 'AND w.id IN (SELECT d.id FROM pg_temp.delta d)' END,
      CASE WHEN NOT p_all THEN $q$AND ((p.id, p.rev) IN (SELECT d.id, d.rev FROM pg_temp.delta d WHERE d.kind <> 'd')
                                    OR (p.id, p.old_rev) IN (SELECT d.id, d.rev FROM pg_temp.delta d WHERE d.kind <> 'd'))$q$ END)
      USING p_source, p_execution, p_trace;
  END IF;
  IF p_all OR p_task = 'work_item' THEN
    -- A destroyed item makes no revision.
    EXECUTE format($q$
      INSERT INTO core.ticket_event (event_id, ticket_id, type, occurred_at, execution_id, trace_id, payload)
      SELECT core.event_id($1 || ':' || w.id, 'TicketDeletedV1', 'gone', w.gone_since::text), $1 || ':' || w.id,
             'TicketDeletedV1', w.gone_since, $2, $3, '{"how": "destroyed"}'
        FROM azure_devops.work_item w
       WHERE w.source = $1 AND w.gone_since IS NOT NULL AND NOT coalesce(w.is_deleted, false) %s
      ON CONFLICT DO NOTHING
      $q$, CASE WHEN NOT p_all THEN 'AND w.id IN (SELECT d.id FROM pg_temp.delta d)' END)
      USING p_source, p_execution, p_trace;
  END IF;
END
$$;
