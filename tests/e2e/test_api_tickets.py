"""Tickets, figures, technicians and breaches over HTTP, against a made-up desk and plain Python."""

import csv
import datetime
import io
import json
import unittest
import urllib.parse

import desk
import reading

DAY = datetime.timedelta(days=1)


class Lists(reading.ReadingCase):
    def ids(self, **parameters):
        return {row["ticket_id"] for row in self.walk("/v1/tickets", {"limit": 1000, **parameters})}

    def expected(self, wanted, include_deleted=False):
        return {t.ticket_id for t in self.desk.tickets if wanted(t) and (include_deleted or t.deleted_at is None)}

    def test_every_ticket_comes_once_in_order_whatever_the_page(self):
        for limit in (7, 100, 1000):
            rows = self.walk("/v1/tickets", {"limit": limit})
            order = sorted((t for t in self.desk.live()), key=lambda t: t.ticket_id.encode(), reverse=True)
            order.sort(key=lambda t: (t.updated_at is None, t.updated_at or desk.datetime.datetime.min.replace(tzinfo=desk.UTC)), reverse=True)
            self.assertEqual([row["ticket_id"] for row in rows], [t.ticket_id for t in order], limit)

    def test_a_ticket_has_every_column(self):
        by_id = {row["ticket_id"]: row for row in self.walk("/v1/tickets", {"limit": 1000})}
        names = {p.technician_id: p.name for p in self.desk.technicians}
        for ticket in self.desk.live():
            row = by_id[ticket.ticket_id]
            for name in ("source", "source_type", "external_id", "number", "kind", "title", "status", "priority", "queue", "category",
                         "assignee_id", "team", "resolved_by_id", "reopen_count"):
                self.assertEqual(row[name], getattr(ticket, name), (ticket.ticket_id, name))
            for name in ("opened_at", "updated_at", "resolved_at", "closed_at", "deleted_at"):
                self.assertEqual(row[name], desk.instant(getattr(ticket, name)), (ticket.ticket_id, name))
            self.assertEqual(row["assignee"], names.get(ticket.assignee_id))
            self.assertEqual(row["sla_breached"], None if ticket.sla_met is None else not ticket.sla_met)

    def test_filters_choose_exactly(self):
        now = self.desk.now
        person = self.desk.technicians[1]
        when = now - 20 * DAY
        for parameters, wanted in (
                ({"source": "snow"}, lambda t: t.source == "snow"),
                ({"source": ["snow", "desk"]}, lambda t: t.source in ("snow", "desk")),
                ({"kind": "Bug"}, lambda t: t.kind == "Bug"),
                ({"status": "new"}, lambda t: t.status == "new"),
                ({"status": "new,pending"}, lambda t: t.status in ("new", "pending")),
                ({"status": ["closed", "unmapped"]}, lambda t: t.status in ("closed", "unmapped")),
                ({"priority": "1"}, lambda t: t.priority == 1),
                ({"priority": ["2,3", "unknown"]}, lambda t: t.priority in (2, 3, None)),
                ({"queue": 'the "odd" one'}, lambda t: t.queue == 'the "odd" one'),
                ({"queue": ["Rua São João, 5", "Network"]}, lambda t: t.queue in ("Rua São João, 5", "Network")),
                ({"queue": desk.QUEUES[4]}, lambda t: t.queue == desk.QUEUES[4]),
                ({"category": "Software, licences"}, lambda t: t.category == "Software, licences"),
                ({"assignee": person.technician_id}, lambda t: t.assignee_id == person.technician_id),
                ({"assignee": person.email.upper()}, lambda t: t.assignee_id == person.technician_id),
                ({"team": "Blue"}, lambda t: t.team == "Blue"),
                ({"opened_from": when.isoformat()}, lambda t: t.opened_at is not None and t.opened_at >= when),
                ({"opened_to": when.isoformat()}, lambda t: t.opened_at is not None and t.opened_at < when),
                ({"updated_since": when.isoformat()}, lambda t: t.updated_at is not None and t.updated_at >= when),
                ({"opened_from": (now - 40 * DAY).date().isoformat(), "opened_to": (now - 10 * DAY).date().isoformat(), "status": "closed"},
                 lambda t: t.opened_at is not None and t.status == "closed"
                 and (now - 40 * DAY).date() <= t.opened_at.date() < (now - 10 * DAY).date()),
                ({"source": "nobody"}, lambda t: False)):
            self.assertEqual(self.ids(**parameters), self.expected(wanted), parameters)

    def test_deleted_tickets_come_only_when_asked_for(self):
        self.assertEqual(self.ids(include_deleted="true"), self.expected(lambda t: True, include_deleted=True))
        self.assertNotEqual(self.ids(include_deleted="true"), self.ids())

    def test_words_are_found_in_number_and_title(self):
        def words(ticket):
            return (ticket.title or "").split()
        self.assertEqual(self.ids(q="printer"), self.expected(lambda t: "printer" in words(t)))
        self.assertEqual(self.ids(q="PRINTER fire"), self.expected(lambda t: {"printer", "fire"} <= set(words(t))))
        self.assertEqual(self.ids(q="vpn -down"), self.expected(lambda t: "vpn" in words(t) and "down" not in words(t)))
        self.assertEqual(self.ids(q="inc0000003"), self.expected(lambda t: t.number == "INC0000003"))
        self.assertEqual(self.ids(q="vpn", status="new"), self.expected(lambda t: "vpn" in words(t) and t.status == "new"))
        for text in ("'", "''; DROP TABLE core.ticket; --", "& | ! ( )", "\"", "\\", "%", "<->", ":*", "a" * 5000, "\u00e7\u3042"):
            self.read("/v1/tickets", {"q": text})

    def test_csv_and_ndjson_say_the_same_as_json(self):
        rows = self.walk("/v1/tickets", {"limit": 1000, "source": "desk"})
        for options in ({"headers": {"Accept": "application/x-ndjson"}}, {"format": "ndjson"}):
            parameters = {"limit": 1000, "source": "desk", **({"format": options.pop("format")} if "format" in options else {})}
            answer = self.read("/v1/tickets", parameters, **options)
            self.assertEqual([json.loads(line) for line in answer.body.decode().splitlines()], rows)
            self.assertEqual(answer.headers["Foz-Fresh"], "true")
        answer = self.read("/v1/tickets", {"limit": 1000, "source": "desk", "format": "csv"})
        self.assertEqual(answer.headers["Content-Type"], "text/csv; charset=utf-8")
        table = list(csv.DictReader(io.StringIO(answer.body.decode(), newline="")))
        self.assertEqual(len(table), len(rows))
        for line, row in zip(table, rows):
            for name, value in row.items():
                shown = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
                if isinstance(value, str) and value[:1] in tuple("=+-@\t\r"):
                    shown = "'" + value  # what a spreadsheet would take for a formula
                self.assertEqual(line[name], shown, name)
        self.assertTrue(any(line["title"].startswith("'=") for line in table))

    def test_pages_of_csv_go_on_by_their_link(self):
        target, seen = "/v1/tickets?limit=90&format=csv", []
        while target:
            answer = self.read(target)
            seen += [line["ticket_id"] for line in csv.DictReader(io.StringIO(answer.body.decode(), newline=""))]
            link = answer.headers["Link"]
            target = link[1:link.index(">")] if link else None
        self.assertEqual(len(seen), len(set(seen)))
        self.assertEqual(set(seen), self.ids())

    def follow(self, target, headers=None):
        """The walk by its links: the answers, or None where the first page is refused as too long."""
        answers = []
        while target:
            answer = self.get(target, headers=headers)
            if answer.status != 200 and not answers:
                self.assert_problem(answer, 414, "query_too_long", "name fewer values")
                return None
            self.assertEqual(answer.status, 200, target)
            answers.append(answer)
            link = answer.headers["Link"]
            if answer.headers["Content-Type"] == "application/json":
                self.assertEqual(link is not None, answer.json()["page"]["has_more"])
            target = link[1:link.index(">")] if link else None
        return answers

    def test_a_page_has_its_link_however_long_the_filters_or_the_query_is_refused(self):
        everything = urllib.parse.urlencode([("queue", queue) for queue in desk.QUEUES if queue], doseq=True)
        wanted = len(self.expected(lambda t: t.queue in desk.QUEUES and t.queue))
        accepted = {}
        for head in (0, 4000, 8000):
            headers = {"X-Long": "x" * head}
            for length in (*range(500, 12000 - head, 500), *range(5900 - head // 2, 6800 - head // 2, 50)):
                target = f"/v1/tickets?limit=60&{everything}&queue={'x' * length}"
                answers = self.follow(target, headers)
                accepted[head, length] = answers is not None
                if answers:
                    self.assertEqual(sum(len(answer.json()["data"]) for answer in answers), wanted, (head, length))
        self.assertTrue(accepted[0, 6000])
        self.assertTrue(accepted[8000, 1500])
        self.assertFalse(accepted[0, 8000])

    def test_filters_that_grow_in_the_link_are_walked_or_refused_too(self):
        new = "/v1/tickets?limit=7&queue=Network"
        short = self.follow(new)
        for more in ("&queue=" + "'" * 1900, "&" + "&".join(f"category={'x' * 50}{i}&category=Hardware" for i in range(60)),
                     "&status=new,pending,closed,resolved,cancelled,in_progress,unmapped" * 60):
            self.assertGreater(len(self.follow(new + more)), 1)
        self.assertEqual(len(self.follow(new + "&queue=Network" * 900)), len(short))
        for more in ("&queue=" + "'" * 2700, "&queue=" + "'" * 9000, "&" + "&".join(f"category={'x' * 100}{i}" for i in range(64))):
            self.assertIsNone(self.follow(new + more))

    def test_a_link_goes_on_in_the_format_of_its_page_however_that_was_asked_for(self):
        one = self.read("/v1/tickets?limit=9&kind=Bug", headers={"Accept": "text/csv"})
        two = self.read("/v1/tickets?limit=9&kind=Bug&format=csv")
        for answer in (one, two):
            link = answer.headers["Link"]
            self.assertEqual(self.get(link[1:link.index(">")]).headers["Content-Type"], "text/csv; charset=utf-8")

    def test_altered_cursors_are_refused(self):
        cursor = self.read("/v1/tickets?limit=5&status=new").json()["page"]["next_cursor"]
        self.read(f"/v1/tickets?limit=50&status=new&cursor={cursor}")
        bad = [cursor[:-1], cursor + "A", "A" + cursor[1:], cursor[::-1], "x", "'", "%27%3B", "A" * 4000, cursor[:10] + "B" + cursor[11:]]
        for text in bad:
            if text != cursor:
                self.assert_problem(self.get(f"/v1/tickets?limit=5&status=new&cursor={text}"), 400, "invalid_cursor")
        for other in ("/v1/tickets?limit=5", "/v1/tickets?limit=5&status=closed", "/v1/sla/breaches?limit=5", "/v1/executions?limit=5",
                      "/v1/technicians/ranking?limit=5"):
            join = "&" if "?" in other else "?"
            self.assert_problem(self.get(f"{other}{join}cursor={cursor}"), 400, "invalid_cursor")

    def test_cursors_made_up_with_a_right_checksum_are_refused_too(self):
        import base64
        import hashlib
        question = "/v1/tickets?"
        for position in (b"x\nsnow:1", b"2026-13-01T00:00:00Z\nsnow:1", b"", b"\n", b"'; --\nx", b"2026-01-01T00:00:00Z", b"infinity\nx",
                         b"2026-01-01T00:00:00Z\n\xff", b"2026-01-01T00:00:00Z\na\x00b"):
            check = hashlib.sha256(b"foz cursor 1\n%d\n" % len(question) + question.encode() + position).digest()[:9]
            cursor = base64.urlsafe_b64encode(check + position).decode().rstrip("=")
            self.assert_problem(self.get(f"/v1/tickets?cursor={cursor}"), 400, "invalid_cursor")


class One(reading.ReadingCase):
    n_tickets = 60

    def test_one_ticket_deleted_or_not(self):
        for ticket in self.desk.tickets:
            data = self.data("/v1/tickets/" + urllib.parse.quote(ticket.ticket_id, safe=""))
            self.assertEqual((data["ticket_id"], data["title"], data["deleted_at"]),
                             (ticket.ticket_id, ticket.title, desk.instant(ticket.deleted_at)))
        self.assertEqual(self.data(f"/v1/tickets/{self.desk.tickets[0].ticket_id}")["ticket_id"], self.desk.tickets[0].ticket_id)

    def test_ids_with_special_characters_are_decoded(self):
        for odd in ("snow:a/b", "snow:a b+c", "snow:ç%41", "snow:'; DROP TABLE core.ticket; --", "snow:?x=1&y", "snow:a#b", 'snow:"\\'):
            self.publish(f"INSERT INTO core.ticket (ticket_id, source, source_type, external_id, status, etl_execution_id) "
                         f"VALUES ({desk.literal(odd)}, 'snow', 'servicenow', 'x', 'new', 1)")
            path = "/v1/tickets/" + urllib.parse.quote(odd, safe="")
            self.assertEqual(self.data(path)["ticket_id"], odd)
            self.assertEqual(self.data(path + "/timeline")["ticket_id"], odd)

    def test_unknown_tickets_and_technicians_are_404(self):
        for name in ("nothing", "snow:", "%27%22", "a" * 500, "%C3%A7", "..", "snow:1;x"):
            self.assert_problem(self.get(f"/v1/tickets/{name}"), 404, "unknown_ticket", "/v1/tickets")
            self.assert_problem(self.get(f"/v1/tickets/{name}/timeline"), 404, "unknown_ticket")
            self.assert_problem(self.get(f"/v1/technicians/{name}/productivity"), 404, "unknown_technician")

    def test_a_timeline_has_events_in_order_and_slas(self):
        first = next(t for t in self.desk.tickets if t.source == "snow")
        second = next(t for t in self.desk.tickets if t.source == "desk" and t.opened_at)
        events = "".join(
            f"INSERT INTO core.ticket_event (event_id, ticket_id, type, occurred_at, payload) VALUES (gen_random_uuid(), "
            f"'{first.ticket_id}', '{kind}', '{when}', '{{\"n\": {n}}}');\n"
            for n, kind, when in ((3, "TicketDeletedV1", "2026-01-03T00:00:00Z"), (1, "TicketCreatedV1", "2026-01-01T08:00:00.25Z"),
                                  (2, "TicketStatusChangedV1", "2026-01-01T08:00:01Z")))
        self.publish(events + f"""
            INSERT INTO servicenow.contract_sla (source, sys_id, name) VALUES ('snow', 's1', 'P1 in 4 h');
            INSERT INTO servicenow.incident_sla (source, sys_id, task, sla, stage, active, has_breached, start_time, planned_end_time)
            VALUES ('snow', 'a', '{first.external_id}', 's1', 'in_progress', true, true, '2026-01-01', '2026-01-02');
            UPDATE core.ticket SET sla_due_at = '2026-02-01', sla_done_at = '2026-02-02', sla_met = NULL WHERE ticket_id = '{second.ticket_id}'
            """)
        data = self.data(f"/v1/tickets/{first.ticket_id}/timeline")
        self.assertEqual([(e["payload"]["n"], e["type"], e["occurred_at"]) for e in data["events"]],
                         [(1, "TicketCreatedV1", "2026-01-01T08:00:00.25Z"), (2, "TicketStatusChangedV1", "2026-01-01T08:00:01Z"),
                          (3, "TicketDeletedV1", "2026-01-03T00:00:00Z")])
        self.assertEqual(data["slas"], [{"sla_id": "s1", "name": "P1 in 4 h", "stage": "in_progress", "active": True, "breached": True,
                                         "started_at": "2026-01-01T00:00:00Z", "ended_at": None, "due_at": "2026-01-02T00:00:00Z"}])
        slas = self.data(f"/v1/tickets/{second.ticket_id}/timeline")["slas"]
        self.assertEqual([(s["name"], s["due_at"], s["ended_at"], s["breached"]) for s in slas],
                         [("time to resolve", "2026-02-01T00:00:00Z", "2026-02-02T00:00:00Z", True)])
        self.publish(f"DELETE FROM core.ticket WHERE ticket_id = '{first.ticket_id}'")
        data = self.data(f"/v1/tickets/{first.ticket_id}/timeline")
        self.assertIsNone(data["ticket"])
        self.assertEqual(len(data["events"]), 3)


class Figures(reading.ReadingCase):
    n_tickets = 1500

    def assert_overview(self, **filters):
        data = self.data("/v1/tickets/overview", filters)
        expected = self.desk.overview(**{name: ([int(v) if v.isdigit() else v for v in values] if name == "priority" else values)
                                         for name, values in filters.items()})
        for name in ("total", "open", "by_status", "by_priority", "by_source"):
            self.assertEqual(data[name], expected[name], name)
        for name in ("by_queue", "by_category"):
            self.assertEqual({row["key"]: (row["total"], row["open"]) for row in data[name]}, expected[name], name)
            self.assertEqual([row["total"] for row in data[name]], sorted((row["total"] for row in data[name]), reverse=True))
        self.assertEqual({row["bucket"]: row["open"] for row in data["ageing"]}, expected["ageing"])
        self.assertEqual([row["bucket"] for row in data["ageing"]][:5], ["0-1d", "1-3d", "3-7d", "7-30d", "30d+"])
        self.assertEqual(sum(row["open"] for row in data["ageing"]), data["open"])

    def test_the_overview_counts_what_python_counts(self):
        self.assert_overview()
        self.assert_overview(source=["snow"])
        self.assert_overview(source=["snow", "devops"], queue=["Network", desk.QUEUES[4]])
        self.assert_overview(priority=["1", "unknown"], category=["Hardware"])
        self.assert_overview(source=["nobody"])

    def test_ages_are_cut_exactly(self):
        hours = (0, 23.999, 24, 71.999, 72, 167.999, 168, 719.999, 720, 9000, -5)
        self.publish("TRUNCATE core.ticket; " + "".join(
            f"INSERT INTO core.ticket (ticket_id, source, source_type, external_id, status, opened_at, etl_execution_id) VALUES "
            f"('snow:{i}', 'snow', 'servicenow', '{i}', 'new', now() - interval '1 hour' * {h}, 1);" for i, h in enumerate(hours)))
        ageing = {row["bucket"]: row["open"] for row in self.data("/v1/tickets/overview")["ageing"]}
        self.assertEqual(ageing, {"0-1d": 3, "1-3d": 2, "3-7d": 2, "7-30d": 2, "30d+": 2})

    def assert_metrics(self, tickets, parameters):
        group_by = parameters.get("group_by", "priority")
        data = self.data("/v1/tickets/metrics", parameters)
        expected = self.desk.metrics(tickets, group_by)
        self.assertEqual({row["key"] for row in data}, set(expected), parameters)
        for row in data:
            for name, value in expected[row["key"]].items():
                if value is None or isinstance(value, int):
                    self.assertEqual(row[name], value, (row, name))
                else:
                    self.assertAlmostEqual(row[name], value, delta=1.0001e-6, msg=(row, name))

    def test_metrics_are_what_python_computes(self):
        for group_by in ("priority", "queue", "category", "source", "month", "assignee"):
            self.assert_metrics(self.desk.live(), {"group_by": group_by})
        self.assert_metrics(self.desk.live(), {})
        when = self.desk.now - 45 * DAY
        self.assert_metrics([t for t in self.desk.live() if t.opened_at and t.opened_at >= when], {"from": when.isoformat()})
        self.assert_metrics([t for t in self.desk.live() if t.opened_at and t.opened_at < when],
                            {"to": when.isoformat(), "group_by": "queue"})
        self.assert_metrics([t for t in self.desk.live(source="snow") if t.status == "closed" and t.team == "Blue"],
                            {"source": "snow", "status": "closed", "team": "Blue", "group_by": "month"})
        self.assert_metrics([t for t in self.desk.live() if t.kind == "Bug" and t.queue == "Network"],
                            {"kind": "Bug", "queue": "Network", "group_by": "category"})
        self.assertEqual(self.data("/v1/tickets/metrics?source=nobody"), [])

    def test_hours_have_six_decimals_and_the_median_lies_between(self):
        self.publish("TRUNCATE core.ticket; " + "".join(
            f"INSERT INTO core.ticket (ticket_id, source, source_type, external_id, status, priority, opened_at, resolved_at, etl_execution_id)"
            f" VALUES ('snow:{i}', 'snow', 'servicenow', '{i}', 'closed', 1, '2026-01-01', timestamptz '2026-01-01' + interval '{s} s', 1);"
            for i, s in enumerate((1, 3601, 7200, 36000))))
        answer = self.read("/v1/tickets/metrics")
        self.assertIn(b'"key":"1"', answer.body)
        self.assertIn(b'"mean_resolution_hours":3.250139', answer.body)
        self.assertIn(b'"median_resolution_hours":1.500139', answer.body)
        answer = self.read("/v1/tickets/metrics?format=csv")
        self.assertEqual(answer.body.decode().splitlines()[0],
                         "key,name,tickets,resolved,mean_resolution_hours,median_resolution_hours,sla_met,sla_total")

    def test_the_month_is_that_of_utc(self):
        self.publish("TRUNCATE core.ticket; INSERT INTO core.ticket (ticket_id, source, source_type, external_id, status, opened_at, "
                     "etl_execution_id) VALUES ('a', 'snow', 'servicenow', 'a', 'new', '2026-03-31T23:59:59.999999Z', 1), "
                     "('b', 'snow', 'servicenow', 'b', 'new', '2026-03-31T22:30:00-03:00', 1)")
        self.assertEqual([(row["key"], row["tickets"]) for row in self.data("/v1/tickets/metrics?group_by=month")],
                         [("2026-03", 1), ("2026-04", 1)])


class People(reading.ReadingCase):
    n_tickets = 900

    def figures(self, since, until, team=None):
        found = {}
        for person in self.desk.technicians:
            mine = [t for t in self.desk.live() if t.resolved_by_id == person.technician_id and since <= t.resolved_at < until]
            if mine and (team is None or person.team == team):
                found[person.technician_id] = (person, self.desk.figures(mine))
        return found

    def assert_ranking(self, parameters, expected, score):
        rows = self.walk("/v1/technicians/ranking", parameters)
        self.assertEqual({row["technician"]["id"] for row in rows}, set(expected), parameters)
        for row in rows:
            person, figures = expected[row["technician"]["id"]]
            self.assertEqual((row["technician"]["name"], row["technician"]["email"], row["technician"]["team"]),
                             (person.name, person.email, person.team))
            self.assertEqual((row["handled"], row["sla_met"], row["sla_total"]),
                             (figures["tickets"], figures["sla_met"], figures["sla_total"]))
            if figures["mean_resolution_hours"] is None:
                self.assertIsNone(row["mean_resolution_hours"])
            else:
                self.assertAlmostEqual(row["mean_resolution_hours"], figures["mean_resolution_hours"], delta=1.0001e-6)
        scores = [score(expected[row["technician"]["id"]][1]) for row in rows]
        self.assertEqual(scores, sorted(scores, reverse=True), parameters)
        self.assertEqual([row["rank"] for row in rows], [1 + sum(other > one for other in scores) for one in scores])

    def test_the_ranking_is_what_python_ranks(self):
        now = self.desk.now + DAY
        month = self.figures(self.desk.now - 30 * DAY, now)
        self.assert_ranking({}, month, lambda f: f["tickets"])
        self.assert_ranking({"period": "30d", "limit": 5}, month, lambda f: f["tickets"])
        self.assert_ranking({"period": "2w", "metric": "sla", "limit": 3}, self.figures(self.desk.now - 14 * DAY, now),
                            lambda f: f["sla_met"] / f["sla_total"] if f["sla_total"] else -1)
        begin, end = (self.desk.now - 60 * DAY).date(), (self.desk.now - 10 * DAY).date()
        span = [desk.datetime.datetime.combine(day, desk.datetime.time(), desk.UTC) for day in (begin, end)]
        self.assert_ranking({"from": begin.isoformat(), "to": end.isoformat(), "metric": "resolution"}, self.figures(*span),
                            lambda f: -round(f["mean_resolution_hours"], 6) if f["mean_resolution_hours"] is not None else -1e9)
        self.assert_ranking({"team": "Blue"}, self.figures(self.desk.now - 30 * DAY, now, "Blue"), lambda f: f["tickets"])

    def test_teams_are_ranked_as_the_sum_of_their_people(self):
        rows = self.walk("/v1/technicians/ranking", {"group_by": "team", "period": "90d"})
        sums = {}
        for person, figures in self.figures(self.desk.now - 90 * DAY, self.desk.now + DAY).values():
            total = sums.setdefault(person.team, [0, 0, 0, 0])
            for i, n in enumerate((1, figures["tickets"], figures["sla_met"], figures["sla_total"])):
                total[i] += n
        self.assertEqual({row["team"]: [row["technicians"], row["handled"], row["sla_met"], row["sla_total"]] for row in rows}, sums)
        self.assertEqual([row["rank"] for row in rows], sorted(row["rank"] for row in rows))

    def test_csv_of_the_ranking_has_plain_columns(self):
        table = list(csv.DictReader(io.StringIO(self.read("/v1/technicians/ranking?format=csv").body.decode(), newline="")))
        rows = self.data("/v1/technicians/ranking")
        self.assertEqual([(line["technician_id"], line["handled"]) for line in table],
                         [(row["technician"]["id"], str(row["handled"])) for row in rows])

    def test_productivity_counts_days_and_hours_of_utc(self):
        for person in self.desk.technicians[:4]:
            mine = [t for t in self.desk.live() if t.resolved_by_id == person.technician_id
                    and self.desk.now - 30 * DAY <= t.resolved_at]
            data = self.data(f"/v1/technicians/{person.technician_id}/productivity?period=30d")
            days, hours = {}, {}
            for ticket in mine:
                when = ticket.resolved_at.astimezone(desk.UTC)
                days[when.date().isoformat()] = days.get(when.date().isoformat(), 0) + 1
                hours[when.hour] = hours.get(when.hour, 0) + 1
            self.assertEqual({d["date"]: d["resolved"] for d in data["by_day"] if d["resolved"]}, days)
            self.assertEqual({h["hour"]: h["resolved"] for h in data["by_hour"] if h["resolved"]}, hours)
            self.assertEqual(data["handled"], len(mine))
            self.assertEqual(len(data["by_hour"]), 24)
            self.assertIn(len(data["by_day"]), (31,))
            dates = [d["date"] for d in data["by_day"]]
            self.assertEqual(dates, sorted(dates))
        data = self.data(f"/v1/technicians/{person.technician_id.upper()}/productivity?from=1990-01-01&to=2090-01-01")
        self.assertTrue(all(d["resolved"] > 0 for d in data["by_day"]))


class Breaches(reading.ReadingCase):
    n_tickets = 500
    SEVERITY = {1: "critical", 2: "high", 3: "medium"}

    def expected(self, since, **filters):
        found = {}
        for ticket in self.desk.live(**filters):
            when = ticket.resolved_at or ticket.closed_at or ticket.updated_at
            if ticket.sla_met is False and when is not None and when >= since:
                found[ticket.ticket_id] = (self.SEVERITY.get(ticket.priority, "low"), when)
        return found

    def test_breaches_come_newest_first_with_their_severity(self):
        for parameters, expected in (({}, self.expected(self.desk.now - 7 * DAY)),
                                     ({"timeWindow": "60d", "limit": 11}, self.expected(self.desk.now - 60 * DAY)),
                                     ({"from": (self.desk.now - 80 * DAY).isoformat(), "source": "desk"},
                                      self.expected(self.desk.now - 80 * DAY, source="desk"))):
            rows = self.walk("/v1/sla/breaches", parameters)
            self.assertEqual([row["ticket_id"] for row in rows], [row["ticket_id"] for row in sorted(
                rows, key=lambda row: (expected[row["ticket_id"]][1], row["ticket_id"]), reverse=True)])
            self.assertEqual({row["ticket_id"]: (row["severity"], row["breached_at"]) for row in rows},
                             {key: (severity, desk.instant(when)) for key, (severity, when) in expected.items()}, parameters)
        everything = self.expected(self.desk.now - 90 * DAY)
        for severity in ("critical", "high", "medium", "low", "critical,low"):
            rows = self.walk("/v1/sla/breaches", {"timeWindow": "90d", "severity": severity})
            self.assertEqual({row["ticket_id"] for row in rows},
                             {key for key, (one, _) in everything.items() if one in severity.split(",")})

    def test_a_recorded_breach_and_a_missed_deadline_tell_when(self):
        self.publish("""TRUNCATE core.ticket;
            INSERT INTO core.ticket (ticket_id, source, source_type, external_id, status, sla_due_at, sla_done_at, sla_own_due_at,
                                     sla_owned_at, sla_met, updated_at, etl_execution_id) VALUES
              ('late', 'desk', 'glpi', '1', 'new', now() - interval '2 h', NULL, NULL, NULL, NULL, now(), 1),
              ('done', 'desk', 'glpi', '2', 'closed', now() - interval '3 h', now() - interval '1 h', NULL, NULL, NULL, now(), 1),
              ('own', 'desk', 'glpi', '3', 'new', now() + interval '3 h', NULL, now() - interval '5 h', now() - interval '4 h', NULL, now(), 1),
              ('told', 'snow', 'servicenow', '4', 'new', NULL, NULL, NULL, NULL, false, now(), 1),
              ('fine', 'desk', 'glpi', '5', 'new', now() + interval '1 h', NULL, NULL, NULL, NULL, now(), 1);
            INSERT INTO core.ticket_event (event_id, ticket_id, type, occurred_at, payload)
            VALUES (gen_random_uuid(), 'told', 'TicketSlaBreachedV1', now() - interval '6 h', '{}')""")
        now = datetime.datetime.now(desk.UTC)
        ages = {row["ticket_id"]: round((now - datetime.datetime.fromisoformat(row["breached_at"].replace("Z", "+00:00")[:19] + "+00:00"))
                                        / datetime.timedelta(hours=1)) for row in self.data("/v1/sla/breaches")}
        self.assertEqual(ages, {"late": 2, "done": 3, "own": 5, "told": 6})


if __name__ == "__main__":
    unittest.main()
