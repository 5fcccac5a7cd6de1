#include "worker/load/merge_sql.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "common/base/instant.h"
#include "worker/load/landed.h"

static const struct column *key_column(const struct merge_sql *sql, size_t i)
{
    return &sql->task->columns[sql->task->key_columns[i]];
}

/* alias '\0' = none */
static void add_name(struct buf *out, char alias, const struct column *column)
{
    if (alias != '\0') {
        buf_add_char(out, alias);
        buf_add_char(out, '.');
    }
    db_quote_ident(out, str_from(column->name));
}

static void add_keys(const struct merge_sql *sql, char alias, struct buf *out)
{
    for (size_t i = 0; i < sql->task->n_key_columns; i++) {
        buf_add_c(out, i == 0 ? "" : ", ");
        add_name(out, alias, key_column(sql, i));
    }
}

static void add_columns(const struct merge_sql *sql, char alias, struct buf *out)
{
    for (size_t i = 0; i < sql->task->n_columns; i++) {
        buf_add_c(out, i == 0 ? "" : ", ");
        add_name(out, alias, &sql->task->columns[i]);
    }
}

static void add_equal(const struct merge_sql *sql, char left, char right, struct buf *out)
{
    for (size_t i = 0; i < sql->task->n_key_columns; i++) {
        buf_add_c(out, i == 0 ? "" : " AND ");
        add_name(out, left, key_column(sql, i));
        buf_add_c(out, " = ");
        add_name(out, right, key_column(sql, i));
    }
}

/* As row_record_key() writes it. */
static void add_key_text(const struct merge_sql *sql, char alias, struct buf *out)
{
    for (size_t i = 0; i < sql->task->n_key_columns; i++) {
        buf_add_c(out, i == 0 ? "(" : " || ':' || ");
        add_name(out, alias, key_column(sql, i));
        buf_add_c(out, "::text");
    }
    buf_add_char(out, ')');
}

/* The staged value, or the stored one where the source left the field out or the row is known. */
static void add_new_value(const struct merge_sql *sql, size_t column, struct buf *out)
{
    const struct column *def = &sql->task->columns[column];
    if (!sql->has_absent) {
        add_name(out, 's', def);
        return;
    }
    buf_add_c(out, "CASE WHEN CASE WHEN " MERGE_IS_KNOWN " THEN true");
    buf_addf(out, " ELSE get_bit(s.etl_absent, %zu) = 1 END THEN ", column);
    add_name(out, 't', def);
    buf_add_c(out, " ELSE ");
    add_name(out, 's', def);
    buf_add_c(out, " END");
}

static void add_gone_column(const struct merge_sql *sql, struct buf *out)
{
    db_quote_ident(out, str_from(sql->task->gone_column));
}

static void add_last_seen_column(const struct merge_sql *sql, struct buf *out)
{
    db_quote_ident(out, str_from(sql->task->last_seen_column));
}

static void add_version_column(const struct merge_sql *sql, struct buf *out)
{
    add_name(out, '\0', &sql->task->columns[sql->task->version_column]);
}

static void add_created_column(const struct merge_sql *sql, struct buf *out)
{
    add_name(out, '\0', &sql->task->columns[sql->task->created_column]);
}

static void add_assignments(const struct merge_sql *sql, struct buf *out)
{
    if (sql->task->gone_column != NULL) {
        add_gone_column(sql, out);
        buf_add_c(out, " = NULL, ");
    }
    for (size_t i = 0; i < sql->task->n_columns; i++) {
        if (!task_is_key_column(sql->task, i)) {
            add_name(out, '\0', &sql->task->columns[i]);
            buf_add_c(out, " = ");
            add_new_value(sql, i, out);
            buf_add_c(out, ", ");
        }
    }
}

static void add_differs(const struct merge_sql *sql, struct buf *out)
{
    size_t n = 0;
    for (size_t i = 0; i < sql->task->n_columns; i++) {
        if (task_is_key_column(sql->task, i)) {
            continue;
        }
        buf_add_c(out, n++ == 0 ? "(" : " OR ");
        add_name(out, 't', &sql->task->columns[i]);
        buf_add_c(out, " IS DISTINCT FROM ");
        add_new_value(sql, i, out);
    }
    if (sql->task->gone_column != NULL) {
        buf_add_c(out, n++ == 0 ? "(t." : " OR t.");
        add_gone_column(sql, out);
        buf_add_c(out, " IS NOT NULL");
    }
    buf_add_c(out, n == 0 ? "false" : ")");
}

static void add_instant(int64_t us, struct buf *out)
{
    char text[INSTANT_TEXT_MAX];
    if (us == INT64_MAX || us == INT64_MIN) {
        buf_add_c(out, us == INT64_MAX ? "'infinity'" : "'-infinity'");
    } else {
        buf_addf(out, "'%s'", instant_format_rfc3339(us, text));
    }
    buf_add_c(out, "::timestamptz");
}

