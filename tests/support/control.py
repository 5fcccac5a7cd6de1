"""Commands of foz-sim's control interface, as data: post them, or let `on_request` do them later."""


def insert(table, **values):
    return {"insert": {"table": table, "values": values}}


def update(table, sys_id, **values):
    """Moves sys_updated_on and sys_mod_count like a user's save; given values win."""
    return {"update": {"table": table, "sys_id": sys_id, "values": values}}


def silent_update(table, sys_id, **values):
    """A script's update that moves neither stamp nor counter."""
    return {"update": {"table": table, "sys_id": sys_id, "values": values, "silent": True}}


def delete(table, sys_id):
    return {"delete": {"table": table, "sys_id": sys_id}}


def burst(table, count, **values):
    """Updates `count` rows within one second of the source's clock."""
    return {"burst": {"table": table, "count": count, "values": values}}


def advance(duration):
    return {"clock": {"advance": duration}}


def set_clock(instant):
    return {"clock": {"set": instant}}


def fault(kind, **options):
    return {"fault": {"kind": kind, **options}}


def hide(table, every=10):
    """Row rules: every n-th row is counted but not shown."""
    return fault("acl_rows", table=table, every=every)


def deny(table, count="blind"):
    """No right to read the table: no rows; the count is blind to that, or zero."""
    return fault("acl_all", table=table, mode="" if count == "blind" else count)


def hide_field(table, field):
    return fault("acl_fields", table=table, field=field)


def latency(milliseconds):
    return fault("delay", seconds=milliseconds / 1000)


def clear_faults():
    return {"clear_faults": True}


def on_request(number, *commands):
    """Does the commands just before request number `number` from now is answered."""
    return {"on_request": number, "do": list(commands)}
