"""A made-up service desk in core, and what the API must say of it, computed without SQL."""

import dataclasses
import datetime
import random
import statistics
import uuid

UTC = datetime.timezone.utc
SOURCES = {"snow": "servicenow", "desk": "glpi", "devops": "azure_devops"}
TASKS = {"snow": "incident", "desk": "ticket", "devops": "work_item"}
STATUSES = ("new", "in_progress", "pending", "resolved", "closed", "cancelled", "unmapped")
DONE = ("resolved", "closed", "cancelled")
QUEUES = ("Network", "Service Desk", "Rua São João, 5", 'the "odd" one', "it's; DROP TABLE core.ticket; --", None)
CATEGORIES = ("Hardware", "Software", "Software, licences", None)
WORDS = ("printer", "fire", "mail", "slow", "Drucker", "impressora", "vpn", "down", "crash", "login")


def literal(value):
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, datetime.datetime):
        return "'%s'" % value.isoformat()
    return "'%s'" % str(value).replace("'", "''")


def instant(value):
    """As the API writes it."""
    if value is None:
        return None
    text = value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return text + (".%06d" % value.microsecond).rstrip("0").rstrip(".") + "Z"


@dataclasses.dataclass
class Technician:
    technician_id: str
    name: str
    email: str
    team: str


@dataclasses.dataclass
class Ticket:
    ticket_id: str
    source: str
    source_type: str
    external_id: str
    number: str
    kind: str
    title: str
    status: str
    priority: int
    queue: str
    category: str
    assignee_id: str
    team: str
    opened_at: datetime.datetime
    updated_at: datetime.datetime
    resolved_at: datetime.datetime
    closed_at: datetime.datetime
    resolved_by_id: str
    sla_met: bool
    deleted_at: datetime.datetime
    etl_execution_id: int = 1
    reopen_count: int = 0

    @property
    def is_open(self):
        return self.status not in DONE

    @property
    def hours(self):
        return None if self.resolved_at is None or self.opened_at is None else \
            (self.resolved_at - self.opened_at) / datetime.timedelta(hours=1)


