#pragma once

#include "common/conf/config.h"

/* `foz-api key create|list|revoke`: arguments behind the word key. Returns the exit code. */
int key_command(const struct config *config, int argc, char **argv);

extern const char key_command_usage[];
