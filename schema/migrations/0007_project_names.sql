-- A work item keeps the project's name of its last revision, also when the project has been renamed
-- since. The list of projects has present names only, so each name is noted when it is first seen;
-- rebuild leaves these notes alone, for nothing that has landed would tell them again.
CREATE TABLE core.azure_devops_project_name (
  source      text NOT NULL,
  name        text NOT NULL,
  project_id  text NOT NULL,
  noted_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (source, name, project_id)
);

COMMENT ON TABLE core.azure_devops_project_name IS 'the names each project has had';
COMMENT ON TABLE core.azure_devops_project IS 'the process of each project, by its present name and those before';

DO $do$
BEGIN
  IF to_regclass('azure_devops.project') IS NOT NULL THEN
    INSERT INTO core.azure_devops_project_name (source, name, project_id)
    SELECT p.source, p.name, p.id FROM azure_devops.project p WHERE p.name IS NOT NULL;
  END IF;
END
$do$;
