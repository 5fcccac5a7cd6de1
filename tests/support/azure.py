"""End-to-end tests of Azure DevOps: its tasks, the truth of each, and the changes its users make."""

import functools
import json
import os
import re
from datetime import datetime, timezone
from decimal import Decimal

import control
from foz import COMPLETE, FozTest, http

WORK_ITEMS = ("work_item_revision", "work_item", "work_item_link")
PROJECTS = ("project", "work_item_type_state", "iteration", "identity")
TASKS = (*WORK_ITEMS, *PROJECTS)
KEYS = {"work_item_revision": ("id", "rev"), "work_item": ("id",), "work_item_link": ("rel", "source_id", "target_id"),
        "project": ("id",), "work_item_type_state": ("process_id", "type", "state", "category"), "iteration": ("identifier",),
        "identity": ("id",)}
SYSTEM = "azure_devops"
# Stale by nature, so it is not copied.
NOT_COPIED = {"System.RevisedDate"}


# Commands of foz-sim's control interface; control.py has those that every system knows.

def op(verb, **values):
    return {verb: {"system": SYSTEM, **values}}


def create(project=None, type=None, **fields):  # pylint: disable=redefined-builtin
    named = {name: value for name, value in (("project", project), ("type", type)) if value}
    return op("create", **named, set=fields or {"System.Title": "new"})


def update(identity, fields=None):
    return op("update", id=identity, **({"set": fields} if fields else {}))


def delete(identity):
    return op("delete", id=identity)


def restore(identity):
    return op("restore", id=identity)


def destroy(identity):
    return op("destroy", id=identity)


def burst(count, kind="update", **options):
    return op("burst", n=count, kind=kind, **options)


def fault(kind, **options):
    return control.fault(kind, system=SYSTEM, **options)


def on_request(number, *commands, table=None):
    """Just before the number-th request to Azure DevOps; with `table` the number-th whose path ends in it."""
    return {"on_request": number, "system": SYSTEM, **({"table": table} if table else {}), "do": list(commands)}


# The truth as the landed tables must show it.

@functools.lru_cache(maxsize=None)
def column_of(reference):
    """`Microsoft.VSTS.Common.StateChangeDate` -> `state_change_date`."""
    name = reference.rsplit(".", 1)[-1]
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


@functools.lru_cache(maxsize=100000)
def instant(text):
    """0 to 7 digits of a second; "never" and "still current" are no instants."""
    if text is None or text.startswith(("0001-01-01", "9999-01-01")):
        return None
    whole, _, digits = text.removesuffix("Z").partition(".")
    return datetime.fromisoformat(whole).replace(microsecond=int(digits[:6].ljust(6, "0") or 0), tzinfo=timezone.utc)


def number(value):
    """Comparable by value: 2, 2.0 and 2.00 are one number."""
    return None if value is None else value if isinstance(value, int) else Decimal(str(value)).normalize()


def typed(value, kind):
    if value is None or value == "":
        return None
    if kind.startswith("timestamp"):
        return instant(value)
    if kind == "date":
        return value[:10]
    if kind == "numeric":
        return number(value)
    return value


def landed_typed(value, kind):
    if value is None:
        return None
    if kind.startswith("timestamp"):
        return datetime.fromisoformat(value)
    return number(value) if kind == "numeric" else value


