/* The directory, written: inputs, weights and nodes in the order of the model's values. */
#include "artifact/container.h"
#include "repr/fit.h"

typedef struct mcl_graph_writer {
  const mcl_model *model;
  mcl_buffer *out;
  const char *name; /* the last one's stem */
  size_t stem;
} mcl_graph_writer;

/* ---- Names: the suffix by its number, the beginning by how much it shares with the stem before ---- */

static int find_suffix(const char *name, size_t *stem) {
  size_t length = strlen(name);
  for (int s = 1; s < 4 && mcl_name_suffixes[s]; s++) {
    size_t tail = strlen(mcl_name_suffixes[s]);
    if (length < tail || strcmp(name + length - tail, mcl_name_suffixes[s]) != 0) continue;
    *stem = length - tail;
    return s;
  }
  *stem = length;
  return 0;
}

static mcl_status write_rest(mcl_graph_writer *writer, size_t count) {
  return count < 15 ? MCL_OK : mcl_buffer_varint(writer->out, count - 15);
}

/* The entry's tag, and its name. */
static mcl_status write_name(mcl_graph_writer *writer, int tag, const char *name) {
  size_t stem, shared = 0;
  int suffix = find_suffix(name, &stem);
  if (strlen(name) > MCL_NAME_LIMIT)
    return mcl_fail(writer->model->ctx, MCL_ERROR_ARGUMENT, "%s: a name of more than %d bytes: \"%.40s…\"",
                    writer->model->name, MCL_NAME_LIMIT, name);
  while (shared < stem && shared < writer->stem && name[shared] == writer->name[shared]) shared++;
  size_t fresh = stem - shared;
  uint8_t lengths = (uint8_t)((shared < 15 ? shared : 15) << 4 | (fresh < 15 ? fresh : 15));
  MCL_TRY(mcl_buffer_u8(writer->out, (uint8_t)(tag | suffix * MCL_ENTRY_SUFFIX)));
  MCL_TRY(mcl_buffer_u8(writer->out, lengths));
  MCL_TRY(write_rest(writer, shared));
  MCL_TRY(write_rest(writer, fresh));
  MCL_TRY(mcl_buffer_append(writer->out, name + shared, fresh));
  writer->name = name;
  writer->stem = stem;
  return MCL_OK;
}

static mcl_status write_shape(mcl_graph_writer *writer, mcl_shape shape) {
  MCL_TRY(mcl_buffer_varint(writer->out, (uint64_t)shape.rank));
  for (int i = 0; i < shape.rank; i++) MCL_TRY(mcl_buffer_varint(writer->out, (uint64_t)(shape.dim[i] + 1)));
  return MCL_OK;
}

/* ---- Entries ---- */

static mcl_status write_weight(mcl_graph_writer *writer, const mcl_weight *weight, const mcl_repr_writer *measured) {
  MCL_TRY(write_name(writer, MCL_ENTRY_WEIGHT | (weight->is_state ? MCL_ENTRY_STATE : 0), weight->name));
  MCL_TRY(write_shape(writer, weight->shape));
  MCL_TRY(mcl_buffer_varint(writer->out, measured->header.size));
  MCL_TRY(mcl_buffer_append(writer->out, measured->header.data, measured->header.size));
  MCL_TRY(mcl_buffer_varint(writer->out, (uint64_t)measured->stream_count));
  for (int i = 0; i < measured->stream_count; i++) MCL_TRY(mcl_buffer_varint(writer->out, measured->stream_size[i]));
  return MCL_OK;
}

static uint64_t zigzag(int64_t value) { return (uint64_t)value << 1 ^ (uint64_t)(value >> 63); }

static bool is_preset(const mcl_attribute_spec *spec, const mcl_attribute *attribute) {
  if (spec->type == MCL_ATTRIBUTE_FLOAT)
    return memcmp(&spec->preset.number, &attribute->number, sizeof attribute->number) == 0;
  return spec->preset.count == attribute->count &&
         memcmp(spec->preset.ints, attribute->ints, (size_t)attribute->count * sizeof *attribute->ints) == 0;
}

