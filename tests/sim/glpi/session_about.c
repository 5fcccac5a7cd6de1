#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/base/instant.h"
#include "tests/sim/glpi/system.h"

/* What a session is asked about itself, and the entities it works on. */

static void write_entity_name(struct call *call, int64_t entity, struct buf *out)
{
    struct buf name CLEANUP(buf_release) = {0};
    struct buf shown CLEANUP(buf_release) = {0};

    buf_init(&name, 65536);
    buf_init(&shown, 65536);
    (void)glpi_name_of(call->glpi, "Entity", entity, &name);
    if (call->look.version11) {
        buf_add_str(&shown, buf_str(&name));
    } else {
        look_encode(&call->look, buf_str(&name), &shown);
    }
    buf_add_json_string(out, buf_str(&shown));
}

static int64_t current_entity(const struct call *call)
{
    return call->session.whole ? call->account.entity : call->session.entity;
}

static void write_visible(struct call *call, const char *format, struct buf *out)
{
    const char *separator = "";

    for (int entity = 0; entity < ENTITIES_MAX; entity++) {
        if ((call->visible[entity / 64] >> (entity % 64) & 1) != 0) {
            buf_add_c(out, separator);
            buf_add_c(out, format);
            buf_addf(out, "%d", entity);
            buf_add_c(out, format[0] == '\0' ? "" : "}");
            separator = ",";
        }
    }
}

static void answer_active_entities(struct call *call, struct buf *out)
{
    bool recursive = call->session.whole ? call->account.recursive : call->session.recursive;

    buf_addf(out,
             "{\"active_entity\":{\"id\":%lld,\"active_entity_recursive\":%d,\"active_entities\":[",
             (long long)current_entity(call), recursive ? 1 : 0);
    write_visible(call, "{\"id\":", out);
    buf_add_c(out, "]}}");
}

/* Those of the profile, whatever is active now: the root of the tree comes last. */
static void answer_my_entities(struct call *call, struct buf *out)
{
    struct call *all CLEANUP(xfreep) = XNEW(struct call);
    bool recursive = glpi_flag(call->request, "is_recursive", false);

    *all = *call;
    all->session.whole = true;
    glpi_rights_read(all);
    buf_add_c(out, "{\"myentities\":[");
    for (int entity = 0; recursive && entity < ENTITIES_MAX; entity++) {
        if (entity != all->account.entity &&
            (all->visible[entity / 64] >> (entity % 64) & 1) != 0) {
            buf_addf(out, "{\"id\":%d,\"name\":", entity);
            write_entity_name(call, entity, out);
            buf_add_c(out, "},");
        }
    }
    buf_addf(out, "{\"id\":%lld,\"name\":", (long long)all->account.entity);
    write_entity_name(call, all->account.entity, out);
    buf_add_c(out, "}]}");
}

static void write_profile(struct call *call, struct buf *out)
{
    buf_addf(out,
             "{\"id\":8,\"name\":\"Read-Only\",\"interface\":\"central\",\"entities\":[{\"id\":%"
             "lld,\"name\":",
             (long long)call->account.entity);
    write_entity_name(call, call->account.entity, out);
    buf_addf(out, ",\"is_recursive\":%d}]}", call->account.recursive ? 1 : 0);
}

void glpi_session_write(struct call *call, struct buf *out)
{
    char instant[INSTANT_TEXT_MAX];

    buf_addf(out, "{\"glpi_plugins\":{},\"glpicookietest\":\"testcookie\",\"valid_id\":\"%s\",",
             call->session.token);
    if (call->look.zone != NULL) {
        buf_add_c(out, "\"glpi_tz\":");
        buf_add_json_string(out, str_from(call->look.zone));
        buf_add_char(out, ',');
    }
    buf_addf(out,
             "\"glpi_currenttime\":\"%s\",\"glpi_use_mode\":0,\"glpiID\":%d,\"glpiname\":\"%s\","
             "\"glpirealname\":\"Sync\",\"glpifirstname\":\"Foz\",\"glpilanguage\":\"en_GB\","
             "\"glpilist_limit\":\"15\",\"glpiactive_entity\":%lld,\"glpiactive_entity_name\":",
             instant_format_plain(look_local_s(&call->look, call->now_s) * US_PER_S, instant),
             SYNC_USER, call->account.login, (long long)current_entity(call));
    write_entity_name(call, current_entity(call), out);
    buf_addf(out, ",\"glpiactive_entity_recursive\":%s,\"glpiactiveentities\":[",
             call->session.recursive || call->session.whole ? "true" : "false");
    write_visible(call, "", out);
    buf_add_c(out, "],\"glpiactiveprofile\":");
    write_profile(call, out);
    buf_add_char(out, '}');
}

