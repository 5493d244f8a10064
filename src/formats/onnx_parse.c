/* ONNX: fields → a document. Each message is walked twice, to count its lists and to fill them, so memory is taken once and
 * stays in proportion to the file. Subgraphs (of If, Loop) are not entered: nesting is as deep as the format's own
 * levels and no deeper, whatever a file holds. */
#include "formats/onnx.h"

#define NAME_LIMIT 1024
#define BLOCK_SIZE 65536

/* ---- The arena ---- */

typedef struct onnx_block {
  struct onnx_block *next;
  size_t used, size;
} onnx_block;

#define BLOCK_HEAD ((sizeof(onnx_block) + 15) & ~(size_t)15)

mcl_status mcl_onnx_alloc(onnx_document *document, size_t count, size_t size, void *out /* void ** */) {
  size_t bytes;
  void *result;
  if (!mcl_mul_size(count, size, &bytes) || bytes > SIZE_MAX / 2)
    return mcl_fail(document->ctx, MCL_ERROR_MEMORY, "%s: %zu items of %zu bytes", document->path, count, size);
  bytes = (bytes + 15) & ~(size_t)15;
  onnx_block *block = document->blocks;
  if (!block || bytes > block->size - block->used) {
    size_t room = bytes > BLOCK_SIZE / 4 ? bytes : BLOCK_SIZE;
    MCL_TRY(mcl_alloc(document->ctx, BLOCK_HEAD + room, &block));
    *block = (onnx_block){.next = document->blocks, .size = room};
    document->blocks = block;
  }
  result = (uint8_t *)block + BLOCK_HEAD + block->used;
  block->used += bytes;
  memset(result, 0, bytes);
  memcpy(out, &result, sizeof result);
  return MCL_OK;
}

void mcl_onnx_document_free(onnx_document *document) {
  if (!document) return;
  mcl_context *ctx = document->ctx;
  for (onnx_block *block = document->blocks, *next; block; block = next) {
    next = block->next;
    mcl_free(ctx, block);
  }
  mcl_free(ctx, document);
}

/* ---- Strings ---- */

static mcl_status take_text(onnx_document *document, const mcl_wire *wire, const mcl_wire_field *field, size_t limit,
                            const char **out) {
  const uint8_t *data;
  size_t size;
  char *text;
  MCL_TRY(mcl_wire_bytes(wire, field, &data, &size));
  if (size > limit) return mcl_wire_fail(wire, data, "a string of %zu bytes; at most %zu are read", size, limit);
  if (size && memchr(data, 0, size)) return mcl_wire_fail(wire, data, "a string with a zero byte in it");
  MCL_TRY(mcl_onnx_alloc(document, size + 1, 1, &text));
  memcpy(text, data, size);
  *out = text;
  return MCL_OK;
}

static mcl_status take_name(onnx_document *document, const mcl_wire *wire, const mcl_wire_field *field,
                            const char **out) {
  return take_text(document, wire, field, NAME_LIMIT, out);
}

/* How often field `number` is there. */
static mcl_status count_field(mcl_wire wire, uint32_t number, int *out) {
  mcl_wire_field field;
  bool more;
  mcl_status status;
  int count = 0;
  while (!(status = mcl_wire_next(&wire, &field, &more)) && more) count += field.number == number;
  *out = count;
  return status;
}

/* ---- TensorProto ---- */

static mcl_status parse_external(onnx_document *document, mcl_wire wire, onnx_tensor *tensor) {
  mcl_wire_field field;
  bool more;
  mcl_status status;
  const char *key = "", *value = "";
  while (!(status = mcl_wire_next(&wire, &field, &more)) && more) {
    if (field.number == 1) MCL_TRY(take_name(document, &wire, &field, &key));
    if (field.number == 2) MCL_TRY(take_text(document, &wire, &field, 4096, &value));
  }
  if (status) return status;
  if (!strcmp(key, "location")) tensor->location = value;
  bool is_offset = !strcmp(key, "offset"), is_length = !strcmp(key, "length");
  if (!is_offset && !is_length) return MCL_OK; /* a checksum, or what a later version added */
  uint64_t number = 0;
  const char *digit = value;
  for (; *digit >= '0' && *digit <= '9'; digit++)
    if (__builtin_mul_overflow(number, 10u, &number) ||
        __builtin_add_overflow(number, (uint64_t)(*digit - '0'), &number))
      return mcl_wire_fail(&wire, wire.at, "%s %.40s does not fit 64 bits", key, value);
  if (*digit || digit == value) return mcl_wire_fail(&wire, wire.at, "%s \"%.40s\" is not a number", key, value);
  if (is_offset) tensor->offset = number;
  if (is_length) tensor->length = number, tensor->has_length = true;
  return MCL_OK;
}

