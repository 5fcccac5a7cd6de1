"""Queries over kept connections: a psql a query would be most of what a test costs.

Values are text as PostgreSQL prints them, SQL NULL is None, times are UTC. Every query is a transaction of
its own. A connection the server has ended (a restart, a crash) is made anew.
"""
import collections
import json

import psycopg2
import psycopg2.extensions

from postgres import PostgresError, quote_ident

KEPT = 4  # connections; a test uses one database, or a few
ENDED = (None, "57P01", "57P02")  # no answer at all, or ended by an administrator or a crash

_AS_TEXT = psycopg2.extensions.new_type(tuple(psycopg2.extensions.string_types), "AS_TEXT", lambda value, _cursor: value)
_connections = collections.OrderedDict()  # by URL, the latest used last


def _connect(url):
    connection = psycopg2.connect(url, options="-c TimeZone=UTC", application_name="test")
    connection.autocommit = True
    psycopg2.extensions.register_type(_AS_TEXT, connection)
    return connection


def _kept(url):
    """The kept connection of a database, or a new one, which pushes out the oldest."""
    connection = _connections.pop(url, None) or _connect(url)
    _connections[url] = connection
    while len(_connections) > KEPT:
        _connections.popitem(last=False)[1].close()
    return connection


def _forget(url):
    connection = _connections.pop(url, None)
    if connection is not None:
        connection.close()


def _fetch(url, sql):
    with _kept(url).cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall() if cursor.description else []


def rows(url, sql):
    """The rows of one query, or of the last statement of several, as tuples of text."""
    was_kept = url in _connections
    try:
        return _fetch(url, sql)
    except psycopg2.Error as failure:
        if failure.pgcode in ENDED:
            _forget(url)
            if was_kept:
                return rows(url, sql)
        raise PostgresError(str(failure).strip()) from None


def script(url, sql):
    """Does one or several statements, all or none unless they say BEGIN; leaves nothing behind in the session.

    What the last one returns comes as text: a line a row, "|" between values.
    """
    try:
        found = rows(url, sql)
    finally:
        connection = _connections.get(url)
        if connection is not None:
            with connection.cursor() as cursor:
                if connection.info.transaction_status != psycopg2.extensions.TRANSACTION_STATUS_IDLE:
                    cursor.execute("ROLLBACK")
                cursor.execute("DISCARD ALL")
    return "\n".join("|".join(value or "" for value in row) for row in found)


def one(url, sql):
    """The single value of a query."""
    found = rows(url, sql)
    if len(found) != 1 or len(found[0]) != 1:
        raise PostgresError(f"expected one value, got {found[:3]!r}")
    return found[0][0]


def dicts(url, sql, **options):
    """Rows as dictionaries with JSON's types; `options` are json.loads's."""
    return [json.loads(row[0], **options) for row in rows(url, f"SELECT row_to_json(q) FROM ({sql}) q")]


def copy_database(cluster, template):
    """A new database like `template`, in which nobody works; returns its URL."""
    name = cluster.free_name()
    rows(cluster.url("postgres"), f"CREATE DATABASE {quote_ident(name)} TEMPLATE {quote_ident(template)}")
    return cluster.url(name)
