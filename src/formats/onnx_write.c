/* ONNX: a model → bytes. Weights are decoded one at a time and written straight through, so a model is exported in the
 * memory of its largest weight; protobuf wants the lengths of messages before their contents, so sizes are summed first. */
#include <limits.h>

#include "formats/arrays.h"
#include "formats/onnx_export.h"

#define IR_VERSION 8
#define SIZE_LIMIT ((size_t)INT_MAX) /* protobuf's own */

/* ---- Messages ---- */

void mcl_onnx_keep(onnx_export *export, mcl_status status) {
  if (!export->status) export->status = status;
}

void mcl_onnx_put_key(onnx_export *export, mcl_buffer *to, uint32_t number, mcl_wire_type type) {
  mcl_onnx_keep(export, mcl_buffer_varint(to, (uint64_t)number << 3 | type));
}

void mcl_onnx_put_int(onnx_export *export, mcl_buffer *to, uint32_t number, int64_t value) {
  mcl_onnx_put_key(export, to, number, MCL_WIRE_VARINT);
  mcl_onnx_keep(export, mcl_buffer_varint(to, (uint64_t)value));
}

void mcl_onnx_put_bytes(onnx_export *export, mcl_buffer *to, uint32_t number, const void *data, size_t size) {
  mcl_onnx_put_key(export, to, number, MCL_WIRE_BYTES);
  mcl_onnx_keep(export, mcl_buffer_varint(to, size));
  mcl_onnx_keep(export, mcl_buffer_append(to, data, size));
}

void mcl_onnx_put_text(onnx_export *export, mcl_buffer *to, uint32_t number, const char *text) {
  mcl_onnx_put_bytes(export, to, number, text, strlen(text));
}

void mcl_onnx_put_message(onnx_export *export, mcl_buffer *to, uint32_t number, mcl_buffer *message) {
  mcl_onnx_put_bytes(export, to, number, message->data, message->size);
  mcl_buffer_free(message);
}

/* ---- Names ---- */

static bool is_used(const mcl_model *model, int value, int but) {
  for (int n = 0; n < model->node_count; n++)
    for (int i = 0; n != but && i < model->nodes[n].inputs; i++)
      if (model->nodes[n].input[i] == value) return true;
  for (int i = 0; i < model->output_count; i++)
    if (model->outputs[i] == value) return true;
  return false;
}

/* An identity that only gives an output its name: the value before it gets the name instead. */
static bool only_names(const mcl_model *model, int n) {
  const mcl_node *node = &model->nodes[n];
  if (strcmp(node->op->name, "identity") || is_used(model, node->input[0], n)) return false;
  bool is_output = false;
  for (int i = 0; i < model->output_count; i++) is_output = is_output || model->outputs[i] == node->output[0];
  return is_output && model->values[node->input[0]].producer >= 0;
}

static mcl_status name_values(onnx_export *export) {
  mcl_model *model = export->model;
  MCL_TRY(mcl_alloc_array(export->ctx, (size_t)model->value_count, sizeof *export->names, &export->names));
  for (int i = 0; i < model->value_count; i++) export->names[i] = model->values[i].name;
  for (int n = model->node_count; n-- > 0;)
    if (only_names(model, n)) export->names[model->nodes[n].input[0]] = export->names[model->nodes[n].output[0]];
  return MCL_OK;
}

/* ---- Inputs, outputs, weights ---- */

static void put_value_info(onnx_export *export, mcl_buffer *to, uint32_t number, const char *name, mcl_shape shape) {
  mcl_buffer info = {.ctx = export->ctx}, type = {.ctx = export->ctx}, tensor = {.ctx = export->ctx},
             dims = {.ctx = export->ctx}, dim = {.ctx = export->ctx};
  for (int i = 0; i < shape.rank; i++) {
    if (shape.dim[i] < 0)
      mcl_onnx_put_text(export, &dim, 2, "batch");
    else
      mcl_onnx_put_int(export, &dim, 1, shape.dim[i]);
    mcl_onnx_put_message(export, &dims, 1, &dim);
  }
  mcl_onnx_put_int(export, &tensor, 1, ONNX_FLOAT);
  mcl_onnx_put_message(export, &tensor, 2, &dims);
  mcl_onnx_put_message(export, &type, 1, &tensor);
  mcl_onnx_put_text(export, &info, 1, name);
  mcl_onnx_put_message(export, &info, 2, &type);
  mcl_onnx_put_message(export, to, number, &info);
}

static void put_ends(onnx_export *export, mcl_buffer *to) {
  mcl_model *model = export->model;
  for (int i = 0; i < model->input_count; i++) {
    const mcl_value *value = &model->values[model->inputs[i]];
    put_value_info(export, to, 11, value->name, value->shape);
  }
  for (int i = 0; i < model->output_count; i++)
    put_value_info(export, to, 12, export->names[model->outputs[i]], model->values[model->outputs[i]].shape);
}

/* All of a weight's initializer but its elements, which follow it. */
static void put_weight_head(onnx_export *export, mcl_buffer *to, const mcl_weight *weight, size_t elements) {
  mcl_buffer head = {.ctx = export->ctx};
  for (int i = 0; i < weight->shape.rank; i++) mcl_onnx_put_int(export, &head, 1, weight->shape.dim[i]);
  mcl_onnx_put_int(export, &head, 2, ONNX_FLOAT);
  mcl_onnx_put_text(export, &head, 8, weight->name);
  mcl_onnx_put_key(export, &head, 9, MCL_WIRE_BYTES);
  mcl_onnx_keep(export, mcl_buffer_varint(&head, elements));
  mcl_onnx_put_key(export, to, 5, MCL_WIRE_BYTES);
  mcl_onnx_keep(export, mcl_buffer_varint(to, head.size + elements));
  mcl_onnx_keep(export, mcl_buffer_append(to, head.data, head.size));
  mcl_buffer_free(&head);
}