static mcl_status parse_tensor(onnx_document *document, mcl_wire wire, onnx_tensor *tensor) {
  mcl_wire_field field;
  mcl_wire inner;
  bool more;
  mcl_status status;
  size_t rank = 0;
  uint64_t dims[MCL_MAX_RANK];
  int64_t location;
  tensor->name = "";
  tensor->message = wire;
  while (!(status = mcl_wire_next(&wire, &field, &more)) && more) {
    switch (field.number) {
    case 1:
      status = mcl_wire_numbers(&wire, &field, MCL_WIRE_VARINT, MCL_MAX_RANK, dims, &rank);
      break;
    case 2:
      status = mcl_wire_int(&wire, &field, &tensor->type);
      break;
    case 3:
      return mcl_wire_fail(&wire, field.data ? field.data : wire.at, "a tensor in segments is not read");
    case 8:
      status = take_name(document, &wire, &field, &tensor->name);
      break;
    case 9:
      if (tensor->has_raw) return mcl_wire_fail(&wire, field.data, "raw_data is there twice");
      status = mcl_wire_bytes(&wire, &field, &tensor->raw, &tensor->raw_size);
      tensor->has_raw = true;
      break;
    case 13:
      status = mcl_wire_enter(&wire, &field, "reference to external data", &inner);
      if (!status) status = parse_external(document, inner, tensor);
      break;
    case 14:
      status = mcl_wire_int(&wire, &field, &location);
      tensor->is_external = location == 1;
      break;
    default:
      break;
    }
    if (status) return status;
  }
  if (status) return status;
  tensor->shape.rank = (int)rank;
  for (size_t i = 0; i < rank; i++) {
    tensor->shape.dim[i] = (int64_t)dims[i];
    if (tensor->shape.dim[i] < 0)
      return mcl_wire_fail(&wire, wire.at, "tensor \"%s\": dimension %zu is negative", tensor->name, i);
  }
  return MCL_OK;
}

/* ---- NodeProto ---- */

static mcl_status parse_numbers(onnx_document *document, mcl_wire wire, uint32_t number, mcl_wire_type element,
                                onnx_attribute *attribute) {
  mcl_wire copy = wire;
  mcl_wire_field field;
  bool more;
  mcl_status status;
  size_t count = 0, filled = 0;
  while (!(status = mcl_wire_next(&copy, &field, &more)) && more)
    if (field.number == number) MCL_TRY(mcl_wire_count(&copy, &field, element, &count));
  if (status) return status;
  MCL_TRY(mcl_onnx_alloc(document, count, sizeof *attribute->ints, &attribute->ints));
  while (!(status = mcl_wire_next(&wire, &field, &more)) && more)
    if (field.number == number)
      MCL_TRY(mcl_wire_numbers(&wire, &field, element, count, (uint64_t *)attribute->ints, &filled));
  attribute->count = filled;
  return status;
}

static mcl_status parse_attribute(onnx_document *document, mcl_wire wire, onnx_attribute *attribute) {
  const mcl_wire begin = wire;
  mcl_wire_field field;
  mcl_wire inner;
  bool more;
  mcl_status status;
  attribute->name = attribute->s = "";
  while (!(status = mcl_wire_next(&wire, &field, &more)) && more) {
    switch (field.number) {
    case 1:
      status = take_name(document, &wire, &field, &attribute->name);
      break;
    case 2:
      status = mcl_wire_float(&wire, &field, &attribute->f);
      break;
    case 3:
      status = mcl_wire_int(&wire, &field, &attribute->i);
      break;
    case 5:
      if (attribute->t) return mcl_wire_fail(&wire, wire.at, "attribute \"%s\" has two tensors", attribute->name);
      status = mcl_wire_enter(&wire, &field, "tensor", &inner);
      if (!status) status = mcl_onnx_alloc(document, 1, sizeof *attribute->t, &attribute->t);
      if (!status) status = parse_tensor(document, inner, attribute->t);
      break;
    case 20:
      status = mcl_wire_int(&wire, &field, &attribute->type);
      break;
    default:
      break;
    }
    if (status) return status;
  }
  if (status) return status;
  if (attribute->type == 6) return parse_numbers(document, begin, 7, MCL_WIRE_32, attribute);
  if (attribute->type == 7) return parse_numbers(document, begin, 8, MCL_WIRE_VARINT, attribute);
  if (attribute->type != 3) return MCL_OK;
  wire = begin; /* the text is wanted of strings alone: others may hold anything */
  while (!(status = mcl_wire_next(&wire, &field, &more)) && more)
    if (field.number == 4) MCL_TRY(take_text(document, &wire, &field, 65536, &attribute->s));
  return status;
}

