#pragma once

#include <stdbool.h>

/*
 * What a command prints on stdout has to arrive: a full disk behind a redirection must not look
 * like success.
 */

/* Writes out what is buffered. false, and says so on stderr, if anything did not get through; a
 * reader who closed the pipe had enough, which is no fault. */
bool output_flush(const char *program);

/* The exit code of a program that has ended with `code`: 1 where that was 0 and stdout failed. */
int output_exit_code(const char *program, int code);
