#pragma once

#include "common/conf/config.h"

/* Serves until SIGTERM or SIGINT; returns the exit code. */
int serve(const struct config *config);