static mcl_status parse_node(onnx_document *document, mcl_wire wire, onnx_node *node) {
  mcl_wire_field field;
  mcl_wire inner;
  bool more;
  mcl_status status;
  int inputs, outputs, attributes;
  node->name = node->op_type = node->domain = "";
  MCL_TRY(count_field(wire, 1, &inputs));
  MCL_TRY(count_field(wire, 2, &outputs));
  MCL_TRY(count_field(wire, 5, &attributes));
  MCL_TRY(mcl_onnx_alloc(document, (size_t)inputs, sizeof *node->inputs, &node->inputs));
  MCL_TRY(mcl_onnx_alloc(document, (size_t)outputs, sizeof *node->outputs, &node->outputs));
  MCL_TRY(mcl_onnx_alloc(document, (size_t)attributes, sizeof *node->attributes, &node->attributes));
  while (!(status = mcl_wire_next(&wire, &field, &more)) && more) {
    switch (field.number) {
    case 1:
      status = take_name(document, &wire, &field, &node->inputs[node->input_count++]);
      break;
    case 2:
      status = take_name(document, &wire, &field, &node->outputs[node->output_count++]);
      break;
    case 3:
      status = take_name(document, &wire, &field, &node->name);
      break;
    case 4:
      status = take_name(document, &wire, &field, &node->op_type);
      break;
    case 5:
      status = mcl_wire_enter(&wire, &field, "attribute", &inner);
      if (!status) status = parse_attribute(document, inner, &node->attributes[node->attribute_count++]);
      break;
    case 7:
      status = take_name(document, &wire, &field, &node->domain);
      break;
    default:
      break;
    }
    if (status) return status;
  }
  return status;
}

/* ---- ValueInfoProto ---- */

static mcl_status parse_dimension(onnx_document *document, mcl_wire wire, onnx_value_info *info) {
  mcl_wire_field field;
  bool more;
  mcl_status status;
  if (info->rank == MCL_MAX_RANK)
    return mcl_wire_fail(&wire, wire.at, "\"%s\" has more than %d dimensions", info->name, MCL_MAX_RANK);
  int64_t *dim = &info->dims[info->rank];
  const char **symbol = &info->symbols[info->rank++];
  *dim = -1;
  *symbol = "";
  while (!(status = mcl_wire_next(&wire, &field, &more)) && more) {
    if (field.number == 1) status = mcl_wire_int(&wire, &field, dim);
    if (field.number == 2) status = take_name(document, &wire, &field, symbol);
    if (status) return status;
  }
  if (*dim < 0) *dim = -1;
  return status;
}

static mcl_status parse_shape(onnx_document *document, mcl_wire wire, onnx_value_info *info) {
  mcl_wire_field field;
  mcl_wire inner;
  bool more;
  mcl_status status;
  if (info->has_shape) return mcl_wire_fail(&wire, wire.at, "\"%s\" has two shapes", info->name);
  info->has_shape = true;
  while (!(status = mcl_wire_next(&wire, &field, &more)) && more) {
    if (field.number != 1) continue;
    MCL_TRY(mcl_wire_enter(&wire, &field, "dimension", &inner));
    MCL_TRY(parse_dimension(document, inner, info));
  }
  return status;
}

/* TypeProto and its tensor_type */
static mcl_status parse_type(onnx_document *document, mcl_wire wire, onnx_value_info *info) {
  mcl_wire_field field;
  mcl_wire type, shape;
  bool more;
  mcl_status status;
  while (!(status = mcl_wire_next(&wire, &field, &more)) && more) {
    if (field.number != 1) continue; /* a sequence, a map: its type stays 0, which inputs refuse */
    MCL_TRY(mcl_wire_enter(&wire, &field, "tensor type", &type));
    while (!(status = mcl_wire_next(&type, &field, &more)) && more) {
      if (field.number == 1) status = mcl_wire_int(&type, &field, &info->type);
      if (field.number == 2) {
        status = mcl_wire_enter(&type, &field, "shape", &shape);
        if (!status) status = parse_shape(document, shape, info);
      }
      if (status) return status;
    }
    if (status) return status;
  }
  return status;
}

static mcl_status parse_value_info(onnx_document *document, mcl_wire wire, onnx_value_info *info) {
  mcl_wire type_wire;
  mcl_wire_field field;
  bool more;
  mcl_status status;
  info->name = "";
  mcl_wire names = wire; /* first, as messages about the type want it */
  while (!(status = mcl_wire_next(&names, &field, &more)) && more)
    if (field.number == 1) MCL_TRY(take_name(document, &names, &field, &info->name));
  if (status) return status;
  while (!(status = mcl_wire_next(&wire, &field, &more)) && more) {
    if (field.number != 2) continue;
    MCL_TRY(mcl_wire_enter(&wire, &field, "type", &type_wire));
    MCL_TRY(parse_type(document, type_wire, info));
  }
  return status;
}