static void write_config(struct call *call, struct buf *out)
{
    const char *version = call->look.version11 ? "11.0.2" : "10.0.19";

    buf_addf(
        out,
        "{\"cfg_glpi\":{\"version\":\"%s\",\"dbversion\":\"%s@5a1b2c3d\",\"language\":\"en_GB\","
        "\"list_limit\":\"15\",\"list_limit_max\":\"50\",\"url_base\":\"%s\",\"enable_api\":\"1\","
        "\"enable_api_login_credentials\":\"1\",\"enable_api_login_external_token\":\"1\","
        "\"use_timezones\":\"1\",\"names_format\":\"0\",\"timezone\":null}}",
        version, version, call->origin);
}

/* A boolean, or a parameter's text that says one. */
static bool read_bool(const struct json *value, bool *ret)
{
    const char *text = json_string(value);

    if (value == NULL) {
        return true;
    }
    if (json_kind(value) == JSON_KIND_BOOL) {
        *ret = json_bool(value, false);
        return true;
    }
    *ret = text != NULL && strcmp(text, "true") == 0;
    return text != NULL && (*ret || strcmp(text, "false") == 0);
}

static void free_document(struct json **document)
{
    json_free(*document);
}

void glpi_session_change_entities(struct call *call)
{
    struct error err = ERROR_INIT;
    struct json *document CLEANUP(free_document) =
        call->request->body.len > 0 ? json_parse(call->request->body, &err) : NULL;
    const struct json *entities = json_find(document, "entities_id");
    struct session wanted = call->session;
    int64_t entity = 0;

    if (call->request->body.len > 0 && document == NULL) {
        respond_glpi_refusal(call, "ERROR_JSON_PAYLOAD_INVALID", "JSON payload seems not valid");
        return;
    }
    wanted.recursive = false;
    if (!read_bool(json_find(document, "is_recursive"), &wanted.recursive)) {
        respond_glpi_refusal(call, "ERROR", "Bad Request");
        return;
    }
    wanted.whole = entities == NULL;
    if (entities != NULL && !json_int64(entities, &entity)) { /* intval("all") is 0 */
        struct str digits = str_from(json_string(entities));

        (void)str_to_int64(digits, 0, INT64_MAX, &entity);
    }
    wanted.entity = wanted.whole ? call->account.entity : entity;
    struct call *tried CLEANUP(xfreep) = XNEW(struct call);

    *tried = *call;
    tried->session = wanted;
    glpi_rights_read(tried);
    bool allowed = entity < ENTITIES_MAX && entity >= 0 &&
                   (tried->visible[wanted.entity / 64] >> (wanted.entity % 64) & 1) != 0 &&
                   !glpi_mode(call->glpi, FAULT_change_entities_false, NULL);

    if (allowed) {
        glpi_session_store(call, &wanted);
    }
    buf_add_c(&call->reply->body, allowed ? "true" : "false");
    respond_glpi_json(call, 200);
}

bool glpi_session_about(struct call *call, struct str name, struct buf *out)
{
    if (str_equal_c(name, "getFullSession")) {
        buf_add_c(out, "{\"session\":");
        glpi_session_write(call, out);
        buf_add_char(out, '}');
    } else if (str_equal_c(name, "getGlpiConfig")) {
        write_config(call, out);
    } else if (str_equal_c(name, "getActiveEntities")) {
        answer_active_entities(call, out);
    } else if (str_equal_c(name, "getMyEntities")) {
        answer_my_entities(call, out);
    } else if (str_equal_c(name, "getActiveProfile")) {
        buf_add_c(out, "{\"active_profile\":");
        write_profile(call, out);
        buf_add_char(out, '}');
    } else if (str_equal_c(name, "getMyProfiles")) {
        buf_add_c(out, "{\"myprofiles\":[");
        write_profile(call, out);
        buf_add_c(out, "]}");
    } else {
        return false;
    }
    return true;
}
