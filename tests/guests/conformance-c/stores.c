#include "stores.h"

#include <inttypes.h>
#include <string.h>

typedef processor_list_u8_t list_t;

enum { WORDS_MAX = 6 };

/// The words of a command, cut once, with what reads them.
typedef struct {
  call_t *call;
  cell_t cells[WORDS_MAX];
  list_t lists[WORDS_MAX];
} words_t;

static processor_string_t str(const char *literal) {
  processor_string_t string;
  processor_string_set(&string, literal);
  return string;
}

void stores_declare(void) {
  static const char *STORES[][2] = {{"kv", "key-value"}, {"win", "window"}, {"ses", "session"}};
  processor_string_t format = str("string");
  for (size_t i = 0; i < sizeof STORES / sizeof *STORES; i++) {
    processor_string_t name = str(STORES[i][0]), kind = str(STORES[i][1]);
    weir_plugin_manifest_store(&name, &kind, &format, &format);
  }
  weir_plugin_manifest_timers();
}

void stores_open(stores_t *stores) {
  processor_string_t kv = str("kv"), win = str("win"), ses = str("ses");
  stores->kv = weir_plugin_state_open_key_value(&kv);
  stores->win = weir_plugin_state_open_window(&win);
  stores->ses = weir_plugin_state_open_session(&ses);
}

void stores_put_fired(const stores_t *stores, cell_t name) {
  list_t key = {(uint8_t *)name.ptr, name.len}, value = {(uint8_t *)"fired", 5};
  weir_plugin_state_method_key_value_store_put(weir_plugin_state_borrow_key_value_store(stores->kv), &key, &value);
}

/// A word as a bound; `-` is none.
static list_t *bound(words_t *words, size_t at) { return is(words->cells[at], "-") ? NULL : &words->lists[at]; }

static int64_t at(words_t *words, size_t index) { return number(words->call, words->cells[index]); }

static cell_t shown(words_t *words, bool found, list_t *value) {
  if (!found) return text("<none>");
  cell_t cell = call_format(words->call, "%.*s", (int)value->len, (const char *)value->ptr);
  processor_list_u8_free(value);
  return cell;
}

/// The entries of a page, each written by `one` and parted by commas.
static cell_t listed(words_t *words, const weir_plugin_types_column_t *keys, const uint8_t *starts, const uint8_t *ends,
                     const weir_plugin_types_column_t *values, cell_t (*one)(call_t *, cell_t, int64_t, int64_t)) {
  cell_t list = text("");
  for (size_t i = 0; i < keys->ends.len / 4; i++) {
    cell_t head = one(words->call, column_get(keys, i), starts ? s64_at(starts, i) : 0, ends ? s64_at(ends, i) : 0);
    cell_t value = column_get(values, i);
    list = call_format(words->call, "%.*s%s%.*s=%.*s", (int)list.len, (const char *)list.ptr, i ? "," : "", (int)head.len,
                       (const char *)head.ptr, (int)value.len, (const char *)value.ptr);
  }
  return list;
}

static cell_t by_key(call_t *call, cell_t key, int64_t start, int64_t end) {
  (void)call, (void)start, (void)end;
  return key;
}

static cell_t by_start(call_t *call, cell_t key, int64_t start, int64_t end) {
  (void)key, (void)end;
  return call_format(call, "%" PRId64, start);
}

static cell_t by_key_and_start(call_t *call, cell_t key, int64_t start, int64_t end) {
  (void)end;
  return call_format(call, "%.*s@%" PRId64, (int)key.len, (const char *)key.ptr, start);
}

static cell_t by_span(call_t *call, cell_t key, int64_t start, int64_t end) {
  (void)key;
  return call_format(call, "%" PRId64 "-%" PRId64, start, end);
}

static cell_t entries(words_t *words, weir_plugin_state_entries_t *page) {
  cell_t list = listed(words, &page->keys, NULL, NULL, &page->values, by_key);
  weir_plugin_state_entries_free(page);
  return list;
}

static cell_t spans(words_t *words, weir_plugin_state_spans_t *page, cell_t (*one)(call_t *, cell_t, int64_t, int64_t)) {
  cell_t list = listed(words, &page->keys, page->starts.ptr, page->ends.ptr, &page->values, one);
  weir_plugin_state_spans_free(page);
  return list;
}

/// Every `step`th word of `rest` from the `first` on, as a column in the call's memory.
static weir_plugin_types_column_t words_column(call_t *call, cell_t rest, size_t first, size_t step) {
  uint8_t *data = call_alloc(call, rest.len), *ends = call_alloc(call, (rest.len + 1) * 4);
  uint32_t bytes = 0, cells = 0;
  for (size_t index = 0; rest.len; index++) {
    cell_t next = word(rest, &rest);
    if (index < first || (index - first) % step) continue;
    memcpy(data + bytes, next.ptr, next.len);
    bytes += next.len;
    memcpy(ends + 4 * cells++, &bytes, 4);
  }
  return (weir_plugin_types_column_t){.data = {data, bytes}, .ends = {ends, cells * 4}, .validity = {.is_some = false}};
}

