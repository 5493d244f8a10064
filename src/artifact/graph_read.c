/* The directory, read: entries in the order in which the graph was built, so indices of values need not be stored. Each
 * entry goes through the same checked functions by which any model is built. */
#include <stdio.h>

#include "artifact/container.h"

typedef struct mcl_graph_reader {
  mcl_container *container;
  mcl_model *model;
  mcl_reader in;
  char name[MCL_NAME_LIMIT + 1];
  size_t stem; /* bytes of name that the next may share: without the suffix */
} mcl_graph_reader;

static mcl_status bad(const mcl_graph_reader *reader, size_t at, const char *what) {
  return mcl_fail(reader->in.ctx, MCL_ERROR_FORMAT, "%s: byte %zu: %s", reader->in.what, at, what);
}

/* Small counts in four bits; 15: a varint of the rest follows. */
static mcl_status read_nibble(mcl_graph_reader *reader, uint8_t nibble, uint64_t *out) {
  *out = nibble & 15;
  if (*out < 15) return MCL_OK;
  MCL_TRY(mcl_read_count(&reader->in, MCL_NAME_LIMIT, "a name's length", out));
  *out += 15;
  return MCL_OK;
}

/* A name begins like the stem of the one before. */
static mcl_status read_name(mcl_graph_reader *reader, uint8_t tag) {
  uint8_t lengths;
  uint64_t shared, fresh;
  const uint8_t *bytes;
  size_t at = reader->in.at;
  const char *suffix = mcl_name_suffixes[tag / MCL_ENTRY_SUFFIX & 3];
  MCL_TRY(mcl_read_u8(&reader->in, &lengths));
  MCL_TRY(read_nibble(reader, lengths >> 4, &shared));
  MCL_TRY(read_nibble(reader, lengths & 15, &fresh));
  if (!suffix) return bad(reader, at, "an unknown suffix of a name");
  if (shared > reader->stem) return bad(reader, at, "a name that shares more than the one before has");
  if (shared + fresh + strlen(suffix) > MCL_NAME_LIMIT) return bad(reader, at, "a name longer than 1023 bytes");
  MCL_TRY(mcl_read_bytes(&reader->in, (size_t)fresh, &bytes));
  if (memchr(bytes, 0, (size_t)fresh)) return bad(reader, at, "a name with a zero byte in it");
  memcpy(reader->name + shared, bytes, (size_t)fresh);
  reader->stem = (size_t)(shared + fresh);
  strcpy(reader->name + reader->stem, suffix);
  return MCL_OK;
}

/* Dimensions are stored plus one, so that the batch, -1, is 0. */
static mcl_status read_shape(mcl_graph_reader *reader, mcl_shape *shape) {
  uint64_t rank, dim;
  *shape = (mcl_shape){0};
  MCL_TRY(mcl_read_count(&reader->in, MCL_MAX_RANK, "the number of dimensions", &rank));
  shape->rank = (int)rank;
  for (int i = 0; i < shape->rank; i++) {
    MCL_TRY(mcl_read_count(&reader->in, INT64_MAX, "a dimension", &dim));
    shape->dim[i] = (int64_t)dim - 1;
  }
  return MCL_OK;
}

/* A model refuses what a caller gave; here a file gave it. */
static mcl_status refused(const mcl_graph_reader *reader, size_t at, mcl_status status) {
  if (status == MCL_ERROR_ARGUMENT) status = MCL_ERROR_FORMAT;
  return mcl_fail_where(reader->in.ctx, status, "%s: byte %zu", reader->in.what, at);
}

/* ---- Weights ---- */

static mcl_status read_streams(mcl_graph_reader *reader, mcl_container_weight *weight) {
  mcl_container *container = reader->container;
  uint64_t count, size;
  MCL_TRY(mcl_read_count(&reader->in, reader->in.size - reader->in.at, "the number of streams", &count));
  weight->first_stream = container->stream_count;
  weight->streams = (int)count;
  for (uint64_t i = 0; i < count; i++) {
    MCL_TRY(mcl_read_count(&reader->in, container->size, "a stream's size", &size));
    MCL_TRY(mcl_grow(container->ctx, &container->streams, container->stream_count, &container->stream_capacity,
                     sizeof *container->streams));
    container->streams[container->stream_count++] = (mcl_coded_stream){NULL, (size_t)size};
  }
  return MCL_OK;
}

static mcl_status read_weight(mcl_graph_reader *reader, uint8_t tag, size_t at) {
  mcl_container *container = reader->container;
  mcl_container_weight weight = {0};
  mcl_shape shape;
  uint64_t size;
  int value;
  MCL_TRY(read_shape(reader, &shape));
  mcl_status status = mcl_model_add_coded_weight(reader->model, reader->name, shape, tag & MCL_ENTRY_STATE, &value);
  if (status) return refused(reader, at, status);
  MCL_TRY(mcl_read_count(&reader->in, reader->in.size, "the size of a representation's header", &size));
  weight.header_size = (size_t)size;
  MCL_TRY(mcl_read_bytes(&reader->in, weight.header_size, &weight.header));
  MCL_TRY(read_streams(reader, &weight));
  weight.directory_bytes = reader->in.at - at;
  MCL_TRY(mcl_grow(container->ctx, &container->weights, container->weight_count, &container->weight_capacity,
                   sizeof *container->weights));
  container->weights[container->weight_count++] = weight;
  return MCL_OK;
}

/* ---- Nodes ---- */

static int64_t unzigzag(uint64_t value) { return (int64_t)(value >> 1) ^ -(int64_t)(value & 1); }

