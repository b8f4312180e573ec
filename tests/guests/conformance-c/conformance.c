// Does what each record's value commands; tests/conformance/cases.json says what must come of it. The same in Rust and Python.
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "stores.h"

static const char *PORTS[] = {"out", "other", "third"};
enum { PORTS_LEN = sizeof PORTS / sizeof *PORTS };

struct exports_weir_plugin_processing_processor_t { stores_t stores; };

static processor_string_t str(const char *literal) {
  processor_string_t string;
  processor_string_set(&string, literal);
  return string;
}

/// A cell as a string for an import, which only reads it.
static processor_string_t lend(cell_t cell) { return (processor_string_t){(uint8_t *)cell.ptr, cell.len}; }

void exports_weir_plugin_description_describe(void) {
  processor_string_t name = str("conformance-c"), version = str("0.1.0"), sdk = str("wit-bindgen-c"), any = str("");
  weir_plugin_manifest_about(&name, &version, &sdk);
  for (size_t i = 0; i < PORTS_LEN; i++) {
    processor_string_t port = str(PORTS[i]);
    weir_plugin_manifest_port(&port, &any, &any);
  }
  stores_declare();
}

bool exports_weir_plugin_processing_create(processor_string_t *config,
                                           exports_weir_plugin_processing_own_processor_t *ret,
                                           exports_weir_plugin_processing_list_problem_t *err) {
  (void)err;
  processor_string_free(config);
  exports_weir_plugin_processing_processor_t *processor = calloc(1, sizeof *processor);
  if (!processor) abort();
  stores_open(&processor->stores);
  *ret = exports_weir_plugin_processing_processor_new(processor);
  return true;
}

void exports_weir_plugin_processing_processor_destructor(exports_weir_plugin_processing_processor_t *processor) {
  weir_plugin_state_key_value_store_drop_own(processor->stores.kv);
  weir_plugin_state_window_store_drop_own(processor->stores.win);
  weir_plugin_state_session_store_drop_own(processor->stores.ses);
  free(processor);
}

bool is(cell_t cell, const char *word) { return cell.len == strlen(word) && !memcmp(cell.ptr, word, cell.len); }

cell_t word(cell_t from, cell_t *rest) {
  const uint8_t *blank = from.len ? memchr(from.ptr, ' ', from.len) : NULL;
  size_t len = blank ? (size_t)(blank - from.ptr) : from.len, skipped = blank ? len + 1 : len;
  *rest = (cell_t){from.ptr + skipped, from.len - skipped, true};
  return (cell_t){from.ptr, len, true};
}

int64_t number(call_t *call, cell_t cell) {
  return strtoll((const char *)call_format(call, "%.*s", (int)cell.len, (const char *)cell.ptr).ptr, NULL, 10);
}

/// What an import returned as a cell: copied, then freed.
static cell_t taken(call_t *call, processor_string_t *string) {
  cell_t cell = call_format(call, "%.*s", (int)string->len, (const char *)string->ptr);
  processor_string_free(string);
  return cell;
}

static _Noreturn void trap(uint32_t row, const char *why) {
  processor_string_t message = str(why), trace = str("conformance.c");
  weir_plugin_logging_fault(&row, &message, &trace);
  abort();
}

static cell_t source(call_t *call) {
  weir_plugin_context_sources_t sources;
  weir_plugin_context_row_sources(&sources);
  processor_string_t *topic = &sources.topics.ptr[u32_at(sources.topic.ptr, call->row)];
  cell_t cell = call_format(call, "%.*s/%" PRIu32 "@%" PRId64, (int)topic->len, (const char *)topic->ptr,
                            u32_at(sources.partitions.ptr, call->row), s64_at(sources.offsets.ptr, call->row));
  weir_plugin_context_sources_free(&sources);
  return cell;
}

static cell_t stream_time(call_t *call) {
  weir_plugin_context_s64s_t times;
  weir_plugin_context_stream_times(&times);
  cell_t cell = call_format(call, "%" PRId64, s64_at(times.ptr, call->row));
  weir_plugin_context_s64s_free(&times);
  return cell;
}

