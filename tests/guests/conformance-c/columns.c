#include "columns.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const cell_t NULL_CELL = {NULL, 0, false};

struct chunk { struct chunk *next; };

void *call_alloc(call_t *call, size_t bytes) {
  struct chunk *chunk = malloc(sizeof *chunk + bytes);
  if (!chunk) abort();
  chunk->next = call->arena;
  call->arena = chunk;
  return chunk + 1;
}

cell_t call_format(call_t *call, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  int len = vsnprintf(NULL, 0, format, arguments);
  va_end(arguments);
  char *into = call_alloc(call, len + 1);
  va_start(arguments, format);
  vsnprintf(into, len + 1, format, arguments);
  va_end(arguments);
  return (cell_t){(uint8_t *)into, len, true};
}

cell_t text(const char *text) { return (cell_t){(const uint8_t *)text, strlen(text), true}; }

uint32_t u32_at(const uint8_t *cells, size_t index) {
  uint32_t number;
  memcpy(&number, cells + index * 4, 4);
  return number;
}

int64_t s64_at(const uint8_t *cells, size_t index) {
  int64_t number;
  memcpy(&number, cells + index * 8, 8);
  return number;
}

cell_t column_get(const weir_plugin_types_column_t *column, size_t index) {
  if (column->validity.is_some && !(column->validity.val.ptr[index / 8] >> (index % 8) & 1)) return NULL_CELL;
  uint32_t start = index ? u32_at(column->ends.ptr, index - 1) : 0;
  return (cell_t){column->data.ptr + start, u32_at(column->ends.ptr, index) - start, true};
}

size_t row_headers(call_t *call, uint32_t row, const header_t **headers) {
  if (!call->headers_fetched) {
    weir_plugin_context_row_headers(&call->headers);
    call->headers_fetched = true;
  }
  uint32_t start = row ? u32_at(call->headers.row_ends.ptr, row - 1) : 0;
  size_t len = u32_at(call->headers.row_ends.ptr, row) - start;
  header_t *found = call_alloc(call, (len + 1) * sizeof *found);
  for (size_t i = 0; i < len; i++)
    found[i] = (header_t){column_get(&call->headers.names, start + i), column_get(&call->headers.values, start + i)};
  *headers = found;
  return len;
}

output_t *emit(call_t *call, cell_t value) {
  if (call->outputs_len == call->outputs_cap) {
    call->outputs_cap = call->outputs_cap ? call->outputs_cap * 2 : 64;
    call->outputs = realloc(call->outputs, call->outputs_cap * sizeof *call->outputs);
    if (!call->outputs) abort();
  }
  output_t *output = &call->outputs[call->outputs_len++];
  *output = (output_t){.row = call->row, .value = value};
  return output;
}

void refuse(call_t *call, cell_t code, cell_t message) {
  call->outputs_len = call->outputs_before_row;
  call->rejects = realloc(call->rejects, (call->rejects_len + 1) * sizeof *call->rejects);
  if (!call->rejects) abort();
  weir_plugin_types_reject_t *reject = &call->rejects[call->rejects_len++];
  reject->row = call->row;
  processor_string_dup_n(&reject->code, (const char *)code.ptr, code.len);
  processor_string_dup_n(&reject->message, (const char *)message.ptr, message.len);
}

/// A list that grows; its memory becomes the result's.
typedef struct { uint8_t *ptr; size_t len, cap; } bytes_t;

static void append(bytes_t *to, const void *from, size_t len) {
  if (to->len + len > to->cap) {
    to->cap = to->cap * 2 > to->len + len ? to->cap * 2 : to->len + len;
    to->ptr = realloc(to->ptr, to->cap);
    if (!to->ptr) abort();
  }
  if (len) memcpy(to->ptr + to->len, from, len);
  to->len += len;
}

typedef struct { bytes_t data, ends, bits; bool has_null; } builder_t;

static void push(builder_t *to, cell_t cell) {
  size_t index = to->ends.len / 4;
  if (index % 8 == 0) append(&to->bits, &(uint8_t){0}, 1);
  to->bits.ptr[index / 8] |= cell.present << (index % 8);
  to->has_null |= !cell.present;
  append(&to->data, cell.ptr, cell.len);
  append(&to->ends, &(uint32_t){to->data.len}, 4);
}

static weir_plugin_types_column_t column(builder_t *from) {
  if (!from->has_null) free(from->bits.ptr);
  return (weir_plugin_types_column_t){
      .data = {from->data.ptr, from->data.len},
      .ends = {from->ends.ptr, from->ends.len},
      .validity = {.is_some = from->has_null, .val = {from->bits.ptr, from->bits.len}},
  };
}

static void finish_headers(call_t *call, weir_plugin_types_headers_t *ret) {
  builder_t names = {0}, values = {0};
  bytes_t ends = {0};
  for (size_t i = 0; i < call->outputs_len; i++) {
    output_t *output = &call->outputs[i];
    if (!output->sets_headers) output->headers_len = row_headers(call, output->row, &output->headers);
    for (size_t j = 0; j < output->headers_len; j++) {
      push(&names, output->headers[j].name);
      push(&values, output->headers[j].value);
    }
    append(&ends, &(uint32_t){names.ends.len / 4}, 4);
  }
  *ret = (weir_plugin_types_headers_t){{ends.ptr, ends.len}, column(&names), column(&values)};
}

void finish(call_t *call, weir_plugin_types_output_t *ret) {
  builder_t values = {0}, keys = {0};
  bytes_t rows = {0}, ports = {0}, timestamps = {0};
  bool any_port = false, any_key = false, any_timestamp = false, any_headers = false;
  for (size_t i = 0; i < call->outputs_len; i++) {
    const output_t *output = &call->outputs[i];
    any_port |= output->port != 0;
    any_key |= output->sets_key;
    any_timestamp |= output->sets_timestamp;
    any_headers |= output->sets_headers;
  }
  for (size_t i = 0; i < call->outputs_len; i++) {
    const output_t *output = &call->outputs[i];
    append(&rows, &output->row, 4);
    push(&values, output->value);
    if (any_port) append(&ports, &output->port, 4);
    if (any_key) push(&keys, output->sets_key ? output->key : column_get(&call->batch->keys.val, output->row));
    if (!any_timestamp) continue;
    int64_t inherited = s64_at(call->batch->timestamps.val.ptr, output->row);
    append(&timestamps, output->sets_timestamp ? &output->timestamp : &inherited, 8);
  }
  memset(ret, 0, sizeof *ret);
  ret->rows = (weir_plugin_types_u32s_t){rows.ptr, rows.len};
  ret->values = (weir_plugin_types_option_column_t){true, column(&values)};
  if (any_port) ret->ports = (weir_plugin_types_option_u32s_t){true, {ports.ptr, ports.len}};
  if (any_key) ret->keys = (weir_plugin_types_option_column_t){true, column(&keys)};
  if (any_timestamp) ret->timestamps = (weir_plugin_types_option_s64s_t){true, {timestamps.ptr, timestamps.len}};
  ret->headers.is_some = any_headers;
  if (any_headers) finish_headers(call, &ret->headers.val);
  ret->rejects = (weir_plugin_types_list_reject_t){call->rejects, call->rejects_len};
  ret->taken = (processor_option_u32_t){call->stopped, call->row + 1};

  if (call->headers_fetched) weir_plugin_types_headers_free(&call->headers);
  free(call->outputs);
  while (call->arena) {
    struct chunk *chunk = call->arena;
    call->arena = chunk->next;
    free(chunk);
  }
}
