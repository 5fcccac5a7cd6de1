"""Commands of foz-sim's control interface, as data: post them, or let `on_request` do them later."""


def insert(table, visible_after_s=0, **values):
    """`visible_after_s`: the row shows only then, though its stamps are of now."""
    late = {"visible_after_s": visible_after_s} if visible_after_s else {}
    return {"insert": {"table": table, "values": values, **late}}


def update(table, sys_id, **values):
    """Moves sys_updated_on and sys_mod_count like a user's save; given values win."""
    return {"update": {"table": table, "sys_id": sys_id, "values": values}}


def silent_update(table, sys_id, **values):
    """A script's update that moves neither stamp nor counter."""
    return {"update": {"table": table, "sys_id": sys_id, "values": values, "silent": True}}


def delete(table, sys_id):
    return {"delete": {"table": table, "sys_id": sys_id}}


def burst(table, count, kind="update"):
    """Updates, inserts or deletes `count` rows within one second of the source's clock."""
    return {"burst": {"table": table, "n": count, "kind": kind}}


def advance(seconds):
    return {"advance_s": seconds}


def set_clock(instant):
    return {"clock": instant}


def fault(kind, **options):
    return {"fault": {"kind": kind, **options}}


def hide(table, share=0.1):
    """Row rules: this share of the rows is counted but not shown."""
    return fault("acl_rows", table=table, share=share)


def hide_where(table, query):
    """Row rules: the rows this query finds are counted but not shown."""
    return fault("acl_rows", table=table, value=query)


def deny(table, count="blind"):
    """No right to read the table: no rows; the count is blind to that, or honest (zero)."""
    return fault("acl_all", table=table, mode="honest" if count == "zero" else "")


def hide_field(table, field):
    return fault("acl_fields", table=table, field=field)


def latency(milliseconds):
    return fault("delay", seconds=milliseconds / 1000)


def clear_faults():
    return {"clear_faults": True}


def on_request(number, *commands):
    """Does the commands just before request number `number` from now is answered."""
    return {"on_request": number, "do": list(commands)}


def clear_requests():
    """Forgets what on_request() still waits to do."""
    return {"clear_requests": True}
