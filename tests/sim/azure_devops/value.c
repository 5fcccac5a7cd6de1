#include "tests/sim/azure_devops/value.h"

#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/instant.h"
#include "tests/sim/store.h"

#define NEVER_ENDS_US (INT64_C(253370764800) * US_PER_S) /* 9999-01-01 */

const struct azure_field_info azure_fields[AZURE_N_FIELDS] = {
#define FIELD(symbol, reference, name, type, is_long, is_identity)                                 \
    {reference, name, type, is_long, is_identity},
#include "tests/sim/azure_devops/fields.def"
#undef FIELD
};

int azure_find_field(struct str name)
{
    for (int i = 0; i < AZURE_N_FIELDS; i++) {
        if (str_equal_nocase(name, str_from(azure_fields[i].reference))) {
            return i;
        }
    }
    for (int i = 0; i < AZURE_N_FIELDS; i++) {
        if (str_equal_nocase(name, str_from(azure_fields[i].name))) {
            return i;
        }
    }
    return -1;
}

static char *put_digits(char *at, unsigned number, int n)
{
    for (int i = n - 1; i >= 0; i--) {
        at[i] = (char)('0' + number % 10);
        number /= 10;
    }
    return at + n;
}

void azure_write_time(int64_t us, int digits, struct buf *out)
{
    int64_t seconds = us / US_PER_S - (us % US_PER_S < 0 ? 1 : 0);
    int64_t days = seconds / 86400 - (seconds % 86400 < 0 ? 1 : 0);
    unsigned of_day = (unsigned)(seconds - days * 86400);
    unsigned fraction = (unsigned)(us - seconds * US_PER_S);
    int64_t year;
    unsigned month;
    unsigned day;
    char text[40];
    char *at = text;

    instant_civil_from_days(days, &year, &month, &day);
    at = put_digits(at, (unsigned)year, 4);
    *at++ = '-';
    at = put_digits(at, month, 2);
    *at++ = '-';
    at = put_digits(at, day, 2);
    *at++ = 'T';
    at = put_digits(at, of_day / 3600, 2);
    *at++ = ':';
    at = put_digits(at, of_day / 60 % 60, 2);
    *at++ = ':';
    at = put_digits(at, of_day % 60, 2);
    if (digits > 0 || fraction > 0) {
        *at++ = '.';
        char *first = at;

        at = put_digits(at, fraction, 6);
        *at++ = '7'; /* .NET counts in 100 ns */
        if (digits > 0) {
            at = first + (digits > 7 ? 7 : digits);
        } else {
            at--;
            while (at[-1] == '0') {
                at--;
            }
        }
    }
    *at++ = 'Z';
    buf_add(out, text, (size_t)(at - text));
}

static struct azure_value none(void)
{
    return (struct azure_value){.kind = AZURE_KIND_NONE};
}

static struct azure_value integer(int64_t number)
{
    return (struct azure_value){.kind = AZURE_KIND_INTEGER, .integer = number};
}

static struct azure_value truth(bool yes)
{
    return (struct azure_value){.kind = AZURE_KIND_BOOL, .integer = yes ? 1 : 0};
}

static struct azure_value text(const char *words)
{
    return words == NULL ? none()
                         : (struct azure_value){.kind = AZURE_KIND_TEXT, .text = str_from(words)};
}

static struct azure_value instant(int64_t us)
{
    return us == AZURE_NEVER ? none()
                             : (struct azure_value){.kind = AZURE_KIND_TIME, .integer = us};
}

static struct azure_value person(int index)
{
    return index < 0 ? none() : (struct azure_value){.kind = AZURE_KIND_PERSON, .integer = index};
}

static struct azure_value real(double number)
{
    return (struct azure_value){.kind = AZURE_KIND_DOUBLE, .real = number};
}

static struct azure_value built(const struct buf *scratch)
{
    return (struct azure_value){.kind = AZURE_KIND_TEXT, .text = buf_str(scratch)};
}