class Desk:
    """Seeded; all times lie before `now`."""

    def __init__(self, n_tickets=400, seed=7, now=None):
        self.random = random.Random(seed)
        self.now = now or datetime.datetime.now(UTC)
        self.technicians = [Technician(str(uuid.UUID(int=self.random.getrandbits(128))), f"Person {i:02}",
                                       f"person{i}@acme.example" if i % 4 else None, ("Blue", "Green", None)[i % 3])
                            for i in range(12)]
        self.tickets = [self._ticket(i) for i in range(n_tickets)]

    def _ticket(self, i):
        r = self.random
        source = r.choice(list(SOURCES))
        status = r.choice(STATUSES)
        opened = self.now - datetime.timedelta(seconds=r.randrange(60, 90 * 86400), microseconds=r.randrange(1000000))
        done = status in ("resolved", "closed")
        resolved = min(self.now, opened + datetime.timedelta(seconds=r.randrange(1, 20 * 86400))) if done and r.random() < .9 else None
        updated = None if r.random() < .03 else max(opened, resolved or opened)
        if updated is not None and r.random() < .3:  # many changed in the same second
            updated = updated.replace(minute=0, second=0, microsecond=0)
        people = [p.technician_id for p in self.technicians]
        external = f"{i:032x}" if source == "snow" else str(i)
        return Ticket(
            ticket_id=f"{source}:{external}", source=source, source_type=SOURCES[source], external_id=external,
            number=f"INC{i:07}" if source == "snow" else str(i), kind=r.choice(("incident", "request", "Bug", None)),
            title=r.choice((" ".join(r.choices(WORDS, k=3)), '=HYPERLINK("http://evil")', "a,b\"c\r\nd", None)), status=status,
            priority=r.choice((1, 2, 3, 4, 5, None)), queue=r.choice(QUEUES), category=r.choice(CATEGORIES),
            assignee_id=r.choice(people + [None]), team=r.choice(("Blue", "Green", None)), opened_at=opened if r.random() > .02 else None,
            updated_at=updated, resolved_at=resolved,
            closed_at=resolved if status == "closed" else None,
            resolved_by_id=r.choice(people + [None]) if resolved else None, sla_met=r.choice((True, False, None)),
            deleted_at=self.now if r.random() < .05 else None)

    def insert(self):
        """SQL that makes core equal this desk."""
        fields = [field.name for field in dataclasses.fields(Ticket)]
        rows = ",\n".join("(%s)" % ", ".join(literal(getattr(t, name)) for name in fields) for t in self.tickets)
        people = ",\n".join("(%s)" % ", ".join(literal(v) for v in dataclasses.astuple(p)) for p in self.technicians)
        return (f"TRUNCATE core.ticket, core.technician_identity, core.technician, core.ticket_event;\n"
                f"INSERT INTO core.technician (technician_id, name, email, team) VALUES {people};\n"
                f"INSERT INTO core.ticket ({', '.join(fields)}) VALUES {rows};\n")

    # -- what must come out

    def live(self, **filters):
        found = [t for t in self.tickets if t.deleted_at is None]
        for name, values in filters.items():
            values = values if isinstance(values, (list, tuple, set)) else [values]
            found = [t for t in found if (getattr(t, name) if getattr(t, name) is not None else "unknown") in values]
        return found

    @staticmethod
    def counted(tickets, field):
        counts = {}
        for ticket in tickets:
            value = getattr(ticket, field)
            counts.setdefault(value, [0, 0])
            counts[value][0] += 1
            counts[value][1] += ticket.is_open
        return counts

    def overview(self, **filters):
        tickets = self.live(**filters)
        edges = (("0-1d", 1), ("1-3d", 3), ("3-7d", 7), ("7-30d", 30), ("30d+", 10 ** 6))
        ageing = {name: 0 for name, _ in edges}
        for ticket in tickets:
            if ticket.is_open and ticket.opened_at is None:
                ageing["unknown"] = ageing.get("unknown", 0) + 1
            elif ticket.is_open:
                age = (self.now - ticket.opened_at) / datetime.timedelta(days=1)
                ageing[next(name for name, edge in edges if age < edge)] += 1

        def flat(field):
            return {("unknown" if key is None else str(key)): n for key, (n, _) in self.counted(tickets, field).items()}

        return {"total": len(tickets), "open": sum(t.is_open for t in tickets), "by_status": flat("status"),
                "by_priority": flat("priority"), "by_source": flat("source"),
                "by_queue": {key: tuple(n) for key, n in self.counted(tickets, "queue").items()},
                "by_category": {key: tuple(n) for key, n in self.counted(tickets, "category").items()}, "ageing": ageing}

    @staticmethod
    def group_key(ticket, group_by):
        if group_by == "month":
            return None if ticket.opened_at is None else ticket.opened_at.astimezone(UTC).strftime("%Y-%m")
        value = getattr(ticket, "assignee_id" if group_by == "assignee" else group_by)
        return None if value is None else str(value)

    def metrics(self, tickets, group_by):
        groups = {}
        for ticket in tickets:
            groups.setdefault(self.group_key(ticket, group_by), []).append(ticket)
        return {key: self.figures(group) for key, group in groups.items()}

    @staticmethod
    def figures(group):
        hours = [t.hours for t in group if t.hours is not None]
        return {"tickets": len(group), "resolved": sum(t.resolved_at is not None for t in group),
                "mean_resolution_hours": statistics.fmean(hours) if hours else None,
                "median_resolution_hours": statistics.median(hours) if hours else None,
                "sla_met": sum(t.sla_met is True for t in group), "sla_total": sum(t.sla_met is not None for t in group)}