static bool key_value(words_t *w, const stores_t *stores, cell_t command, cell_t rest, cell_t *answer) {
  weir_plugin_state_borrow_key_value_store_t kv = weir_plugin_state_borrow_key_value_store(stores->kv);
  list_t *a = &w->lists[0], *b = &w->lists[1], value;
  weir_plugin_state_entries_t page;
  if (is(command, "put")) weir_plugin_state_method_key_value_store_put(kv, a, b);
  else if (is(command, "del")) weir_plugin_state_method_key_value_store_delete(kv, a);
  else if (is(command, "get")) *answer = shown(w, weir_plugin_state_method_key_value_store_get(kv, a, &value), &value);
  else if (is(command, "get-many")) {
    weir_plugin_types_column_t keys = words_column(w->call, rest, 0, 1), values;
    weir_plugin_state_method_key_value_store_get_many(kv, &keys, &values);
    *answer = text("");
    for (size_t i = 0; i < values.ends.len / 4; i++) {
      cell_t cell = column_get(&values, i), found = cell.present ? cell : text("<none>");
      *answer = call_format(w->call, "%.*s%s%.*s", (int)answer->len, (const char *)answer->ptr, i ? "," : "", (int)found.len,
                            (const char *)found.ptr);
    }
    weir_plugin_types_column_free(&values);
  } else if (is(command, "put-many")) {
    weir_plugin_state_entries_t changes = {words_column(w->call, rest, 0, 2), words_column(w->call, rest, 1, 2)};
    weir_plugin_state_method_key_value_store_put_many(kv, &changes);
  } else if (is(command, "range") || is(command, "range-back")) {
    bool backward = is(command, "range-back");
    weir_plugin_state_method_key_value_store_range(kv, bound(w, 0), bound(w, 1), at(w, 2), backward, &page);
    *answer = entries(w, &page);
  } else if (is(command, "prefix")) {
    weir_plugin_state_method_key_value_store_prefix(kv, a, bound(w, 1), at(w, 2), &page);
    *answer = entries(w, &page);
  } else return false;
  return true;
}

static bool windows(words_t *w, const stores_t *stores, cell_t command, cell_t *answer) {
  weir_plugin_state_borrow_window_store_t win = weir_plugin_state_borrow_window_store(stores->win);
  list_t *a = &w->lists[0], value;
  weir_plugin_state_spans_t page;
  if (is(command, "win-put")) weir_plugin_state_method_window_store_put(win, a, at(w, 1), &w->lists[2]);
  else if (is(command, "win-del")) weir_plugin_state_method_window_store_delete(win, a, at(w, 1));
  else if (is(command, "win-get"))
    *answer = shown(w, weir_plugin_state_method_window_store_get(win, a, at(w, 1), &value), &value);
  else if (is(command, "win-fetch") || is(command, "win-fetch-back")) {
    bool backward = is(command, "win-fetch-back");
    weir_plugin_state_method_window_store_fetch(win, a, at(w, 1), at(w, 2), at(w, 3), backward, &page);
    *answer = spans(w, &page, by_start);
  } else if (is(command, "win-all") || is(command, "win-after")) {
    bool more = is(command, "win-after");
    int64_t after = more ? at(w, 4) : 0;
    weir_plugin_state_method_window_store_range(win, more ? &w->lists[3] : NULL, NULL, at(w, 0), at(w, 1),
                                                more ? &after : NULL, at(w, 2), &page);
    *answer = spans(w, &page, by_key_and_start);
  } else return false;
  return true;
}

static bool sessions(words_t *w, const stores_t *stores, cell_t command, cell_t *answer) {
  weir_plugin_state_borrow_session_store_t ses = weir_plugin_state_borrow_session_store(stores->ses);
  list_t *a = &w->lists[0], value;
  if (is(command, "ses-put")) weir_plugin_state_method_session_store_put(ses, a, at(w, 1), at(w, 2), &w->lists[3]);
  else if (is(command, "ses-del")) weir_plugin_state_method_session_store_delete(ses, a, at(w, 1), at(w, 2));
  else if (is(command, "ses-get"))
    *answer = shown(w, weir_plugin_state_method_session_store_get(ses, a, at(w, 1), at(w, 2), &value), &value);
  else if (is(command, "ses-fetch") || is(command, "ses-after")) {
    bool more = is(command, "ses-after");
    processor_tuple2_s64_s64_t after = {more ? at(w, 4) : 0, more ? at(w, 5) : 0};
    weir_plugin_state_spans_t page;
    weir_plugin_state_method_session_store_fetch(ses, a, at(w, 1), at(w, 2), more ? &after : NULL, at(w, 3), false, &page);
    *answer = spans(w, &page, by_span);
  } else return false;
  return true;
}

static bool timers(words_t *w, cell_t command) {
  list_t *name = &w->lists[0];
  if (is(command, "timer")) weir_plugin_timers_schedule(w->call->row, name, at(w, 1));
  else if (is(command, "timer-after")) weir_plugin_timers_schedule_after(w->call->row, name, at(w, 1));
  else if (is(command, "cancel")) weir_plugin_timers_cancel(name);
  else return false;
  return true;
}

bool stores_run(call_t *call, const stores_t *stores, cell_t command, cell_t rest, cell_t *answer) {
  words_t words = {.call = call};
  cell_t left = rest;
  for (size_t i = 0; i < WORDS_MAX; i++) {
    words.cells[i] = word(left, &left);
    words.lists[i] = (list_t){(uint8_t *)words.cells[i].ptr, words.cells[i].len};
  }
  *answer = command;
  return key_value(&words, stores, command, rest, answer) || windows(&words, stores, command, answer) ||
         sessions(&words, stores, command, answer) || timers(&words, command);
}