static struct azure_value title(const struct azure_revision *r, struct buf *scratch)
{
    static const char *const subjects[] = {"Technician",  "Customer",   "Report \"Sales\"",
                                           "Relatório",   "Backup job", "C:\\Data share",
                                           "Login <SSO>", "印刷"};
    static const char *const events[] = {"cannot sign in",   "is slow",
                                         "shows 50 % only",  "needs a review",
                                         "fails with\ttabs", "wants \xF0\x9F\x9A\x80 mode",
                                         "& friends",        "was moved"};

    if (r->title != NULL) {
        return text(r->title);
    }
    buf_add_c(scratch, subjects[r->hash >> 5 & 7]);
    buf_add_char(scratch, ' ');
    buf_add_c(scratch, events[r->hash >> 8 & 7]);
    buf_add_c(scratch, " #");
    buf_add_int(scratch, r->id);
    if (r->rev >= 4 && (r->hash >> 12 & 3) == 0) {
        buf_add_c(scratch, " (again)");
    }
    return built(scratch);
}

static struct azure_value tags(const struct azure_revision *r, struct buf *scratch)
{
    static const char *const names[] = {"blocked", "Web", "até amanhã", "P1"};
    unsigned set = (unsigned)(r->hash >> 33) & 15U;

    if (r->product != NULL || (set & 8U) == 0) {
        return none();
    }
    set |= r->rev >= 3 ? 1U : 0U;
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        if ((set >> i & 1U) != 0) {
            buf_add_c(scratch, scratch->len > 0 ? "; " : "");
            buf_add_c(scratch, names[i]);
        }
    }
    return built(scratch);
}

static struct azure_value long_text(const struct azure_revision *r, struct buf *scratch)
{
    size_t most = r->hash % 211 == 7 ? 65536 : 0;

    buf_addf(scratch,
             "<div>Steps &amp; <b>notes</b> of %lld, revision %d.<br>\n<a "
             "href=\"https://example.invalid/?a=1&amp;b=2\">see</a></div>",
             (long long)r->id, r->rev);
    while (scratch->len < most) {
        buf_add_c(scratch, "<p>Lorem ipsum dolor sit amet, consectetur adipiscing elit.</p>\n");
    }
    return built(scratch);
}

static struct azure_value path(const struct azure_items *items, int node, struct buf *scratch)
{
    azure_node_path(items->world, node, false, scratch);
    return built(scratch);
}

/* Work in hours, sometimes with a fraction. */
static struct azure_value hours(const struct azure_revision *r, unsigned shift)
{
    uint64_t h = store_mix(r->hash, shift + (uint64_t)(r->rev / 2));

    return r->product != NULL || strcmp(r->type, "Task") != 0 || h % 4 == 0
               ? none()
               : real((double)(h >> 8 & 63) / 4.0);
}

static struct azure_value due(const struct azure_revision *r)
{
    return r->product != NULL || r->hash % 3 != 0
               ? none()
               : instant((r->created_us / US_PER_S / 86400 + 5 + (int64_t)(r->hash >> 9 & 31)) *
                         86400 * US_PER_S);
}

/* Fields that only generated items have. */
static struct azure_value made_up(const struct azure_revision *r, int field)
{
    static const char *const severities[] = {"1 - Critical", "2 - High", "3 - Medium", "4 - Low"};
    static const char *const activities[] = {"Development", "Testing", "Deployment", "Design"};
    static const char *const teams[] = {"Red", "Blue", "Équipe Verte", "Ops; Night"};
    uint64_t h = r->hash;