def plain(value):
    """JSON as it compares: numbers by value."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool):
        return number(value)
    return value


def work_item_row(truth, kinds):
    """A revision of the simulator in the form of its landed row. Each field that has no column is in `fields`."""
    row = {name: None for name in kinds if name != "source" and not name.startswith("etl_")}
    rest = {}
    for name, value in truth.items():
        if "." not in name and not name.startswith("WEF_") or name.endswith((".id", ".display")) or name in NOT_COPIED or value is None:
            continue
        column = column_of(name)
        if column not in kinds or name.startswith("WEF_") or name in ("Custom.Priority",):  # its name is taken by Common.Priority
            identity = truth.get(name + ".id")
            rest[name] = plain({"id": identity, "displayName": truth[name + ".display"], "uniqueName": value} if identity else value)
            continue
        row[column] = typed(value, kinds[column])
        if name + ".id" in truth:
            row[column + "_id"], row[column + "_display"] = truth[name + ".id"], truth[name + ".display"]
    row["fields"] = rest
    row["is_deleted"] = bool(row["is_deleted"])
    return row


def compare(task, landed, wanted, names):
    """Differences as lines of text; both are maps of key -> row."""
    found = [f"{task} {key}: is missing" for key in sorted(wanted.keys() - landed.keys())]
    found += [f"{task} {key}: is not in the source" for key in sorted(landed.keys() - wanted.keys())]
    for key in sorted(key for key in wanted.keys() & landed.keys() if landed[key] is not wanted[key] and landed[key] != wanted[key]):
        found += [f"{task} {key}.{name}: landed {landed[key][name]!r}, the source says {wanted[key][name]!r}"
                  for name in names if landed[key][name] != wanted[key][name]]
    return found


class AzureTest(FozTest):
    """One organisation, the source `ado`."""

    source_name = "ado"
    tickets = 200
    token = "foz-pat"

    def setUp(self):
        self._kinds = {}
        self._known = {}  # what a line of text says, since most lines are the same from one comparison to the next
        self.gone = set()  # items that were destroyed, or went with their project, after they had landed
        self.deleted_projects = set()  # names of those that had landed
        super().setUp()
        self.env["FOZ_TEST_PAT"] = self.token

    def source_of(self, sim):
        base = f"{sim.url}/azure"
        return {"type": SYSTEM, "url": base, "graph_url": f"{base}/_graph", "entitlements_url": f"{base}/_entitlements",
                "profile_url": f"{base}/_profile", "auth": {"method": "pat", "token": "env:FOZ_TEST_PAT"}}

    # -- the source

    def source_rows(self, table, sim=None):
        return (sim or self.sim).rows(table, system=SYSTEM)

    def items(self, deleted=False):
        """Ids of work items, ascending: the live ones, or those in the recycle bin."""
        return sorted(row["id"] for row in self.source_rows("work_items") if bool(row["System.IsDeleted"]) == deleted)

    def ask(self, path, sim=None, **options):
        return http("GET", f"{(sim or self.sim).url}/azure/{path}", headers={"Authorization": "Bearer foz-bearer"}, **options).json()

    def destroy(self, *identities):
        self.sim.change(*(destroy(identity) for identity in identities))
        self.gone.update(identities)

    def requests(self):
        """The requests that were answered, in full; the last 4,096."""
        return self.source_rows("requests")

    # -- truth against target

    def columns(self, task):
        if task not in self._kinds:
            self._kinds[task] = self.database.columns(SYSTEM, task)
        return self._kinds[task]

    def forget_columns(self):
        """After the catalog has grown."""
        self._kinds, self._known = {}, {}

    def read_lines(self, what, lines, read):
        known = self._known.setdefault(what, {})
        rows = []
        for line in lines:
            if line not in known:
                known[line] = read(json.loads(line, parse_float=Decimal))
            rows.append(known[line])
        return rows

    def source_lines(self, table, sim):
        reply = http("GET", f"{(sim or self.sim).url}/_control/rows?system={SYSTEM}&table={table}", timeout_s=120)
        self.assertEqual(200, reply.status, reply)
        return [line for line in reply.body.decode().split("\n") if line]

    def truth(self, task, sim=None):
        """Key -> row as it must have landed."""
        kinds = self.columns(task)
        rows = getattr(self, "_" + task)(kinds, sim)
        return {tuple(row[name] for name in KEYS[task]): row for row in rows}

    def _work_item_revision(self, kinds, sim):
        rows = self.read_lines("work item", self.source_lines("revisions", sim), lambda row: work_item_row(row, kinds))
        return [row for row in rows if row["id"] not in self.gone]

    def _work_item(self, kinds, sim):
        rows = self.read_lines("work item, latest", self.source_lines("work_items", sim), lambda row: work_item_row(row, kinds))
        return [row for row in rows if row["id"] not in self.gone]

    def _work_item_link(self, kinds, sim):
        return [{**row, "changed_date": instant(row["changed_date"])} for row in self.source_rows("links", sim)
                if not {row["source_id"], row["target_id"]} & self.gone]

    def _project(self, kinds, sim):
        listed = {row["id"]: row for row in self.ask("_apis/projects?stateFilter=all&$top=1000&api-version=7.1", sim)["value"]}
        rows = []
        for row in self.source_rows("projects", sim):
            is_known = row["state"] == "wellFormed" or row["name"] in self.deleted_projects
            process = {} if is_known else {"process_id": None, "process_name": None}  # nothing ever showed it
            rows.append({**row, "last_update_time": instant(row["last_update_time"]), "url": listed[row["id"]]["url"],
                         "description": listed[row["id"]].get("description"), **process})
        return rows

    def _work_item_type_state(self, kinds, sim):
        return [{"type_reference_name": row.pop("reference"), **row} for row in self.source_rows("states", sim)]

    def _iteration(self, kinds, sim):
        rows = self.source_rows("iterations", sim)
        by_path = {row["path"]: row["id"] for row in rows}
        return [{**row, "start_date": typed(row.get("start_date"), "date"), "finish_date": typed(row.get("finish_date"), "date"),
                 "parent_id": by_path.get(row["path"].rpartition("\\")[0]), "depth": row["path"].count("\\")} for row in rows]

    def _identity(self, kinds, sim):
        """Whom the entitlements list, and whom else (groups) revisions name."""
        known = {row["id"]: row for row in self.source_rows("identities", sim)}
        listed = {}
        token = ""
        while token is not None:
            page = self.ask(f"_entitlements/_apis/userentitlements?api-version=7.1&continuationToken={token}" if token else
                            "_entitlements/_apis/userentitlements?api-version=7.1", sim)
            for member in page["members"]:
                user = member["user"]
                row = known[member["id"]]
                self.assertEqual((row["unique_name"], row["display_name"], row["mail"]),
                                 (user["principalName"], user["displayName"], user.get("mailAddress") or ""))
                listed[member["id"]] = {**row, "mail": row["mail"] or None, "origin": user["origin"], "origin_id": user["originId"],
                                        "is_active": member["accessLevel"]["status"] in ("active", "pending")}
            token = page.get("continuationToken") or None
        named = {row[name] for row in self.source_rows("revisions", sim) for name in row if name.endswith(".id")}
        unlisted = {"mail": None, "descriptor": None, "origin": None, "origin_id": None, "is_active": None}
        return [listed.get(identity) or {**known[identity], **unlisted} for identity in sorted(listed.keys() | named)]

    def landed(self, task, source=None):
        kinds = self.columns(task)
        names = [name for name in kinds if name != "source" and not name.startswith("etl_")]
        found = self.database.rows(f"SELECT row_to_json(q) FROM (SELECT {', '.join(names)} "
                                   f"FROM azure_devops.{task} WHERE source = '{source or self.source_name}') q")
        rows = self.read_lines(("landed", task), [row[0] for row in found], lambda row: {
            name: plain(row[name]) if kinds[name] == "jsonb" else landed_typed(row[name], kinds[name]) for name in names})
        by_key = {tuple(row[name] for name in KEYS[task]): row for row in rows}
        self.assertEqual(len(rows), len(by_key), f"{task}: a key twice")
        return by_key

    def differences(self, task, source=None, sim=None):
        landed, wanted = self.landed(task, source), self.truth(task, sim)
        names = [name for name in self.columns(task) if name != "source" and not name.startswith(("etl_", "first_seen", "last_seen"))]
        for key in [key for key in landed if self.gone & self._items_of(task, key)]:  # stays, and is marked where it is no history
            if task == "work_item" and landed[key]["gone_since"] is None:
                return [f"work_item {key}: is gone and not marked"]
            del landed[key]
        return compare(task, landed, wanted, names)

    @staticmethod
    def _items_of(task, key):
        return {"work_item_revision": set(key[:1]), "work_item": set(key), "work_item_link": set(key[1:])}.get(task, set())

    def assert_copies(self, *tasks, source=None, sim=None):
        """The landed tables equal the source, row by row and field by field."""
        for task in tasks or TASKS:
            found = self.differences(task, source, sim)
            self.assertEqual([], found[:20], f"{len(found)} differences in {task}")
            self.assertGreater(len(self.truth(task, sim)), 0, f"{task} is empty in the source: nothing was compared")

    def snapshot(self, task, etl=True):
        return self.database.snapshot(task, SYSTEM, etl, ", ".join(KEYS[task]))

    def snapshots(self, tasks=WORK_ITEMS):
        return {task: self.snapshot(task) for task in tasks}

    def digest(self):
        """Of every row with its stamps, and of the tokens: equal means that nothing was touched."""
        parts = [f"SELECT '{task}' AS t, md5(string_agg(md5(r::text), '' ORDER BY md5(r::text))) FROM azure_devops.{task} r" for task in TASKS]
        parts.append("SELECT 'watermark', md5(string_agg(w::text, '' ORDER BY w::text)) FROM ops.watermark w")
        return self.database.rows(" UNION ALL ".join(parts) + " ORDER BY 1")

    def value(self, column, identity, task="work_item"):
        return self.database.one(f"SELECT {column} FROM azure_devops.{task} WHERE id = {identity}")

    def count(self, what):
        return int(self.database.one(f"SELECT count(*) FROM azure_devops.{what}"))

    def last_tasks(self, load=None):
        return self.database.tasks(self.database.last_execution(load)["id"])

    def tokens(self):
        """Task -> the feed's cursor."""
        return {row["task"]: row["cursor"] for row in self.database.dicts("SELECT task, cursor FROM ops.watermark WHERE task IN "
                                                                          "('work_item_revision', 'work_item_link')")}

    def next_run_is_exact(self, *modes):
        """What moved under the run before is caught up with; destroyed items need a reconciliation."""
        self.sim.do(control.clear_requests(), control.clear_faults())
        self.sim.change()
        for mode in modes or ("incremental",):
            self.load("work-items", "--mode", mode, expect=COMPLETE)
        self.assert_copies(*WORK_ITEMS)
        self.assert_ledger()
        self.assert_no_leftovers()


def folder_of(data_folder, *path):
    """A folder below the test data, or None where it is absent."""
    for candidate in (data_folder, os.path.join(data_folder, "data"), os.path.dirname(data_folder)):
        if os.path.exists(os.path.join(candidate, *path)):
            return candidate
    return None
