#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/str.h"

/*
 * The few server-side expressions that filters really hold: javascript:gs.daysAgoStart(30),
 * gs.dateGenerate('2024-01-01','00:00:00') and their like, which mean times in the session user's
 * time zone, and RELATIVEGT@hour@ago@1. Not a script engine.
 */

/* Puts "YYYY-MM-DD HH:MM:SS" (UTC) into out; false: undefined, which matches nothing. */
bool script_evaluate(struct str expression, int64_t now_s, int64_t user_offset_s, char out[48]);

/* "@hour@ago@1" */
bool script_relative(struct str text, int64_t now_s, char out[48]);