    if (r->product != NULL) {
        return none();
    }
    switch (field) {
    case AZURE_SEVERITY:
        return strcmp(r->type, "Bug") == 0 ? text(severities[h >> 14 & 3]) : none();
    case AZURE_VALUE_AREA:
        return text((h >> 15 & 1) != 0 ? "Business" : "Architectural");
    case AZURE_ACTIVITY:
        return strcmp(r->type, "Task") == 0 ? text(activities[h >> 16 & 3]) : none();
    case AZURE_STACK_RANK:
        return real(1000000000.0 + (double)(h >> 17 & 0xfffff));
    case AZURE_STORY_POINTS:
        return strcmp(r->type, "User Story") == 0 ? real((double)(h >> 18 & 7)) : none();
    case AZURE_TEAM_NAME:
        return (h >> 19 & 3) != 0 ? text(teams[((h >> 21) + (r->rev > 2 ? 1 : 0)) & 3]) : none();
    case AZURE_CUSTOM_PRIORITY:
        return (h >> 23 & 7) == 1 ? text("Gold") : none();
    case AZURE_CUSTOM_GUID:
        return (h >> 26 & 7) == 1 ? text("CC-4711") : none();
    case AZURE_TARGET_DATE:
        return (h >> 29 & 7) == 1 ? instant(r->created_us + INT64_C(30) * 86400 * US_PER_S)
                                  : none();
    default:
        return none();
    }
}

static struct azure_value dates(const struct azure_revision *r, int field)
{
    switch (field) {
    case AZURE_REVISED_DATE:
        return instant(r->revised_us == AZURE_NEVER ? NEVER_ENDS_US : r->revised_us);
    case AZURE_STATE_CHANGE_DATE:
        return instant(r->state_changed_us);
    case AZURE_ACTIVATED_DATE:
        return instant(r->activated_us);
    case AZURE_RESOLVED_DATE:
        return instant(r->resolved_us);
    case AZURE_CLOSED_DATE:
        return instant(r->closed_us);
    case AZURE_ACTIVATED_BY:
        return person(r->activated_us == AZURE_NEVER ? -1 : r->created_by);
    case AZURE_RESOLVED_BY:
        return person(r->resolved_us == AZURE_NEVER ? -1 : r->changed_by);
    case AZURE_CLOSED_BY:
        return person(r->closed_us == AZURE_NEVER ? -1 : r->changed_by);
    default:
        return none();
    }
}

static struct azure_value system_value(const struct azure_items *items,
                                       const struct azure_revision *r,
                                       int field,
                                       struct buf *scratch)
{
    switch (field) {
    case AZURE_ID:
        return integer(r->id);
    case AZURE_REV:
        return integer(r->rev);
    case AZURE_AREA_ID:
        return integer(items->world->nodes[r->area].id);
    case AZURE_ITERATION_ID:
        return integer(items->world->nodes[r->iteration].id);
    case AZURE_AREA_PATH:
        return path(items, r->area, scratch);
    case AZURE_ITERATION_PATH:
        return path(items, r->iteration, scratch);
    case AZURE_TEAM_PROJECT:
        return text(items->world->projects[r->project].name);
    case AZURE_WORK_ITEM_TYPE:
        return text(r->type);
    case AZURE_STATE:
        return text(r->state);
    case AZURE_REASON:
        return text(r->reason);
    case AZURE_ASSIGNED_TO:
        return person(r->assigned);
    case AZURE_CREATED_DATE:
        return instant(r->created_us);
    case AZURE_CREATED_BY:
        return person(r->created_by);
    case AZURE_CHANGED_DATE:
    case AZURE_AUTHORIZED_DATE:
        return instant(r->changed_us);
    case AZURE_CHANGED_BY:
        return person(r->changed_by);
    case AZURE_WATERMARK:
        return integer(r->watermark);
    case AZURE_IS_DELETED:
        return truth(r->deleted);
    case AZURE_COMMENT_COUNT:
        return integer(r->rev / 3);
    case AZURE_TITLE:
        return title(r, scratch);
    case AZURE_BOARD_COLUMN:
    case AZURE_KANBAN_COLUMN:
        return r->product != NULL ? none() : text(r->state);
    case AZURE_BOARD_COLUMN_DONE:
        return r->product != NULL || (r->hash & 7) != 3 ? none() : truth(false);
    case AZURE_PARENT:
        return r->parent == 0 ? none() : integer(r->parent);
    case AZURE_TAGS:
        return tags(r, scratch);
    case AZURE_PRIORITY:
        return r->priority == 0 ? none() : integer(r->priority);
    default:
        return none();
    }
}

