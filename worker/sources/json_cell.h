#pragma once

#include "common/base/error.h"
#include "common/io/json_pull.h"
#include "worker/transform/cell.h"

/* The value behind a name as a cell: scalars as they are, an object or array as its text. Views
 * into the page. False with err set by the tokenizer for a broken page; false without for what is
 * no value. */
bool json_cell_read(struct json_pull *pull, struct cell *ret_cell, struct error *err);
