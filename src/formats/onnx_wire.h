/* A pull parser of protobuf's wire format over memory: no copy, no recursion, every length checked against the message
 * that holds it. A message is walked field by field:
 *
 *   mcl_wire_field field;
 *   bool more;
 *   while (!(status = mcl_wire_next(&message, &field, &more)) && more)
 *     switch (field.number) …
 *
 * Failures name the file, the byte and the kind of message. */
#ifndef MCL_FORMATS_ONNX_WIRE_H
#define MCL_FORMATS_ONNX_WIRE_H

#include "base/bytes.h"

typedef struct mcl_wire {
  mcl_context *ctx;
  const char *path, *what; /* the file; the kind of message: "node" */
  const uint8_t *file;     /* the file's first byte, for offsets in messages */
  const uint8_t *at, *end;
} mcl_wire;

typedef enum mcl_wire_type { MCL_WIRE_VARINT = 0, MCL_WIRE_64 = 1, MCL_WIRE_BYTES = 2, MCL_WIRE_32 = 5 } mcl_wire_type;

typedef struct mcl_wire_field {
  uint32_t number;
  mcl_wire_type type;
  uint64_t value;      /* of a number */
  const uint8_t *data; /* of bytes: a string, a message, packed numbers; never NULL */
  size_t size;
} mcl_wire_field;

mcl_wire mcl_wire_begin(mcl_context *ctx, const char *path, const char *what, const uint8_t *data, size_t size);
mcl_status mcl_wire_next(mcl_wire *wire, mcl_wire_field *field, bool *more);
mcl_status mcl_wire_fail(const mcl_wire *wire, const uint8_t *where, const char *format, ...) MCL_PRINTF(3, 4);

/* The field as what it is declared to be; another wire type is refused. */
mcl_status mcl_wire_enter(const mcl_wire *wire, const mcl_wire_field *field, const char *what, mcl_wire *inner);
mcl_status mcl_wire_int(const mcl_wire *wire, const mcl_wire_field *field, int64_t *out);
mcl_status mcl_wire_float(const mcl_wire *wire, const mcl_wire_field *field, float *out);
mcl_status mcl_wire_bytes(const mcl_wire *wire, const mcl_wire_field *field, const uint8_t **data, size_t *size);

/* The next number of packed ones, of which the message is made. */
mcl_status mcl_wire_number(mcl_wire *wire, mcl_wire_type element, uint64_t *out);
/* Repeated numbers, packed or one by one. `element` is how each is stored. */
mcl_status mcl_wire_count(const mcl_wire *wire, const mcl_wire_field *field, mcl_wire_type element, size_t *count);
/* Appends them as raw 64-bit values (a float: its 32 bits) to out[*count …]; more than `room` is refused. */
mcl_status mcl_wire_numbers(const mcl_wire *wire, const mcl_wire_field *field, mcl_wire_type element, size_t room,
                            uint64_t *out, size_t *count);

#endif
