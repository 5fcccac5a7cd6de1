#pragma once

struct call;

/* GET /docs and its parts: a page that shows the OpenAPI document of this service. */
void docs_answer(struct call *call);