/* ---- GraphProto, ModelProto ---- */

static mcl_status parse_graph(onnx_document *document, mcl_wire wire) {
  mcl_wire_field field;
  mcl_wire inner;
  bool more;
  mcl_status status;
  int nodes, initializers, inputs, outputs;
  MCL_TRY(count_field(wire, 1, &nodes));
  MCL_TRY(count_field(wire, 5, &initializers));
  MCL_TRY(count_field(wire, 11, &inputs));
  MCL_TRY(count_field(wire, 12, &outputs));
  MCL_TRY(mcl_onnx_alloc(document, (size_t)nodes, sizeof *document->nodes, &document->nodes));
  MCL_TRY(mcl_onnx_alloc(document, (size_t)initializers, sizeof *document->initializers, &document->initializers));
  MCL_TRY(mcl_onnx_alloc(document, (size_t)inputs, sizeof *document->inputs, &document->inputs));
  MCL_TRY(mcl_onnx_alloc(document, (size_t)outputs, sizeof *document->outputs, &document->outputs));
  while (!(status = mcl_wire_next(&wire, &field, &more)) && more) {
    switch (field.number) {
    case 1:
      status = mcl_wire_enter(&wire, &field, "node", &inner);
      if (!status) status = parse_node(document, inner, &document->nodes[document->node_count++]);
      break;
    case 5:
      status = mcl_wire_enter(&wire, &field, "tensor", &inner);
      if (!status) status = parse_tensor(document, inner, &document->initializers[document->initializer_count++]);
      break;
    case 11:
      status = mcl_wire_enter(&wire, &field, "input", &inner);
      if (!status) status = parse_value_info(document, inner, &document->inputs[document->input_count++]);
      break;
    case 12:
      status = mcl_wire_enter(&wire, &field, "output", &inner);
      if (!status) status = parse_value_info(document, inner, &document->outputs[document->output_count++]);
      break;
    case 15:
      return mcl_wire_fail(&wire, wire.at, "a sparse initializer; store it dense");
    default:
      break;
    }
    if (!status) status = mcl_check_cancel(document->ctx);
    if (status) return status;
  }
  return status;
}

static mcl_status parse_opset(onnx_document *document, mcl_wire wire) {
  mcl_wire_field field;
  bool more;
  mcl_status status;
  const char *domain = "";
  int64_t version = 0;
  while (!(status = mcl_wire_next(&wire, &field, &more)) && more) {
    if (field.number == 1) status = take_name(document, &wire, &field, &domain);
    if (field.number == 2) status = mcl_wire_int(&wire, &field, &version);
    if (status) return status;
  }
  if (!*domain || !strcmp(domain, "ai.onnx")) document->opset = version;
  return status;
}

static mcl_status parse_model(onnx_document *document, mcl_wire wire) {
  mcl_wire_field field;
  mcl_wire inner;
  bool more, has_graph = false, has_version = false;
  mcl_status status;
  int64_t version;
  while (!(status = mcl_wire_next(&wire, &field, &more)) && more) {
    switch (field.number) {
    case 1:
      status = mcl_wire_int(&wire, &field, &version);
      has_version = true;
      break;
    case 7:
      if (has_graph) return mcl_wire_fail(&wire, wire.at, "the graph is there twice");
      has_graph = true;
      status = mcl_wire_enter(&wire, &field, "graph", &inner);
      if (!status) status = parse_graph(document, inner);
      break;
    case 8:
      status = mcl_wire_enter(&wire, &field, "opset", &inner);
      if (!status) status = parse_opset(document, inner);
      break;
    default:
      break;
    }
    if (status) return status;
  }
  if (status) return status;
  if (!has_version || !has_graph)
    return mcl_fail(document->ctx, MCL_ERROR_FORMAT, "%s: is not an ONNX model, or is cut short: it has no %s",
                    document->path, has_graph ? "version" : "graph");
  return MCL_OK;
}

mcl_status mcl_onnx_parse(mcl_context *ctx, const char *path, const char *folder, const uint8_t *data, size_t size,
                          onnx_document **out) {
  onnx_document *document;
  *out = NULL;
  MCL_TRY(mcl_alloc_zero(ctx, sizeof *document, &document));
  document->ctx = ctx;
  document->path = path;
  document->folder = folder;
  mcl_status status = parse_model(document, mcl_wire_begin(ctx, path, "model", data, size));
  if (status)
    mcl_onnx_document_free(document);
  else
    *out = document;
  return status;
}
