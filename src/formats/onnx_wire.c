/* The pull parser of protobuf's wire format. */
#include "formats/onnx_wire.h"

#include <stdarg.h>
#include <stdio.h>

mcl_wire mcl_wire_begin(mcl_context *ctx, const char *path, const char *what, const uint8_t *data, size_t size) {
  return (mcl_wire){ctx, path, what, data, data, data + size};
}

mcl_status mcl_wire_fail(const mcl_wire *wire, const uint8_t *where, const char *format, ...) {
  char text[256];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  return mcl_fail(wire->ctx, MCL_ERROR_FORMAT, "%s: byte %zu, in a %s: %s", wire->path, (size_t)(where - wire->file),
                  wire->what, text);
}

/* Base 128, least significant group first, at most ten bytes. */
static mcl_status take_varint(const mcl_wire *wire, const uint8_t **at, const uint8_t *end, uint64_t *out) {
  const uint8_t *begin = *at;
  uint64_t value = 0;
  for (int shift = 0; shift < 70; shift += 7) {
    if (*at == end) return mcl_wire_fail(wire, begin, "ends within a number");
    uint8_t byte = *(*at)++;
    if (shift == 63 && byte > 1) return mcl_wire_fail(wire, begin, "a number of more than 64 bits");
    value |= (uint64_t)(byte & 0x7f) << shift;
    if (byte < 0x80) return *out = value, MCL_OK;
  }
  return mcl_wire_fail(wire, begin, "a number of more than ten bytes");
}

static mcl_status take_fixed(const mcl_wire *wire, const uint8_t **at, const uint8_t *end, size_t size, uint64_t *out) {
  if ((size_t)(end - *at) < size) return mcl_wire_fail(wire, *at, "ends within a number of %zu bytes", size);
  *out = size == 4 ? mcl_load_u32(*at) : mcl_load_u64(*at);
  *at += size;
  return MCL_OK;
}

static mcl_status take_number(const mcl_wire *wire, mcl_wire_type type, const uint8_t **at, const uint8_t *end,
                              uint64_t *out) {
  return type == MCL_WIRE_VARINT ? take_varint(wire, at, end, out)
                                 : take_fixed(wire, at, end, type == MCL_WIRE_32 ? 4 : 8, out);
}

mcl_status mcl_wire_number(mcl_wire *wire, mcl_wire_type element, uint64_t *out) {
  return take_number(wire, element, &wire->at, wire->end, out);
}

mcl_status mcl_wire_next(mcl_wire *wire, mcl_wire_field *field, bool *more) {
  *more = false;
  if (wire->at == wire->end) return MCL_OK;
  const uint8_t *begin = wire->at;
  uint64_t key = 0;
  MCL_TRY(take_varint(wire, &wire->at, wire->end, &key));
  if (key >> 3 == 0 || key >> 3 >= (1u << 29))
    return mcl_wire_fail(wire, begin, "field number %llu is not one", (unsigned long long)(key >> 3));
  *field = (mcl_wire_field){.number = (uint32_t)(key >> 3), .type = (mcl_wire_type)(key & 7), .data = wire->at};
  switch (key & 7) {
  case MCL_WIRE_VARINT:
  case MCL_WIRE_32:
  case MCL_WIRE_64:
    MCL_TRY(take_number(wire, field->type, &wire->at, wire->end, &field->value));
    break;
  case MCL_WIRE_BYTES: {
    uint64_t size = 0;
    MCL_TRY(take_varint(wire, &wire->at, wire->end, &size));
    if (size > (uint64_t)(wire->end - wire->at))
      return mcl_wire_fail(wire, begin, "field %u claims %llu bytes, %zu are left", field->number,
                           (unsigned long long)size, (size_t)(wire->end - wire->at));
    field->data = wire->at;
    field->size = (size_t)size;
    wire->at += size;
    break;
  }
  default:
    return mcl_wire_fail(wire, begin, "field %u has wire type %d, which is none", field->number, (int)(key & 7));
  }
  *more = true;
  return MCL_OK;
}

static mcl_status expect(const mcl_wire *wire, const mcl_wire_field *field, mcl_wire_type type) {
  if (field->type == type) return MCL_OK;
  return mcl_wire_fail(wire, wire->at, "field %u has wire type %d where %d belongs", field->number, (int)field->type,
                       (int)type);
}

mcl_status mcl_wire_enter(const mcl_wire *wire, const mcl_wire_field *field, const char *what, mcl_wire *inner) {
  MCL_TRY(expect(wire, field, MCL_WIRE_BYTES));
  *inner = (mcl_wire){wire->ctx, wire->path, what, wire->file, field->data, field->data + field->size};
  return MCL_OK;
}

mcl_status mcl_wire_int(const mcl_wire *wire, const mcl_wire_field *field, int64_t *out) {
  MCL_TRY(expect(wire, field, MCL_WIRE_VARINT));
  *out = (int64_t)field->value;
  return MCL_OK;
}

mcl_status mcl_wire_float(const mcl_wire *wire, const mcl_wire_field *field, float *out) {
  MCL_TRY(expect(wire, field, MCL_WIRE_32));
  uint32_t bits = (uint32_t)field->value;
  memcpy(out, &bits, sizeof bits);
  return MCL_OK;
}

mcl_status mcl_wire_bytes(const mcl_wire *wire, const mcl_wire_field *field, const uint8_t **data, size_t *size) {
  MCL_TRY(expect(wire, field, MCL_WIRE_BYTES));
  *data = field->data;
  *size = field->size;
  return MCL_OK;
}

mcl_status mcl_wire_count(const mcl_wire *wire, const mcl_wire_field *field, mcl_wire_type element, size_t *count) {
  if (field->type == element) return *count += 1, MCL_OK;
  MCL_TRY(expect(wire, field, MCL_WIRE_BYTES));
  if (element == MCL_WIRE_VARINT) { /* each ends with a byte below 0x80 */
    for (size_t i = 0; i < field->size; i++) *count += field->data[i] < 0x80;
    return MCL_OK;
  }
  size_t size = element == MCL_WIRE_32 ? 4 : 8;
  if (field->size % size)
    return mcl_wire_fail(wire, field->data, "field %u packs %zu bytes, which is no number of elements of %zu",
                         field->number, field->size, size);
  *count += field->size / size;
  return MCL_OK;
}

mcl_status mcl_wire_numbers(const mcl_wire *wire, const mcl_wire_field *field, mcl_wire_type element, size_t room,
                            uint64_t *out, size_t *count) {
  const uint8_t *at = field->data, *end = at + field->size;
  bool single = field->type == element;
  if (!single) MCL_TRY(expect(wire, field, MCL_WIRE_BYTES));
  while (single || at < end) {
    uint64_t value = field->value;
    if (!single) MCL_TRY(take_number(wire, element, &at, end, &value));
    if (*count == room) return mcl_wire_fail(wire, wire->at, "field %u has more than %zu numbers", field->number, room);
    out[(*count)++] = value;
    if (single) break;
  }
  return MCL_OK;
}