struct azure_value azure_get_value(const struct azure_items *items,
                                   const struct azure_revision *r,
                                   int field,
                                   struct buf *scratch)
{
    for (const struct azure_set *set = r->sets; set != NULL; set = set->before) {
        if (set->field == field) {
            return set->json == NULL
                       ? none()
                       : (struct azure_value){.kind = AZURE_KIND_JSON, .text = str_from(set->json)};
        }
    }
    switch (field) {
    case AZURE_ORIGINAL_ESTIMATE:
        return hours(r, 100);
    case AZURE_REMAINING_WORK:
        return hours(r, 200);
    case AZURE_COMPLETED_WORK:
        return hours(r, 300);
    case AZURE_DUE_DATE:
        return due(r);
    case AZURE_PRODUCT:
        return text(r->product);
    case AZURE_OWNER_COUNTRY:
        return text(r->country);
    case AZURE_DESCRIPTION:
        return r->product != NULL ? none() : long_text(r, scratch);
    case AZURE_HISTORY:
        return r->product == NULL && r->rev % 3 == 0 ? text("<div>Please look at <i>this</i></div>")
                                                     : none();
    case AZURE_REPRO_STEPS:
        return r->product == NULL && strcmp(r->type, "Bug") == 0 ? long_text(r, scratch) : none();
    default:
        break;
    }
    struct azure_value value = system_value(items, r, field, scratch);

    value = value.kind == AZURE_KIND_NONE ? dates(r, field) : value;
    return value.kind == AZURE_KIND_NONE ? made_up(r, field) : value;
}

static void write_tags(const struct azure_items *items, struct str tags, struct buf *out)
{
    bool first = true;

    buf_add_char(out, '[');
    while (tags.ptr != NULL) {
        struct str tag = str_trim(str_cut(&tags, ';'));
        char guid[AZURE_GUID];

        azure_guid(items->seed, "tag", tag.len * 7 + (uint64_t)(unsigned char)tag.ptr[0], guid);
        buf_addf(out, "%s{\"id\":\"%s\",\"name\":", first ? "" : ",", guid);
        buf_add_json_string(out, tag);
        buf_addf(out, ",\"url\":\"%s/_apis/wit/tags/%s\"}", items->world->origin, guid);
        first = false;
    }
    buf_add_char(out, ']');
}

void azure_write_value(const struct azure_items *items,
                       const struct azure_value *value,
                       const struct azure_style *style,
                       struct buf *out)
{
    const struct azure_person *p;

    switch (value->kind) {
    case AZURE_KIND_NONE:
        buf_add_c(out, "null");
        break;
    case AZURE_KIND_INTEGER:
        buf_add_int(out, value->integer);
        break;
    case AZURE_KIND_DOUBLE:
        /* Whole numbers come without a point. */
        if (value->real == (double)(int64_t)value->real) {
            buf_add_int(out, (int64_t)value->real);
        } else {
            buf_addf(out, "%.10g", value->real);
        }
        break;
    case AZURE_KIND_BOOL:
        buf_add_c(out, value->integer != 0 ? "true" : "false");
        break;
    case AZURE_KIND_TEXT:
        if (style->tag_refs) {
            write_tags(items, value->text, out);
        } else {
            buf_add_json_string(out, value->text);
        }
        break;
    case AZURE_KIND_TIME:
        buf_add_char(out, '"');
        azure_write_time(value->integer, value->integer == NEVER_ENDS_US ? 0 : style->date_digits,
                         out);
        buf_add_char(out, '"');
        break;
    case AZURE_KIND_PERSON:
        p = &items->world->people[value->integer];
        buf_add_str(out, style->identities == AZURE_IDENTITY_TEXT  ? p->text
                         : style->identities == AZURE_IDENTITY_OLD ? p->old_ref
                                                                   : p->ref);
        break;
    case AZURE_KIND_JSON:
        buf_add_str(out, value->text);
        break;
    }
}
