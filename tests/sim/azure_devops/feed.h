#pragma once

#include "common/io/json.h"
#include "tests/sim/azure_devops/item_json.h"

/* What the two reporting feeds share. */

int64_t azure_page_rows(struct azure_call *call, int64_t asked); /* asked 0: not said */
/* startDateTime, AZURE_NEVER without. False: answered with 400: no date, or beside a token. */
bool azure_read_start(struct azure_call *call, struct str token, int64_t *ret_us);
/* Nobody has written down in which words a token that is too old is refused. */
void azure_refuse_token(struct azure_call *call, struct str token);
/* `],"nextLink":...,"isLastBatch":...}` and the status. */
void azure_write_batch_end(struct azure_call *call,
                           const char *resource,
                           const char *token,
                           bool last);
void azure_answer_links(struct azure_call *call); /* feed_links.c */
/* The account does not see this item: by fault, or because its project was deleted. */
bool azure_hidden(const struct azure_call *call, int64_t id);

/* workitems.c */
void azure_no_such_item(struct azure_call *call, int64_t id); /* 404 TF401232 */
/* The item as readers of the work item APIs see it; false: they do not. */
bool azure_find_item(struct azure_call *call,
                     int64_t id,
                     int64_t as_of_us,
                     struct azure_revision *ret);