static mcl_status read_attribute(mcl_graph_reader *reader, const mcl_attribute_spec *spec, mcl_attribute *attribute) {
  uint64_t value, count = (uint64_t)spec->preset.count;
  if (spec->type == MCL_ATTRIBUTE_FLOAT) {
    MCL_TRY(mcl_read_u64(&reader->in, &value));
    memcpy(&attribute->number, &value, sizeof value);
    return MCL_OK;
  }
  if (count == 0) MCL_TRY(mcl_read_count(&reader->in, MCL_MAX_RANK, "the numbers of an attribute", &count));
  attribute->count = (int)count;
  for (uint64_t i = 0; i < count; i++) {
    MCL_TRY(mcl_read_varint(&reader->in, &value));
    attribute->ints[i] = unzigzag(value);
  }
  return MCL_OK;
}

static mcl_status read_attributes(mcl_graph_reader *reader, const mcl_op *op, mcl_attribute *attributes) {
  int count = mcl_op_attributes(op);
  uint64_t changed;
  MCL_TRY(mcl_read_count(&reader->in, (1u << count) - 1, "the set of attributes", &changed));
  for (int i = 0; i < count; i++)
    if (changed >> i & 1) MCL_TRY(read_attribute(reader, &op->attributes[i], &attributes[i]));
  return MCL_OK;
}

static mcl_status read_node(mcl_graph_reader *reader, uint8_t tag, size_t at) {
  mcl_attribute attributes[MCL_MAX_ATTRIBUTES];
  int input[MCL_MAX_INPUTS], value;
  uint8_t id;
  uint64_t inputs, back;
  size_t op_at = reader->in.at;
  MCL_TRY(mcl_read_u8(&reader->in, &id));
  const mcl_op *op = mcl_op_by_id(id);
  if (!op)
    return mcl_fail(reader->in.ctx, MCL_ERROR_UNSUPPORTED,
                    "%s: byte %zu: node \"%s\" is of the op %d, which this mcl does not know", reader->in.what, op_at,
                    reader->name, id);
  mcl_attribute_presets(op, attributes);
  if (tag & MCL_ENTRY_ATTRIBUTES) MCL_TRY(read_attributes(reader, op, attributes));
  MCL_TRY(mcl_read_count(&reader->in, MCL_MAX_INPUTS, "a node's inputs", &inputs));
  for (uint64_t i = 0; i < inputs; i++) { /* counted back from the next value; 0: left out */
    MCL_TRY(mcl_read_count(&reader->in, (uint64_t)reader->model->value_count, "the place of an input", &back));
    input[i] = back ? reader->model->value_count - (int)back : -1;
  }
  mcl_status status = mcl_model_add_node(reader->model, op, reader->name, attributes, (int)inputs, input, &value);
  return status ? refused(reader, at, status) : MCL_OK;
}

/* ---- All of it ---- */

static mcl_status read_entry(mcl_graph_reader *reader) {
  uint8_t tag;
  size_t at = reader->in.at;
  mcl_shape shape;
  int value;
  MCL_TRY(mcl_read_u8(&reader->in, &tag));
  if ((tag & 3) > MCL_ENTRY_NODE || tag >= 4 * MCL_ENTRY_SUFFIX) return bad(reader, at, "an unknown kind of entry");
  MCL_TRY(read_name(reader, tag));
  if ((tag & 3) == MCL_ENTRY_WEIGHT) return read_weight(reader, tag, at);
  if ((tag & 3) == MCL_ENTRY_NODE) return read_node(reader, tag, at);
  if (tag & MCL_ENTRY_STATE) return bad(reader, at, "an unknown kind of entry");
  MCL_TRY(read_shape(reader, &shape));
  mcl_status status = mcl_model_add_input(reader->model, reader->name, shape, &value);
  return status ? refused(reader, at, status) : MCL_OK;
}

/* Sections that a later minor version may add, and that may be passed over: u8 id, varint size, bytes. */
static mcl_status skip_sections(mcl_graph_reader *reader) {
  while (reader->in.at < reader->in.size) {
    uint8_t id;
    uint64_t size;
    const uint8_t *bytes;
    MCL_TRY(mcl_read_u8(&reader->in, &id));
    MCL_TRY(mcl_read_count(&reader->in, reader->in.size, "a section's size", &size));
    MCL_TRY(mcl_read_bytes(&reader->in, (size_t)size, &bytes));
  }
  return MCL_OK;
}

mcl_status mcl_graph_read(mcl_container *container, mcl_model *model) {
  mcl_context *ctx = container->ctx;
  char *what = NULL;
  uint64_t entries, outputs, value;
  size_t room = strlen(container->what) + 16;
  MCL_TRY(mcl_alloc(ctx, room, &what));
  snprintf(what, room, "%s: directory", container->what);
  mcl_graph_reader reader = {
      .container = container, .model = model, .in = {ctx, container->directory, container->directory_size, 0, what}};
  mcl_status status = mcl_read_count(&reader.in, container->directory_size, "the number of entries", &entries);
  for (uint64_t i = 0; i < entries && !status; i++) status = read_entry(&reader);
  if (!status) status = mcl_read_count(&reader.in, (uint64_t)model->value_count, "the number of outputs", &outputs);
  for (uint64_t i = 0; !status && i < outputs; i++) {
    size_t at = reader.in.at;
    status = mcl_read_varint(&reader.in, &value);
    if (!status && value >= (uint64_t)model->value_count) status = bad(&reader, at, "an output that is not a value");
    if (!status) status = mcl_model_add_output(model, (int)value);
    if (status == MCL_ERROR_ARGUMENT) status = refused(&reader, at, status);
  }
  if (!status) status = skip_sections(&reader);
  mcl_free(ctx, what);
  return status;
}
