// Columns into cells and back, as wit/types.wit has them, for a C guest. What lies in a call's arena lives until its end.
#pragma once

#include "processor.h"

typedef struct { const uint8_t *ptr; size_t len; bool present; } cell_t;
typedef struct { cell_t name, value; } header_t;

/// One output. What is not set is inherited from its row.
typedef struct {
  uint32_t row, port;
  cell_t value, key;
  int64_t timestamp;
  const header_t *headers;
  size_t headers_len;
  bool sets_key, sets_timestamp, sets_headers;
} output_t;

/// A call: its rows, and what came of them so far.
typedef struct {
  const weir_plugin_types_batch_t *batch;
  weir_plugin_types_headers_t headers;
  bool headers_fetched, stopped;
  uint32_t row;
  output_t *outputs;
  size_t outputs_len, outputs_cap, outputs_before_row;
  weir_plugin_types_reject_t *rejects;
  size_t rejects_len;
  struct chunk *arena;
} call_t;

extern const cell_t NULL_CELL;

void *call_alloc(call_t *call, size_t bytes);
cell_t call_format(call_t *call, const char *format, ...) __attribute__((format(printf, 2, 3)));

cell_t text(const char *text);
cell_t column_get(const weir_plugin_types_column_t *column, size_t index);
uint32_t u32_at(const uint8_t *cells, size_t index);
int64_t s64_at(const uint8_t *cells, size_t index);
size_t row_headers(call_t *call, uint32_t row, const header_t **headers);

/// A new output of the row in progress with this value; the result is valid until the next one.
output_t *emit(call_t *call, cell_t value);
void refuse(call_t *call, cell_t code, cell_t message);
void finish(call_t *call, weir_plugin_types_output_t *ret);