static cell_t random_hex(call_t *call, uint32_t size) {
  processor_list_u8_t bytes;
  weir_plugin_context_random(call->row, size, &bytes);
  char *hex = call_alloc(call, bytes.len * 2);
  for (size_t i = 0; i < bytes.len; i++) {
    hex[i * 2] = "0123456789abcdef"[bytes.ptr[i] >> 4];
    hex[i * 2 + 1] = "0123456789abcdef"[bytes.ptr[i] & 15];
  }
  cell_t cell = {(uint8_t *)hex, bytes.len * 2, true};
  processor_list_u8_free(&bytes);
  return cell;
}

static cell_t where(call_t *call) {
  processor_string_t application, node;
  weir_plugin_context_application(&application);
  weir_plugin_context_node(&node);
  cell_t app = taken(call, &application), at = taken(call, &node);
  return call_format(call, "%s/%s/%" PRIu32, (const char *)app.ptr, (const char *)at.ptr, weir_plugin_context_partition());
}

static cell_t configured(call_t *call, cell_t pointer) {
  processor_string_t lent = lend(pointer), found;
  return weir_plugin_config_get(&lent, &found) ? taken(call, &found) : text("<none>");
}

/// What the host is asked for, or told. False: it is neither.
static bool asked(call_t *call, cell_t command, cell_t rest, cell_t *answer) {
  cell_t amount, first = word(rest, &amount);
  processor_string_t name = lend(first), line = lend(rest);
  if (is(command, "source")) *answer = source(call);
  else if (is(command, "stream-time")) *answer = stream_time(call);
  else if (is(command, "random")) *answer = random_hex(call, number(call, rest));
  else if (is(command, "where")) *answer = where(call);
  else if (is(command, "config")) *answer = configured(call, rest);
  else if (is(command, "count")) weir_plugin_metrics_count(&name, number(call, amount)), *answer = text("counted");
  else if (is(command, "gauge")) weir_plugin_metrics_gauge(&name, number(call, amount)), *answer = text("gauged");
  else if (is(command, "observe")) weir_plugin_metrics_observe(&name, number(call, amount)), *answer = text("observed");
  else if (is(command, "log")) weir_plugin_logging_log(WEIR_PLUGIN_LOGGING_LEVEL_INFO, &call->row, &line), *answer = text("logged");
  else return false;
  return true;
}

static cell_t upper(call_t *call, cell_t from) {
  uint8_t *into = call_alloc(call, from.len);
  for (size_t i = 0; i < from.len; i++) into[i] = from.ptr[i] >= 'a' && from.ptr[i] <= 'z' ? from.ptr[i] - 32 : from.ptr[i];
  return (cell_t){into, from.len, true};
}

static cell_t listed_headers(call_t *call) {
  const header_t *headers;
  size_t len = row_headers(call, call->row, &headers);
  cell_t list = text("");
  for (size_t i = 0; i < len; i++) {
    cell_t name = headers[i].name, value = headers[i].value.present ? headers[i].value : text("<null>");
    list = call_format(call, "%.*s%.*s=%.*s;", (int)list.len, (const char *)list.ptr, (int)name.len, (const char *)name.ptr,
                       (int)value.len, (const char *)value.ptr);
  }
  return list;
}

/// An output with the row's headers, if `inherited`, and one more, if it has a name.
static void emit_with_headers(call_t *call, cell_t value, bool inherited, cell_t name, cell_t header) {
  const header_t *own = NULL;
  size_t len = inherited ? row_headers(call, call->row, &own) : 0;
  header_t *headers = call_alloc(call, (len + 1) * sizeof *headers);
  if (len) memcpy(headers, own, len * sizeof *headers);
  if (name.len) headers[len++] = (header_t){name, header};
  output_t *output = emit(call, value);
  output->sets_headers = true, output->headers = headers, output->headers_len = len;
}

static void emit_to_port(call_t *call, cell_t value, cell_t port) {
  for (uint32_t i = 0; i < PORTS_LEN; i++)
    if (is(port, PORTS[i])) {
      emit(call, value)->port = i;
      return;
    }
  trap(call->row, "no such port");
}

static void emit_with_key(call_t *call, cell_t value, cell_t key) {
  output_t *output = emit(call, value);
  output->sets_key = true, output->key = key;
}