static size_t weight_bytes(mcl_model *model, int weight) {
  size_t count = 1;
  for (int i = 0; i < model->weights[weight].shape.rank; i++) count *= (size_t)model->weights[weight].shape.dim[i];
  return count * sizeof(float);
}

/* ---- The whole ---- */

/* Where bytes go: a file, or memory. */
typedef struct onnx_sink {
  mcl_file_writer *file;
  mcl_buffer *memory;
} onnx_sink;

static mcl_status sink(const onnx_sink *to, const void *data, size_t size) {
  return to->file ? mcl_file_write(to->file, data, size) : mcl_buffer_append(to->memory, data, size);
}

static mcl_status sink_elements(onnx_export *export, const onnx_sink *to, mcl_tensor *values) {
  float swapped[256];
  const float *data = mcl_tensor_f32(values);
  if (!mcl_machine_is_big_endian()) return sink(to, data, (size_t)values->count * sizeof *data);
  for (int64_t i = 0; i < values->count; i += 256) {
    size_t n = values->count - i < 256 ? (size_t)(values->count - i) : 256;
    mcl_copy_swapped(swapped, data + i, sizeof *data, n);
    MCL_TRY(sink(to, swapped, n * sizeof *data));
  }
  return mcl_check_cancel(export->ctx);
}

static mcl_status sink_weight(onnx_export *export, const onnx_sink *to, int index) {
  mcl_model *model = export->model;
  mcl_buffer head = {.ctx = export->ctx};
  mcl_tensor *values = NULL;
  MCL_TRY(mcl_weight_load(model, index));
  put_weight_head(export, &head, &model->weights[index], weight_bytes(model, index));
  mcl_status status = export->status;
  if (!status) status = sink(to, head.data, head.size);
  if (!status) status = mcl_repr_values(model->weights[index].repr, &values);
  if (!status) status = sink_elements(export, to, values);
  mcl_tensor_release(values);
  mcl_buffer_free(&head);
  return status;
}

static mcl_status graph_size(onnx_export *export, size_t *out) {
  mcl_model *model = export->model;
  size_t total = export->nodes.size + export->constants.size;
  for (int i = 0; i < model->weight_count; i++) {
    mcl_buffer head = {.ctx = export->ctx};
    put_weight_head(export, &head, &model->weights[i], weight_bytes(model, i));
    total += head.size + weight_bytes(model, i);
    mcl_buffer_free(&head);
    if (total > SIZE_LIMIT)
      return mcl_fail(export->ctx, MCL_ERROR_UNSUPPORTED,
                      "%s: ONNX files end at 2 GB, this model is larger; save it as .bin", export->path);
  }
  *out = total;
  return export->status;
}

static mcl_status write_to(onnx_export *export, const onnx_sink *to) {
  mcl_buffer head = {.ctx = export->ctx}, opset = {.ctx = export->ctx};
  size_t size;
  MCL_TRY(graph_size(export, &size));
  mcl_onnx_put_int(export, &head, 1, IR_VERSION);
  mcl_onnx_put_text(export, &head, 2, "mcl");
  mcl_onnx_put_text(export, &head, 3, MCL_VERSION);
  mcl_onnx_put_text(export, &opset, 1, "");
  mcl_onnx_put_int(export, &opset, 2, ONNX_OPSET);
  mcl_onnx_put_message(export, &head, 8, &opset);
  mcl_onnx_put_key(export, &head, 7, MCL_WIRE_BYTES);
  mcl_onnx_keep(export, mcl_buffer_varint(&head, size));
  mcl_status status = export->status;
  if (!status) status = sink(to, head.data, head.size);
  if (!status) status = sink(to, export->nodes.data, export->nodes.size);
  for (int i = 0; !status && i < export->model->weight_count; i++) status = sink_weight(export, to, i);
  if (!status) status = sink(to, export->constants.data, export->constants.size);
  mcl_buffer_free(&head);
  return status;
}

static mcl_status write_model(mcl_model *model, const char *path, const onnx_sink *to) {
  mcl_context *ctx = model->ctx;
  onnx_export export = {
      .ctx = ctx, .model = model, .path = path, .nodes = {.ctx = ctx}, .constants = {.ctx = ctx}, .node = {.ctx = ctx}};
  mcl_status status = name_values(&export);
  for (int n = 0; !status && n < model->node_count; n++)
    if (!only_names(model, n)) status = mcl_onnx_export_node(&export, &model->nodes[n]);
  if (!status) {
    mcl_onnx_put_text(&export, &export.nodes, 2, "mcl");
    put_ends(&export, &export.constants);
    status = export.status;
  }
  if (!status) status = write_to(&export, to);
  mcl_buffer_free(&export.nodes);
  mcl_buffer_free(&export.constants);
  mcl_buffer_free(&export.node);
  mcl_free(ctx, export.names);
  return status;
}

mcl_status mcl_onnx_encode(mcl_model *model, mcl_buffer *out) {
  const onnx_sink to = {.memory = out};
  return write_model(model, model->name, &to);
}

mcl_status mcl_onnx_save_model(mcl_model *model, const char *path, const mcl_artifact_options *options) {
  onnx_sink to = {0};
  (void)options;
  if (!model->node_count)
    return mcl_fail(model->ctx, MCL_ERROR_UNSUPPORTED,
                    "%s: a model that has no graph cannot be ONNX; save a .safetensors, .gguf or .npz", path);
  MCL_TRY(mcl_file_writer_open(model->ctx, path, &to.file));
  mcl_status status = write_model(model, path, &to);
  if (!status) return mcl_file_commit(to.file);
  mcl_file_abandon(to.file);
  return status;
}
