/* Small ONNX files from text, for tests: a writer of the wire format that shares nothing with the one under test. Parts are
 * separated by ';', words by spaces:
 *
 *   opset 17
 *   input x n 3 8 8              a word for a size is a symbol; input:7 is of element type 7
 *   init w float 4 3 3 3         elements ((7 i) mod 11 − 5) / 8; types: float float16 double int64 typed (float_data)
 *   init w float 4 raw=15        so many bytes instead of what the shape needs
 *   init w float 4 at=w.bin offset=0 length=16      external data
 *   init axes int64 2 = 1 -1     elements as given (float, int64)
 *   node Conv conv1 x,w y pads=1,1,1,1 group=1 alpha=.5 auto_pad='VALID'
 *   const c float 2 = 1 2        a Constant node that holds such a tensor
 *   output y */
#ifndef MCL_TESTS_ONNX_TEXT_H
#define MCL_TESTS_ONNX_TEXT_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct onnx_bytes {
  uint8_t data[1 << 16];
  size_t size;
} onnx_bytes;

static inline void add_byte(onnx_bytes *to, int byte) {
  if (to->size < sizeof to->data) to->data[to->size++] = (uint8_t)byte;
}
static inline void add_varint(onnx_bytes *to, uint64_t value) {
  for (; value >= 0x80; value >>= 7) add_byte(to, (int)(value & 0x7f) | 0x80);
  add_byte(to, (int)value);
}
static inline void add_int(onnx_bytes *to, int field, int64_t value) {
  add_varint(to, (uint64_t)field << 3);
  add_varint(to, (uint64_t)value);
}
static inline void add_bytes(onnx_bytes *to, int field, const void *data, size_t size) {
  add_varint(to, (uint64_t)field << 3 | 2);
  add_varint(to, size);
  for (size_t i = 0; i < size; i++) add_byte(to, ((const uint8_t *)data)[i]);
}
static inline void add_text(onnx_bytes *to, int field, const char *text) { add_bytes(to, field, text, strlen(text)); }
static inline void add_message(onnx_bytes *to, int field, const onnx_bytes *message) {
  add_bytes(to, field, message->data, message->size);
}
static inline void add_float(onnx_bytes *to, int field, float value) {
  uint32_t bits;
  memcpy(&bits, &value, 4);
  add_varint(to, (uint64_t)field << 3 | 5);
  for (int i = 0; i < 4; i++) add_byte(to, (int)(bits >> 8 * i) & 0xff);
}

static inline bool is_number_word(const char *word) {
  return word && ((*word >= '0' && *word <= '9') || *word == '-' || *word == '.');
}

/* float → float16, of the eighths that tests use: exact */
static inline uint16_t half_of(float value) {
  uint32_t bits;
  memcpy(&bits, &value, 4);
  if (!(bits & 0x7fffffff)) return 0;
  return (uint16_t)((bits >> 16 & 0x8000) | ((((bits >> 23 & 0xff) - 112) << 10) & 0x7c00) | (bits >> 13 & 0x3ff));
}

static inline float test_element(int64_t i) { return (float)((7 * i) % 11 - 5) / 8; }

static inline void add_elements(onnx_bytes *tensor, const char *type, int64_t count, char *given, int raw_size) {
  onnx_bytes *raw = calloc(1, sizeof *raw);
  bool is_typed = !strcmp(type, "typed");
  for (int64_t i = 0; i < count && i < 8192; i++) {
    double value = given ? strtod(given, &given) : (double)test_element(i);
    uint8_t piece[8];
    float single = (float)value;
    int64_t whole = given ? (int64_t)value : i;
    uint16_t half = half_of(single);
    size_t size = 4;
    memcpy(piece, &single, 4);
    if (!strcmp(type, "double")) memcpy(piece, &value, size = 8);
    if (!strcmp(type, "int64")) memcpy(piece, &whole, size = 8);
    if (!strcmp(type, "float16")) memcpy(piece, &half, size = 2);
    if (is_typed)
      add_float(tensor, 4, single); /* not packed */
    else
      for (size_t b = 0; b < size; b++) add_byte(raw, piece[b]);
  }
  if (raw_size >= 0) raw->size = (size_t)raw_size;
  if (!is_typed) add_bytes(tensor, 9, raw->data, raw->size);
  free(raw);
}

static inline void add_entry(onnx_bytes *tensor, const char *key, const char *value) {
  onnx_bytes *entry = calloc(1, sizeof *entry);
  add_text(entry, 1, key);
  add_text(entry, 2, value);
  add_message(tensor, 13, entry);
  free(entry);
}

/* name type dims… options; `words` are the rest of the part */
static inline void add_tensor(onnx_bytes *to, int field, const char *name, char *words) {
  static const struct {
    const char *name;
    int type;
  } types[] = {{"float", 1}, {"typed", 1}, {"float16", 10}, {"double", 11}, {"int64", 7}, {"string", 8}, {"bool", 9}};
  onnx_bytes *tensor = calloc(1, sizeof *tensor);
  char *given = strchr(words, '='), *rest = NULL;
  if (given && given > words && given[-1] == ' ')
    *given++ = 0;
  else
    given = NULL;
  char *type = strtok_r(words, " ", &rest);
  int64_t count = 1;
  int raw = -1, code = 0;
  bool is_external = false;
  for (size_t i = 0; i < sizeof types / sizeof *types; i++)
    if (!strcmp(types[i].name, type)) code = types[i].type;
  for (char *word; (word = strtok_r(NULL, " ", &rest));) {
    if (is_number_word(word)) {
      add_int(tensor, 1, atoll(word));
      if (__builtin_mul_overflow(count, atoll(word), &count)) count = 0;
    } else if (!strncmp(word, "raw=", 4)) {
      raw = atoi(word + 4);
    } else if (!strncmp(word, "at=", 3)) {
      is_external = true;
      add_entry(tensor, "location", word + 3);
    } else if (strchr(word, '=')) {
      *strchr(word, '=') = 0;
      add_entry(tensor, word, word + strlen(word) + 1);
    }
  }
  add_int(tensor, 2, code ? code : atoi(type));
  add_text(tensor, 8, name);
  if (is_external)
    add_int(tensor, 14, 1);
  else
    add_elements(tensor, type, count, given, raw);
  add_message(to, field, tensor);
  free(tensor);
}