static void emit_with_timestamp(call_t *call, cell_t value, int64_t timestamp) {
  output_t *output = emit(call, value);
  output->sets_timestamp = true, output->timestamp = timestamp;
}

static void run(call_t *call, const stores_t *stores, cell_t value) {
  if (!value.present) {
    emit(call, NULL_CELL);
    return;
  }
  cell_t rest, second, command = word(value, &rest), first = word(rest, &second), answer = value;
  cell_t key = column_get(&call->batch->keys.val, call->row);
  int64_t timestamp = s64_at(call->batch->timestamps.val.ptr, call->row);
  if (is(command, "echo")) emit(call, rest);
  else if (is(command, "upper")) emit(call, upper(call, rest));
  else if (is(command, "null")) emit(call, NULL_CELL);
  else if (is(command, "drop")) return;
  else if (is(command, "many"))
    for (int64_t i = 0, n = number(call, first); i < n; i++)
      emit(call, call_format(call, "%.*s%" PRId64, (int)second.len, (const char *)second.ptr, i));
  else if (is(command, "show-key")) emit(call, key.present ? key : text("<null>"));
  else if (is(command, "key")) emit_with_key(call, command, rest);
  else if (is(command, "null-key")) emit_with_key(call, command, NULL_CELL);
  else if (is(command, "show-time")) emit(call, call_format(call, "%" PRId64, timestamp));
  else if (is(command, "time")) emit_with_timestamp(call, command, number(call, first));
  else if (is(command, "show-headers")) emit(call, listed_headers(call));
  else if (is(command, "header")) emit_with_headers(call, command, true, first, second);
  else if (is(command, "only-header")) emit_with_headers(call, command, false, first, second);
  else if (is(command, "no-headers")) emit_with_headers(call, command, false, NULL_CELL, NULL_CELL);
  else if (is(command, "null-header")) emit_with_headers(call, command, true, first, NULL_CELL);
  else if (is(command, "port")) emit_to_port(call, command, first);
  else if (is(command, "reject")) refuse(call, first, second);
  else if (is(command, "emit-and-reject")) emit(call, command), refuse(call, text("case.late"), text("after an output"));
  else if (is(command, "trap")) trap(call->row, "commanded to trap");
  else if (is(command, "stop")) call->stopped = true, emit(call, rest);
  else if (is(command, "then-reject")) {
    stores_run(call, stores, first, second, &answer);
    refuse(call, text("case.late"), text("after a write"));
  } else {
    if (!stores_run(call, stores, command, rest, &answer)) {
      answer = value;
      asked(call, command, rest, &answer);
    }
    emit(call, answer);
  }
}

void exports_weir_plugin_processing_method_processor_process(exports_weir_plugin_processing_borrow_processor_t self,
                                                             exports_weir_plugin_processing_batch_t *batch,
                                                             exports_weir_plugin_processing_output_t *ret) {
  call_t call = {.batch = batch};
  for (; call.row < batch->count; call.row++) {
    call.outputs_before_row = call.outputs_len;
    size_t rejects_before = call.rejects_len;
    uint32_t mark = weir_plugin_state_mark();
    run(&call, &self->stores, column_get(&batch->values.val, call.row));
    if (call.rejects_len > rejects_before) weir_plugin_state_undo(mark);
    if (call.stopped) break;
  }
  finish(&call, ret);
  exports_weir_plugin_processing_batch_free(batch);
}

void exports_weir_plugin_timing_on_timers(exports_weir_plugin_timing_borrow_processor_t instance,
                                          exports_weir_plugin_timing_column_t *names, int64_t at,
                                          exports_weir_plugin_timing_output_t *ret) {
  (void)at;  // each output inherits it
  weir_plugin_types_batch_t batch = {.count = names->ends.len / 4, .keys = {true, *names}};
  call_t call = {.batch = &batch};
  for (; call.row < batch.count; call.row++) {
    cell_t name = column_get(names, call.row);
    stores_put_fired(&instance->stores, name);
    emit(&call, call_format(&call, "fired %.*s", (int)name.len, (const char *)name.ptr))->port = 1;
  }
  finish(&call, ret);
  exports_weir_plugin_timing_column_free(names);
}
