-- Keeps core current. core.refresh runs inside the publish of a task, after the merge has left the
-- changed keys in pg_temp.delta; core.rebuild computes everything again from the landed tables;
-- core.tick finds the deadlines that passed. What is particular to a type of source is in
-- core_TYPE.sql: the views core.TYPE_ticket and core.TYPE_person (columns of core.ticket and of an
-- identity, then `key` as the landed table has it), and the functions core.TYPE_touch and
-- core.TYPE_history.
--
-- A publish that changes very many rows, such as the first of a table, does not do it itself: it
-- leaves a note in core.owed, and core.settle brings core up to all of them at the end of the
-- execution, once. So a first load fills core once and not again for every table that adds to it.
--
-- One lock orders them all. Whoever changes a landed row that core is made of takes it before the
-- commit, so who holds it sees every such row, or its owner still waits and will refresh.

CREATE OR REPLACE FUNCTION core.lock() RETURNS void LANGUAGE sql AS $$
  SELECT pg_advisory_xact_lock(1718581765, 0)
$$;

-- What a task is to core: own (its rows are the tickets), linked (its rows name a ticket), people,
-- people_all (changes people that cannot be told from its keys), dimension, history; others are nothing.
CREATE OR REPLACE VIEW core.role (source_type, task, role) AS
VALUES ('servicenow', 'incident', 'own'),
       ('servicenow', 'incident_sla', 'linked'),
       ('servicenow', 'groups', 'dimension'),
       ('servicenow', 'sys_user', 'people'),
       ('glpi', 'ticket', 'own'),
       ('glpi', 'ticket_user', 'linked'),
       ('glpi', 'group_ticket', 'linked'),
       ('glpi', 'itil_solution', 'linked'),
       ('glpi', 'log', 'linked'),
       ('glpi', 'itil_category', 'dimension'),
       ('glpi', 'group', 'people_all'),
       ('glpi', 'user_email', 'people_all'),
       ('glpi', 'user', 'people'),
       ('azure_devops', 'work_item', 'own'),
       ('azure_devops', 'work_item_revision', 'history'),
       ('azure_devops', 'project', 'dimension'),
       ('azure_devops', 'work_item_type_state', 'dimension'),
       ('azure_devops', 'identity', 'people');

CREATE OR REPLACE FUNCTION core.role_of(p_source_type text, p_task text) RETURNS text
LANGUAGE sql STABLE AS $$
  SELECT r.role FROM core.role r WHERE r.source_type = p_source_type AND r.task = p_task
$$;

-- Where people find records of a source whose API is at this address.
CREATE OR REPLACE FUNCTION core.web_url(p_source_type text, p_url text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE p_source_type
           WHEN 'glpi' THEN regexp_replace(p_url, '/(apirest\.php|api\.php)(/.*)?$', '')
           ELSE p_url
         END
$$;

CREATE OR REPLACE FUNCTION core.event_id(VARIADIC p_what text[]) RETURNS uuid
LANGUAGE sql IMMUTABLE AS $$
  SELECT md5(array_to_string(p_what, '|', '-'))::uuid
$$;

CREATE OR REPLACE FUNCTION core.technician_id(p_source text, p_external_id text, p_email text) RETURNS uuid
LANGUAGE sql IMMUTABLE AS $$
  SELECT md5(coalesce('mail:' || lower(p_email), 'id:' || p_source || ':' || p_external_id))::uuid
$$;

-- An address fit to tell people by.
CREATE OR REPLACE FUNCTION core.email(p_text text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN p_text LIKE '_%@_%' THEN lower(btrim(p_text)) END
$$;

-- A person as events name it; NULL for nobody.
CREATE OR REPLACE FUNCTION core.named(p_key text, p_id uuid, p_name text) RETURNS jsonb LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN p_key IS NOT NULL THEN jsonb_build_object('external_id', p_key, 'id', p_id, 'name', p_name) END
$$;

-- The same by the source's key alone: for few.
CREATE OR REPLACE FUNCTION core.person(p_source text, p_key text, p_name text DEFAULT NULL) RETURNS jsonb
LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN p_key IS NOT NULL THEN
           jsonb_build_object('external_id', p_key,
             'id', coalesce((SELECT i.technician_id FROM core.technician_identity i
                              WHERE i.source = p_source AND i.external_id = p_key),
                            (SELECT t.technician_id FROM core.technician t
                              WHERE t.email = substr(p_key, 6) AND starts_with(p_key, 'mail:'))),
             'name', coalesce((SELECT i.name FROM core.technician_identity i
                                WHERE i.source = p_source AND i.external_id = p_key), p_name))
         END
$$;
