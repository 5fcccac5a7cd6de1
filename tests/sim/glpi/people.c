#include <stdio.h>

#include "tests/sim/glpi/world.h"

/* Names that the directory shows and the history of tickets repeats. */

static const char *const realnames[] = {
    "Souza",         "D'Ávila Nunes", "Lima",      "Alves", "Pereira",  "O'Neill", "Müller",
    "Costa & Silva", "Araújo",        "Gonçalves", "Şahin", "Ferreira", "Barbosa"};
static const char *const firstnames[] = {"Ana",   "João",  "Maria Clara", "Pedro", "Zoë",  "José",
                                         "Luíza", "Tiago", "Inês",        "Caio",  "Renée"};
static const char *const places[] = {"Matriz",      "Filial Norte & Sul", "Depósito",
                                     "Fábrica <2>", "Escritório",         "Laboratório"};

struct str person_realname(int user)
{
    return str_from(realnames[(size_t)user % ARRAY_SIZE(realnames)]);
}

struct str person_firstname(int user)
{
    return str_from(firstnames[(size_t)user % ARRAY_SIZE(firstnames)]);
}

struct str person_name(int user, char out[CELL_TEXT_MAX])
{
    int length = snprintf(out, CELL_TEXT_MAX, "%.*s %.*s", STR_ARG(person_realname(user)),
                          STR_ARG(person_firstname(user)));

    return (struct str){out, (size_t)length};
}

struct str entity_name(int entity)
{
    return str_from(places[(size_t)entity % ARRAY_SIZE(places)]);
}
