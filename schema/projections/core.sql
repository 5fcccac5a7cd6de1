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
-- people_all (changes people that cannot be told from its keys), dimension, history; NULL: nothing.
CREATE OR REPLACE FUNCTION core.role_of(p_source_type text, p_task text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE p_source_type || '.' || p_task
           WHEN 'servicenow.incident' THEN 'own'
           WHEN 'servicenow.incident_sla' THEN 'linked'
           WHEN 'servicenow.groups' THEN 'dimension'
           WHEN 'servicenow.sys_user' THEN 'people'
           WHEN 'glpi.ticket' THEN 'own'
           WHEN 'glpi.ticket_user' THEN 'linked'
           WHEN 'glpi.group_ticket' THEN 'linked'
           WHEN 'glpi.itil_solution' THEN 'linked'
           WHEN 'glpi.log' THEN 'linked'
           WHEN 'glpi.itil_category' THEN 'dimension'
           WHEN 'glpi.group' THEN 'people_all'
           WHEN 'glpi.user_email' THEN 'people_all'
           WHEN 'glpi.user' THEN 'people'
           WHEN 'azure_devops.work_item' THEN 'own'
           WHEN 'azure_devops.work_item_revision' THEN 'history'
           WHEN 'azure_devops.project' THEN 'dimension'
           WHEN 'azure_devops.work_item_type_state' THEN 'dimension'
           WHEN 'azure_devops.identity' THEN 'people'
         END
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