static mcl_status write_attribute(mcl_graph_writer *writer, const mcl_attribute_spec *spec,
                                  const mcl_attribute *attribute) {
  uint64_t bits;
  if (spec->type == MCL_ATTRIBUTE_FLOAT) {
    memcpy(&bits, &attribute->number, sizeof bits);
    return mcl_buffer_u64(writer->out, bits);
  }
  if (spec->preset.count == 0) MCL_TRY(mcl_buffer_varint(writer->out, (uint64_t)attribute->count));
  for (int i = 0; i < attribute->count; i++) MCL_TRY(mcl_buffer_varint(writer->out, zigzag(attribute->ints[i])));
  return MCL_OK;
}

static mcl_status write_node(mcl_graph_writer *writer, const mcl_node *node, int next_value) {
  const mcl_op *op = node->op;
  uint32_t changed = 0;
  int attributes = mcl_op_attributes(op);
  if (mcl_op_by_id(op->id) != op)
    return mcl_fail(writer->model->ctx, MCL_ERROR_UNSUPPORTED,
                    "%s: node \"%s\": the op %s is not one of the library's, so no container can hold it",
                    writer->model->name, node->name, op->name);
  for (int i = 0; i < attributes; i++)
    if (!is_preset(&op->attributes[i], &node->attribute[i])) changed |= 1u << i;
  MCL_TRY(write_name(writer, MCL_ENTRY_NODE | (changed ? MCL_ENTRY_ATTRIBUTES : 0), node->name));
  MCL_TRY(mcl_buffer_u8(writer->out, op->id));
  if (changed) MCL_TRY(mcl_buffer_varint(writer->out, changed));
  for (int i = 0; i < attributes; i++)
    if (changed >> i & 1) MCL_TRY(write_attribute(writer, &op->attributes[i], &node->attribute[i]));
  MCL_TRY(mcl_buffer_varint(writer->out, (uint64_t)node->inputs));
  for (int i = 0; i < node->inputs; i++)
    MCL_TRY(mcl_buffer_varint(writer->out, node->input[i] < 0 ? 0 : (uint64_t)(next_value - node->input[i])));
  return MCL_OK;
}

static mcl_status write_input(mcl_graph_writer *writer, const mcl_value *value) {
  MCL_TRY(write_name(writer, MCL_ENTRY_INPUT, value->name));
  return write_shape(writer, value->shape);
}

/* A node's further outputs follow its first by themselves. */
static bool is_entry(const mcl_model *model, int value) {
  int producer = model->values[value].producer;
  return producer < 0 || model->nodes[producer].output[0] == value;
}

mcl_status mcl_graph_write(const mcl_model *model, const struct mcl_repr_writer *weights, mcl_buffer *out) {
  mcl_graph_writer writer = {.model = model, .out = out, .name = ""};
  uint64_t entries = 0;
  for (int v = 0; v < model->value_count; v++) entries += is_entry(model, v);
  MCL_TRY(mcl_buffer_varint(out, entries));
  for (int v = 0; v < model->value_count; v++) {
    const mcl_value *value = &model->values[v];
    if (!is_entry(model, v)) continue;
    if (value->weight >= 0)
      MCL_TRY(write_weight(&writer, &model->weights[value->weight], &weights[value->weight]));
    else if (value->producer >= 0)
      MCL_TRY(write_node(&writer, &model->nodes[value->producer], v));
    else
      MCL_TRY(write_input(&writer, value));
  }
  MCL_TRY(mcl_buffer_varint(out, (uint64_t)model->output_count));
  for (int i = 0; i < model->output_count; i++) MCL_TRY(mcl_buffer_varint(out, (uint64_t)model->outputs[i]));
  return MCL_OK;
}