/* The column that holds the parent's key (of the parent itself: its key). */
static void add_parent_key(const struct merge_sql *sql, char alias, struct buf *out)
{
    if (alias == '\0') {
        const struct task_def *parent = sql->request->parent;
        db_quote_ident(out, str_from(parent->columns[parent->key_columns[0]].name));
        return;
    }
    add_name(out, alias, &sql->task->columns[sql->task->parent_column]);
}

static void add_window(const struct merge_sql *sql, struct buf *out)
{
    const struct column *window = &sql->task->columns[sql->task->window_column];
    buf_add_c(out, " AND ");
    add_name(out, 't', window);
    buf_add_c(out, " >= ");
    add_instant(sql->request->window_from_us, out);
    buf_add_c(out, " AND ");
    add_name(out, 't', window);
    buf_add_c(out, " < ");
    add_instant(sql->request->window_to_us, out);
}

static void add_owed(const struct merge_sql *sql, struct buf *out)
{
    const struct column *column = &sql->task->columns[sql->task->parent_column];
    buf_add_c(out, " AND ");
    add_name(out, 't', column);
    buf_addf(out, " IN (SELECT o.parent_key::%s FROM ops.owed o WHERE o.source = ",
             column_type_name(column->type));
    db_quote_literal(out, str_from(sql->request->source));
    buf_add_c(out, " AND o.task = ");
    db_quote_literal(out, str_from(sql->task->name));
    buf_addf(out, " AND o.id <= %" PRId64 ")", sql->request->owed_up_to);
}

/* The landed rows a walk vouches for: all of the source that are not gone already, those of the
 * window, or those of the parents that were read again. */
static void add_scope(const struct merge_sql *sql, struct buf *out)
{
    buf_add_c(out, "t.\"source\" = ");
    db_quote_literal(out, str_from(sql->request->source));
    if (sql->task->gone_column != NULL) {
        buf_add_c(out, " AND t.");
        add_gone_column(sql, out);
        buf_add_c(out, " IS NULL");
    }
    if (sql->request->deletes == MERGE_DELETE_OWED) {
        add_owed(sql, out);
    } else if (sql->request->has_window) {
        add_window(sql, out);
    }
}

/* Of several versions of a key the first in this order stays. */
static void add_newest_first(const struct merge_sql *sql, struct buf *out)
{
    int columns[] = {sql->task->version_column, sql->task->revision_column};
    for (size_t i = 0; i < ARRAY_SIZE(columns); i++) {
        if (columns[i] >= 0) {
            add_name(out, 's', &sql->task->columns[columns[i]]);
            buf_add_c(out, " DESC NULLS LAST, ");
        }
    }
    buf_add_c(out, "s.ctid DESC");
}

/* Is the census' version of a row another than the landed one? */
static void add_other_version(const struct merge_sql *sql, struct buf *out)
{
    int columns[] = {sql->task->version_column, sql->task->revision_column};
    /* The census of a derived task has keys only: its versions come from the other task. */
    for (size_t i = 0; i < ARRAY_SIZE(columns) && sql->task->latest_of == NULL; i++) {
        if (columns[i] >= 0) {
            add_name(out, 't', &sql->task->columns[columns[i]]);
            buf_add_c(out, " IS DISTINCT FROM ");
            add_name(out, 'k', &sql->task->columns[columns[i]]);
            buf_add_c(out, " OR ");
        }
    }
    buf_add_c(out, "t.etl_hash IS NULL"); /* edited by hand */
}

/* What a walk that proved complete did not see, rejected records aside. */
static void add_gone(const struct merge_sql *sql, struct buf *out)
{
    add_scope(sql, out);
    buf_addf(out, " AND NOT EXISTS (SELECT FROM %s s WHERE ", sql->request->staging->rows);
    add_equal(sql, 's', 't', out);
    if (sql->request->deletes == MERGE_DELETE_UNLISTED) {
        buf_addf(out, ") AND NOT EXISTS (SELECT FROM %s k WHERE ", sql->request->staging->keys);
        add_equal(sql, 'k', 't', out);
    }
    buf_addf(out, ") AND NOT EXISTS (SELECT FROM %s r WHERE r.record_key = ",
             sql->request->staging->rejects);
    add_key_text(sql, 't', out);
    buf_add_char(out, ')');
}

static void add_either_key(const struct merge_sql *sql, struct buf *out)
{
    for (size_t i = 0; i < sql->task->n_key_columns; i++) {
        buf_add_c(out, i == 0 ? "coalesce(" : ", coalesce(");
        add_name(out, 's', key_column(sql, i));
        buf_add_c(out, ", ");
        add_name(out, 't', key_column(sql, i));
        buf_add_c(out, ") AS ");
        add_name(out, '\0', key_column(sql, i));
    }
}

