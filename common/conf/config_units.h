#pragma once

/*
 * What the option tables are written with: durations in microseconds, sizes in bytes.
 */

#define MS  INT64_C(1000)
#define SEC (1000 * MS)
#define MIN (60 * SEC)
#define HR  (60 * MIN)
#define DAY (24 * HR)
#define KIB INT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

#define TABLE(list) .options = (list), .n_options = ARRAY_SIZE(list)