static inline void add_attribute(onnx_bytes *node, char *word) {
  onnx_bytes *attribute = calloc(1, sizeof *attribute);
  char *value = strchr(word, '=');
  *value++ = 0;
  add_text(attribute, 1, word);
  if (*value == '\'') {
    value[strlen(value) - 1] = 0;
    add_text(attribute, 4, value + 1);
    add_int(attribute, 20, 3);
  } else if (strchr(value, '.')) {
    add_float(attribute, 2, strtof(value, NULL));
    add_int(attribute, 20, 1);
  } else if (strchr(value, ',')) {
    for (char *rest = value; *rest; rest += *rest == ',') add_int(attribute, 8, strtoll(rest, &rest, 10));
    add_int(attribute, 20, 7);
  } else {
    add_int(attribute, 3, atoll(value));
    add_int(attribute, 20, 2);
  }
  add_message(node, 5, attribute);
  free(attribute);
}

static inline void add_names(onnx_bytes *node, int field, char *names) {
  for (char *name = names; name;) {
    char *comma = strchr(name, ',');
    if (comma) *comma = 0;
    add_text(node, field, strcmp(name, "-") ? name : "");
    name = comma ? comma + 1 : NULL;
  }
}

static inline void add_value_info(onnx_bytes *graph, int field, const char *name, int type, char *words) {
  onnx_bytes *part = calloc(5, sizeof *part), *info = part, *wrap = part + 1, *tensor = part + 2, *shape = part + 3;
  char *rest = NULL;
  for (char *word = strtok_r(words, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
    part[4].size = 0;
    if (is_number_word(word))
      add_int(&part[4], 1, atoll(word));
    else
      add_text(&part[4], 2, word);
    add_message(shape, 1, &part[4]);
  }
  add_int(tensor, 1, type);
  if (shape->size) add_message(tensor, 2, shape);
  add_message(wrap, 1, tensor);
  add_text(info, 1, name);
  add_message(info, 2, wrap);
  add_message(graph, field, info);
  free(part);
}

static inline void add_node(onnx_bytes *graph, char *words) {
  onnx_bytes *node = calloc(1, sizeof *node);
  char *rest = NULL, *op = strtok_r(words, " ", &rest), *name = strtok_r(NULL, " ", &rest);
  char *inputs = strtok_r(NULL, " ", &rest), *outputs = strtok_r(NULL, " ", &rest), *domain = strchr(op, '/');
  if (domain) { /* domain/Op */
    *domain = 0;
    add_text(node, 7, op);
    op = domain + 1;
  }
  if (inputs && strcmp(inputs, "-")) add_names(node, 1, inputs);
  if (outputs) add_names(node, 2, outputs);
  if (strcmp(name, "-")) add_text(node, 3, name);
  add_text(node, 4, op);
  for (char *word; (word = strtok_r(NULL, " ", &rest));) add_attribute(node, word);
  add_message(graph, 1, node);
  free(node);
}

static inline void add_constant_node(onnx_bytes *graph, const char *name, char *words) {
  onnx_bytes *node = calloc(2, sizeof *node), *attribute = node + 1;
  add_text(attribute, 1, "value");
  add_tensor(attribute, 5, "", words);
  add_int(attribute, 20, 4);
  add_text(node, 2, name);
  add_text(node, 4, "Constant");
  add_message(node, 5, attribute);
  add_message(graph, 1, node);
  free(node);
}

/* The bytes of the model; the caller frees them. */
static inline onnx_bytes *onnx_from_text(const char *text) {
  onnx_bytes *model = calloc(1, sizeof *model), *graph = calloc(1, sizeof *graph), *opset = calloc(1, sizeof *opset);
  char copy[4096], *outer = NULL;
  int version = 17;
  snprintf(copy, sizeof copy, "%s", text);
  for (char *part = strtok_r(copy, ";", &outer); part; part = strtok_r(NULL, ";", &outer)) {
    while (*part == ' ' || *part == '\n') part++;
    char *rest = NULL, *word = strtok_r(part, " ", &rest), none[1] = "";
    if (!word) continue;
    if (!strcmp(word, "node")) {
      add_node(graph, rest);
      continue;
    }
    char *name = strtok_r(NULL, " ", &rest);
    if (!rest) rest = none;
    if (name && !strcmp(name, "-")) name = none;
    if (!strcmp(word, "opset")) version = atoi(name);
    if (!strncmp(word, "input", 5)) add_value_info(graph, 11, name, word[5] ? atoi(word + 6) : 1, rest);
    if (!strcmp(word, "output")) add_value_info(graph, 12, name, 1, none);
    if (!strcmp(word, "init")) add_tensor(graph, 5, name, rest);
    if (!strcmp(word, "const")) add_constant_node(graph, name, rest);
  }
  add_int(opset, 2, version);
  add_int(model, 1, 8);
  add_message(model, 7, graph);
  add_message(model, 8, opset);
  free(graph);
  free(opset);
  return model;
}

#endif