/* The landed column that names a row's ticket; NULL if there is none or the source does not copy
 * it.
 */
static const struct column *ticket_column(const struct merge_sql *sql)
{
    const struct task_def *task = sql->task;
    for (size_t i = 0; task->ticket_column != NULL && i < task->n_columns; i++) {
        if (strcmp(task->columns[i].name, task->ticket_column) == 0) {
            return &task->columns[i];
        }
    }
    return NULL;
}

/* Follows other columns of delta: ", s.task::text AS etl_ticket", without alias ", etl_ticket". */
static void add_ticket(const struct merge_sql *sql, char alias, struct buf *out)
{
    const struct column *column = ticket_column(sql);
    if (column != NULL && alias != '\0') {
        buf_add_c(out, ", ");
        add_name(out, alias, column);
        buf_add_c(out, "::text AS etl_ticket");
    } else if (column != NULL) {
        buf_add_c(out, ", etl_ticket");
    }
}

/* Of a changed or gone row the old one's. */
static void add_either_ticket(const struct merge_sql *sql, struct buf *out)
{
    const struct column *column = ticket_column(sql);
    if (column != NULL) {
        buf_add_c(out, ", CASE WHEN t.\"source\" IS NULL THEN ");
        add_name(out, 's', column);
        buf_add_c(out, " ELSE ");
        add_name(out, 't', column);
        buf_add_c(out, " END::text AS etl_ticket");
    }
}

static void add_first_key(const struct merge_sql *sql, char alias, struct buf *out)
{
    add_name(out, alias, key_column(sql, 0));
}

static void add_simple(const struct merge_sql *sql, struct str name, struct buf *out)
{
    const struct staging *staging = sql->request->staging;
    if (str_equal_c(name, "table")) {
        landed_table(out, sql->task);
    } else if (str_equal_c(name, "rows")) {
        buf_add_c(out, staging->rows);
    } else if (str_equal_c(name, "census")) {
        buf_add_c(out, staging->keys);
    } else if (str_equal_c(name, "rejects")) {
        buf_add_c(out, staging->rejects);
    } else if (str_equal_c(name, "source")) {
        db_quote_literal(out, str_from(sql->request->source));
    } else if (str_equal_c(name, "task")) {
        db_quote_literal(out, str_from(sql->task->name));
    } else if (str_equal_c(name, "execution")) {
        buf_add_int(out, staging->execution_id);
    } else if (str_equal_c(name, "parent")) {
        landed_table(out, sql->request->parent);
    } else {
        bool is_known_placeholder = false;
        assert(is_known_placeholder);
    }
}

static void add_part(const struct merge_sql *sql, struct str name, struct buf *out)
{
    static const struct {
        const char *name;
        void (*add)(const struct merge_sql *sql, struct buf *out);
    } parts[] = {
        {"assignments", add_assignments},
        {"differs", add_differs},
        {"scope", add_scope},
        {"newest first", add_newest_first},
        {"other version", add_other_version},
        {"gone", add_gone},
        {"either key", add_either_key},
        {"either ticket", add_either_ticket},
        {"gone column", add_gone_column},
        {"version column", add_version_column},
        {"created column", add_created_column},
        {"last seen column", add_last_seen_column},
    };

    static const struct {
        const char *name;
        void (*add)(const struct merge_sql *sql, char alias, struct buf *out);
    } aliased[] = {
        {"key", add_keys},
        {"columns", add_columns},
        {"key text", add_key_text},
        {"first key", add_first_key},
        {"parent key", add_parent_key},
        {"ticket", add_ticket},
    };

    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        if (str_equal_c(name, parts[i].name)) {
            parts[i].add(sql, out);
            return;
        }
    }
    /* "s.key", "s=t", "key" */
    if (name.len == 3 && name.ptr[1] == '=') {
        add_equal(sql, name.ptr[0], name.ptr[2], out);
        return;
    }
    bool has_alias = name.len > 2 && name.ptr[1] == '.';
    struct str bare = has_alias ? (struct str){name.ptr + 2, name.len - 2} : name;
    for (size_t i = 0; i < ARRAY_SIZE(aliased); i++) {
        if (str_equal_c(bare, aliased[i].name)) {
            aliased[i].add(sql, has_alias ? name.ptr[0] : '\0', out);
            return;
        }
    }
    add_simple(sql, name, out);
}

void merge_sql_expand(const struct merge_sql *sql, const char *template, struct buf *out)
{
    buf_reset(out);
    const char *p = template;
    while (*p != '\0') {
        size_t n = strcspn(p, "{");
        buf_add(out, p, n);
        p += n;
        if (*p == '{') {
            size_t len = strcspn(p, "}");
            assert(p[len] == '}');
            add_part(sql, (struct str){p + 1, len - 1}, out);
            p += len + 1;
        }
    }
    assert(!out->overflow);
}
