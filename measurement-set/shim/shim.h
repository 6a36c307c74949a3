// The C surface of the shim: what src/ffi.rs declares once more in Rust.
//
// Every function that can fail returns a kind and, unless it is MS_OK, a text
// from malloc in `*message` (free it with ms_free). No exception leaves the shim.
#pragma once

#include <cstddef>
#include <cstdint>

extern "C" {

enum MsKind : int32_t {
  MS_OK = 0,
  MS_CASACORE = 1,       // casacore threw; the text is its own
  MS_NOT_A_TABLE = 2,
  MS_NOT_A_SET = 3,      // a table, but not a Measurement Set
  MS_NO_COLUMN = 4,      // the text names it and lists the columns there are
  MS_WRONG_TYPE = 5,
  MS_MIXED_SHAPES = 6,   // the rows asked for differ in shape
};

struct MsHandle;

struct MsLayout {
  const char *telescope, *observer, *project, *history;
  double time_start, time_end;  // MJD seconds, UTC
  size_t antenna_count;
  const char *const *antenna_names;
  const char *const *antenna_stations;
  const double *antenna_positions;  // 3 per antenna
  const double *antenna_diameters;
  size_t channel_count;
  const double *channel_frequencies;
  double channel_width;
  size_t correlation_count;
  const int32_t *correlation_codes;
  const int32_t *correlation_receptors;  // 2 per correlation, 0 or 1
  const char *receptors[2];
  const char *field_name;
  double field_ra, field_dec;
};

struct MsRows {
  double time, interval;
  size_t row_count;
  const int32_t *antenna1, *antenna2;
  const double *uvw;     // 3 per row
  const float *data;     // (re, im) x correlation, channel, row
  const bool *flags;
  const float *weights;  // correlation, row
};

const char *ms_casacore_version();
void ms_free(char *text);

int32_t ms_create(const char *path, const MsLayout *layout, MsHandle **out, char **message);
// Makes a set at `path` of a UVFITS file; nothing stays open.
int32_t ms_import_uvfits(const char *uvfits, const char *path, char **message);
int32_t ms_open(const char *path, bool writable, MsHandle **out, char **message);
int32_t ms_flush(MsHandle *set, char **message);
int32_t ms_close(MsHandle *set, char **message);  // frees `set` in any case

// `subtable` "" is MAIN.
int32_t ms_row_count(MsHandle *set, const char *subtable, uint64_t *out, char **message);
int32_t ms_string(MsHandle *set, const char *subtable, const char *column, uint64_t row,
                  char **out, char **message);
int32_t ms_has_column(MsHandle *set, const char *column, bool *out, char **message);
// A numeric cell as doubles: writes at most `capacity` of them, and the true count to `count`.
int32_t ms_numbers(MsHandle *set, const char *subtable, const char *column, uint64_t row,
                   double *out, size_t capacity, size_t *count, char **message);
int32_t ms_phase_centre(MsHandle *set, uint64_t field, double *ra_dec, char **frame,
                        char **message);

// `shape` gets the two sizes of a cell (correlations, channels); [n, 1] for vectors.
int32_t ms_shape(MsHandle *set, const char *column, uint64_t start, uint64_t rows,
                 uint64_t shape[2], char **message);
int32_t ms_read_complex(MsHandle *set, const char *column, uint64_t start, uint64_t rows,
                        const uint64_t shape[2], float *out, char **message);
int32_t ms_read_flags(MsHandle *set, uint64_t start, uint64_t rows, const uint64_t shape[2],
                      bool *out, char **message);
int32_t ms_read_floats(MsHandle *set, const char *column, uint64_t start, uint64_t rows,
                       uint64_t per_row, float *out, char **message);
int32_t ms_read_uvw(MsHandle *set, uint64_t start, uint64_t rows, double *out, char **message);
int32_t ms_read_doubles(MsHandle *set, const char *column, uint64_t start, uint64_t rows,
                        double *out, char **message);
int32_t ms_read_integers(MsHandle *set, const char *column, uint64_t start, uint64_t rows,
                         int32_t *out, char **message);

int32_t ms_append(MsHandle *set, const MsRows *rows, const uint64_t shape[2], char **message);
int32_t ms_add_complex(MsHandle *set, const char *column, char **message);
int32_t ms_write_complex(MsHandle *set, const char *column, uint64_t start, uint64_t rows,
                         const uint64_t shape[2], const float *values, char **message);
int32_t ms_write_flags(MsHandle *set, uint64_t start, uint64_t rows, const uint64_t shape[2],
                       const bool *flags, char **message);

}
