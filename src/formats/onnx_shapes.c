/* ONNX: the handlers of ops that move numbers about, and of those that compute shapes. Exporters spell x.view(len(x), -1)
 * as Shape → Gather → Unsqueeze → Concat → Reshape; such chains are followed at import as lists of whole numbers, in which
 * the batch stands as ONNX_BATCH. */
#include <math.h>
#include <stdio.h>

#include "formats/onnx_import.h"

static mcl_status bind_list(onnx_import *import, const onnx_node *node, const int64_t *numbers, int count) {
  onnx_value *output = mcl_onnx_find(import, node->outputs[0]);
  if (!output) return MCL_OK;
  output->kind = ONNX_LIST;
  output->list_count = count;
  if (count) memcpy(output->list, numbers, (size_t)count * sizeof *numbers);
  return MCL_OK;
}

/* Gives the output a constant made from input 0, if there is one; takes over the reference. */
static void bind_constant(onnx_import *import, const onnx_node *node, mcl_tensor *constant) {
  const onnx_value *input = mcl_onnx_input(import, node, 0);
  onnx_value *output = mcl_onnx_find(import, node->outputs[0]);
  if (!output) {
    mcl_tensor_release(constant);
    return;
  }
  output->kind = ONNX_CONSTANT;
  output->constant = constant;
  if (input) output->origin = input->origin, output->is_parameter = input->is_parameter;
}

static bool is_list(onnx_import *import, const onnx_node *node, int index) {
  const onnx_value *value = mcl_onnx_input(import, node, index);
  return value && value->kind == ONNX_LIST;
}

/* ---- Constant, Identity, Cast ---- */

mcl_status mcl_onnx_constant_node(onnx_import *import, const onnx_node *node) {
  onnx_value *output = mcl_onnx_find(import, node->outputs[0]);
  if (node->attribute_count != 1)
    return mcl_onnx_node_fail(import, node, MCL_ERROR_FORMAT, "op Constant has %d values; it must have one",
                              node->attribute_count);
  const onnx_attribute *value = &node->attributes[0];
  if (!output) return MCL_OK;
  if (!strcmp(value->name, "value")) {
    if (value->type != 4 || !value->t)
      return mcl_onnx_node_fail(import, node, MCL_ERROR_FORMAT, "attribute \"value\" of op Constant is no tensor");
    output->kind = ONNX_CONSTANT;
    output->tensor = value->t;
    return MCL_OK;
  }
  bool is_list_of = strstr(value->name, "s") != NULL, is_int = strstr(value->name, "int") != NULL;
  int64_t wanted = is_list_of ? (is_int ? 7 : 6) : (is_int ? 2 : 1);
  if (value->type != wanted)
    return mcl_onnx_node_fail(import, node, MCL_ERROR_FORMAT,
                              "attribute \"%s\" of op Constant has type %lld where %lld belongs", value->name,
                              (long long)value->type, (long long)wanted);
  mcl_tensor *t;
  mcl_shape scalar = {.rank = 0};
  MCL_TRY(mcl_tensor_new(import->ctx, is_int ? MCL_I64 : MCL_F32,
                         is_list_of ? mcl_shape_1((int64_t)value->count) : scalar, &t));
  for (int64_t i = 0; i < t->count; i++) {
    uint32_t bits = is_list_of ? (uint32_t)value->ints[i] : 0;
    if (is_int)
      ((int64_t *)t->data)[i] = is_list_of ? value->ints[i] : value->i;
    else if (is_list_of)
      memcpy(mcl_tensor_f32(t) + i, &bits, sizeof bits);
    else
      mcl_tensor_f32(t)[i] = value->f;
  }
  bind_constant(import, node, t);
  return MCL_OK;
}

/* The output is the input, whatever that is. */
mcl_status mcl_onnx_pass(onnx_import *import, const onnx_node *node) {
  const onnx_value *input = mcl_onnx_input(import, node, 0);
  onnx_value *output = mcl_onnx_find(import, node->outputs[0]);
  if (!output) return MCL_OK;
  output->kind = input->kind;
  output->value = input->value;
  output->tensor = input->tensor;
  output->constant = input->constant ? mcl_tensor_retain(input->constant) : NULL;
  output->origin = input->origin;
  output->is_parameter = input->is_parameter;
  output->is_padded = input->is_padded;
  memcpy(output->pad, input->pad, sizeof output->pad);
  output->root = input->root;
  output->is_turned = input->is_turned;
  memcpy(output->list, input->list, sizeof output->list);
  output->list_count = input->list_count;
  return MCL_OK;
}

/* A constant as whole numbers: what is behind the point is cut off, as a cast of C does. */
static mcl_status cast_to_whole(mcl_tensor *t, mcl_tensor **out) {
  if (t->dtype != MCL_F32) return mcl_tensor_convert(t, MCL_I64, out);
  mcl_tensor *whole;
  MCL_TRY(mcl_tensor_copy(t, &whole));
  for (int64_t i = 0; i < t->count; i++) mcl_tensor_f32(whole)[i] = truncf(mcl_tensor_f32(whole)[i]);
  mcl_status status = mcl_tensor_convert(whole, MCL_I64, out);
  mcl_tensor_release(whole);
  return status;
}

/* Everything is computed in f32, so a change between float types changes nothing. */
mcl_status mcl_onnx_cast(onnx_import *import, const onnx_node *node) {
  int64_t to;
  MCL_TRY(mcl_onnx_int(import, node, "to", 0, &to));
  bool is_float = to == ONNX_FLOAT || to == ONNX_FLOAT16 || to == ONNX_BFLOAT16 || to == ONNX_DOUBLE;
  bool is_whole = to == ONNX_INT32 || to == ONNX_INT64;
  const onnx_value *input = mcl_onnx_input(import, node, 0);
  if (is_float && input->kind == ONNX_COMPUTED) return mcl_onnx_pass(import, node);
  if (is_float && input->kind == ONNX_CONSTANT) {
    mcl_tensor *held;
    MCL_TRY(mcl_onnx_constant(import, node, 0, &held));
    if (held->dtype == MCL_F32) return mcl_onnx_pass(import, node);
  }
  if (is_whole && input->kind == ONNX_LIST) return mcl_onnx_pass(import, node);
  mcl_tensor *constant, *converted;
  if (input->kind == ONNX_CONSTANT && (is_float || is_whole)) {
    MCL_TRY(mcl_onnx_constant(import, node, 0, &constant));
    MCL_TRY(is_float ? mcl_onnx_constant_f32(import, node, 0, &converted) : cast_to_whole(constant, &converted));
    bind_constant(import, node, converted);
    return MCL_OK;
  }
  return mcl_onnx_node_fail(import, node, MCL_ERROR_UNSUPPORTED,
                            "op Cast to element type %lld is not supported here; models are computed in floats",
                            (long long)to);
}

/* ---- Reshape and its kin ---- */

static mcl_status finish_reshape(onnx_import *import, const onnx_node *node, int x, const int64_t *dims, int count) {
  int value;
  if (count > MCL_MAX_RANK)
    return mcl_onnx_node_fail(import, node, MCL_ERROR_UNSUPPORTED,
                              "op %s makes %d dimensions; at most %d are supported", node->op_type, count,
                              MCL_MAX_RANK);
  MCL_TRY(mcl_onnx_reshape(import, node, x, dims, count, NULL, &value));
  mcl_onnx_bind(import, node, value);
  return MCL_OK;
}

/* A weight has one shape; what is used in two becomes two. */
static void tell_if_parted(onnx_import *import, const onnx_node *node) {
  const onnx_value *input = mcl_onnx_input(import, node, 0), *output = mcl_onnx_find(import, node->outputs[0]);
  if (input->is_parameter && output && import->values[input->root].reach > output->reach)
    mcl_log(import->ctx, MCL_LOG_WARNING,
            "%s: \"%.200s\" is used in two shapes: it becomes two weights, which training no longer ties",
            import->document->path, input->origin);
}

mcl_status mcl_onnx_reshape_node(onnx_import *import, const onnx_node *node) {
  int64_t dims[ONNX_LIST_MOST], allow_zero;
  int x, count = 0;
  MCL_TRY(mcl_onnx_int(import, node, "allowzero", 0, &allow_zero));
  MCL_TRY(mcl_onnx_list(import, node, 1, dims, &count));
  mcl_tensor *constant, *view;
  bool is_whole = count <= MCL_MAX_RANK && mcl_onnx_is_constant(import, node, 0);
  for (int i = 0; i < count; i++) is_whole = is_whole && dims[i] > 0;
  if (is_whole) { /* a constant stays one, so that it may be a layer's weight */
    MCL_TRY(mcl_onnx_constant(import, node, 0, &constant));
    tell_if_parted(import, node);
    mcl_status status = mcl_tensor_reshape(constant, mcl_shape_of(count, dims), &view);
    if (status) return mcl_fail_where(import->ctx, status, "%s: node \"%.200s\"", import->document->path, node->name);
    bind_constant(import, node, view);
    return MCL_OK;
  }
  MCL_TRY(mcl_onnx_computed(import, node, 0, &x));
  mcl_shape shape = mcl_onnx_shape(import, x);
  for (int i = 0; i < count; i++) {
    if (dims[i] == 0 && allow_zero)
      return mcl_onnx_node_fail(import, node, MCL_ERROR_UNSUPPORTED, "op Reshape to an empty tensor (allowzero)");
    bool is_batch =
        dims[i] == ONNX_BATCH || (i == 0 && dims[0] == 1 && import->open_batch && shape.rank && shape.dim[0] < 0);
    if (is_batch && i > 0)
      return mcl_onnx_node_fail(import, node, MCL_ERROR_UNSUPPORTED,
                                "op Reshape moves the batch to dimension %d; it must stay "
                                "the first",
                                i);
    if (is_batch) dims[i] = 0;
  }
  return finish_reshape(import, node, x, dims, count);
}

mcl_status mcl_onnx_flatten(onnx_import *import, const onnx_node *node) {
  onnx_put put = mcl_onnx_op("flatten");
  int64_t axis;
  int x;
  MCL_TRY(mcl_onnx_int(import, node, "axis", 1, &axis));
  MCL_TRY(mcl_onnx_computed(import, node, 0, &x));
  mcl_onnx_set_ints(&put, "axis", &axis, 1);
  mcl_onnx_add_input(&put, x);
  return mcl_onnx_finish(import, node, &put);
}

/* Axes are an attribute in older opsets, input 1 in later ones; *count is -1 where there are none. */
static mcl_status read_axes(onnx_import *import, const onnx_node *node, int64_t *axes, int *count) {
  *count = -1;
  if (mcl_onnx_input(import, node, 1)) return mcl_onnx_list(import, node, 1, axes, count);
  return mcl_onnx_ints(import, node, "axes", ONNX_LIST_MOST, axes, count);
}

/* Marks axes, which may count from the end, of `rank` dimensions. */
static mcl_status mark_axes(onnx_import *import, const onnx_node *node, const int64_t *axes, int count, int rank,
                            bool marked[MCL_MAX_RANK]) {
  for (int i = 0; i < count; i++) {
    int64_t axis = axes[i] < 0 ? axes[i] + rank : axes[i];
    if (axis < 0 || axis >= rank || marked[axis])
      return mcl_onnx_node_fail(import, node, MCL_ERROR_FORMAT, "axis %lld of op %s is %s", (long long)axes[i],
                                node->op_type, axis < 0 || axis >= rank ? "outside the tensor" : "there twice");
    marked[axis] = true;
  }
  return MCL_OK;
}

mcl_status mcl_onnx_squeeze(onnx_import *import, const onnx_node *node) {
  int64_t axes[ONNX_LIST_MOST], dims[MCL_MAX_RANK];
  int x, count, left = 0;
  bool marked[MCL_MAX_RANK] = {false};
  if (is_list(import, node, 0)) return mcl_onnx_pass(import, node);
  MCL_TRY(mcl_onnx_computed(import, node, 0, &x));
  MCL_TRY(read_axes(import, node, axes, &count));
  mcl_shape shape = mcl_onnx_shape(import, x);
  MCL_TRY(mark_axes(import, node, axes, count, shape.rank, marked));
  for (int i = 0; i < shape.rank; i++) {
    if (count < 0) marked[i] = shape.dim[i] == 1;
    if (marked[i] && shape.dim[i] != 1)
      return mcl_onnx_node_fail(import, node, MCL_ERROR_FORMAT, "op Squeeze of dimension %d, which is %s", i,
                                shape.dim[i] < 0 ? "the batch" : "not 1");
    if (!marked[i]) dims[left++] = shape.dim[i] < 0 ? 0 : shape.dim[i];
  }
  return finish_reshape(import, node, x, dims, left);
}

mcl_status mcl_onnx_unsqueeze(onnx_import *import, const onnx_node *node) {
  int64_t axes[ONNX_LIST_MOST], dims[MCL_MAX_RANK];
  int x, count;
  bool marked[MCL_MAX_RANK] = {false};
  if (is_list(import, node, 0)) return mcl_onnx_pass(import, node);
  MCL_TRY(read_axes(import, node, axes, &count));
  if (count < 0) return mcl_onnx_node_fail(import, node, MCL_ERROR_FORMAT, "op Unsqueeze has no axes");
  if (mcl_onnx_is_constant(import, node, 0)) {
    mcl_tensor *constant;
    MCL_TRY(mcl_onnx_constant(import, node, 0, &constant));
    if (constant->dtype == MCL_I64 && constant->shape.rank == 0) return bind_list(import, node, constant->data, 1);
  }
  MCL_TRY(mcl_onnx_computed(import, node, 0, &x));
  mcl_shape shape = mcl_onnx_shape(import, x);
  int rank = shape.rank + count, next = 0;
  if (rank > MCL_MAX_RANK)
    return mcl_onnx_node_fail(import, node, MCL_ERROR_UNSUPPORTED,
                              "op Unsqueeze makes %d dimensions; at most %d are supported", rank, MCL_MAX_RANK);
  MCL_TRY(mark_axes(import, node, axes, count, rank, marked));
  for (int i = 0; i < rank; i++) {
    int64_t dim = marked[i] ? 1 : shape.dim[next++];
    if (dim < 0 && i > 0)
      return mcl_onnx_node_fail(import, node, MCL_ERROR_UNSUPPORTED,
                                "op Unsqueeze moves the batch; it must stay the first "
                                "dimension");
    dims[i] = dim < 0 ? 0 : dim;
  }
  return finish_reshape(import, node, x, dims, rank);
}

/* ---- Pad ---- */

/* Zeros around an image, as other frameworks' exporters put before a Conv: they become the Conv's own padding. Pads are an
 * attribute before opset 11, an input since, of the axes given from opset 18 on. */
mcl_status mcl_onnx_pad(onnx_import *import, const onnx_node *node) {
  int64_t pads[ONNX_LIST_MOST], axes[ONNX_LIST_MOST], all[2 * MCL_MAX_RANK] = {0};
  int count = 0, axis_count, x;
  const char *mode;
  double number;
  MCL_TRY(mcl_onnx_text(import, node, "mode", "constant", &mode));
  MCL_TRY(mcl_onnx_float(import, node, "value", 0, &number));
  MCL_TRY(mcl_onnx_ints(import, node, "pads", ONNX_LIST_MOST, pads, &count));
  if (mcl_onnx_input(import, node, 1)) MCL_TRY(mcl_onnx_list(import, node, 1, pads, &count));
  if (mcl_onnx_input(import, node, 2)) MCL_TRY(mcl_onnx_number(import, node, 2, &number));
  MCL_TRY(mcl_onnx_computed(import, node, 0, &x));
  int rank = mcl_onnx_shape(import, x).rank;
  for (axis_count = 0; axis_count < rank; axis_count++) axes[axis_count] = axis_count;
  if (mcl_onnx_input(import, node, 3)) MCL_TRY(mcl_onnx_list(import, node, 3, axes, &axis_count));
  bool marked[MCL_MAX_RANK] = {false}, is_image = (rank == 3 || rank == 4) && !strcmp(mode, "constant") && number == 0;
  MCL_TRY(mark_axes(import, node, axes, axis_count, rank, marked));
  if (count != 2 * axis_count)
    return mcl_onnx_node_fail(import, node, MCL_ERROR_FORMAT,
                              "op Pad has %d pads for %d axes; it must have two for each", count, axis_count);
  for (int i = 0; i < count; i++) {
    int64_t axis = axes[i % axis_count] < 0 ? axes[i % axis_count] + rank : axes[i % axis_count];
    all[axis + (i < axis_count ? 0 : rank)] = pads[i];
    is_image = is_image && pads[i] >= 0 && pads[i] <= INT32_MAX && (axis > 1 || pads[i] == 0);
  }
  if (!is_image)
    return mcl_onnx_node_fail(import, node, MCL_ERROR_UNSUPPORTED,
                              "op Pad is supported of zeros around an image, before Conv");
  MCL_TRY(mcl_onnx_pass(import, node));
  onnx_value *output = mcl_onnx_find(import, node->outputs[0]);
  for (int i = 2; output && i < rank; i++) {
    output->pad[i - 2] = all[i];
    output->pad[i] = all[rank + i];
    output->is_padded = output->is_padded || all[i] || all[rank + i];
  }
  return MCL_OK;
}

/* ---- Transpose, Concat ---- */

mcl_status mcl_onnx_transpose(onnx_import *import, const onnx_node *node) {
  int64_t perm[MCL_MAX_RANK];
  int x, count = 0;
  MCL_TRY(mcl_onnx_ints(import, node, "perm", MCL_MAX_RANK, perm, &count));
  const onnx_value *input = mcl_onnx_input(import, node, 0);
  mcl_tensor *constant, *turned;
  if (input->kind == ONNX_CONSTANT) { /* of a weight, as exporters do: stays a constant */
    MCL_TRY(mcl_onnx_constant(import, node, 0, &constant));
    bool is_swap = count == 0 || (count == 2 && perm[0] == 1 && perm[1] == 0);
    if (constant->shape.rank == 2 && constant->dtype == MCL_F32 && is_swap) {
      MCL_TRY(mcl_tensor_transpose(constant, &turned));
      bind_constant(import, node, turned);
      onnx_value *output = mcl_onnx_find(import, node->outputs[0]);
      if (output) output->root = input->root, output->is_turned = !input->is_turned;
      return MCL_OK;
    }
  }
  onnx_put put = mcl_onnx_op("transpose");
  MCL_TRY(mcl_onnx_computed(import, node, 0, &x));
  mcl_onnx_set_ints(&put, "perm", perm, count);
  mcl_onnx_add_input(&put, x);
  return mcl_onnx_finish(import, node, &put);
}

mcl_status mcl_onnx_concat(onnx_import *import, const onnx_node *node) {
  int64_t axis, joined[ONNX_LIST_MOST * 2];
  int value, count = 0, part;
  bool makes_list = false;
  for (int i = 0; i < node->input_count; i++) makes_list = makes_list || is_list(import, node, i);
  if (makes_list) {
    for (int i = 0; i < node->input_count; i++) {
      MCL_TRY(mcl_onnx_list(import, node, i, joined + count, &part));
      count += part;
      if (count > ONNX_LIST_MOST)
        return mcl_onnx_node_fail(import, node, MCL_ERROR_UNSUPPORTED,
                                  "op Concat makes a shape of more than %d dimensions", ONNX_LIST_MOST);
    }
    return bind_list(import, node, joined, count);
  }
  onnx_put put = mcl_onnx_op("concat");
  if (!mcl_onnx_attribute(node, "axis"))
    return mcl_onnx_node_fail(import, node, MCL_ERROR_FORMAT, "op Concat has no axis");
  MCL_TRY(mcl_onnx_int(import, node, "axis", 0, &axis));
  for (int i = 0; i < node->input_count; i++) {
    MCL_TRY(mcl_onnx_computed(import, node, i, &value));
    mcl_onnx_add_input(&put, value);
  }
  mcl_onnx_set_ints(&put, "axis", &axis, 1);
  return mcl_onnx_finish(import, node, &put);
}

/* ---- Shape, Gather: lists ---- */

mcl_status mcl_onnx_shape_node(onnx_import *import, const onnx_node *node) {
  int64_t start, end, numbers[MCL_MAX_RANK];
  int x, count = 0;
  MCL_TRY(mcl_onnx_computed(import, node, 0, &x));
  mcl_shape shape = mcl_onnx_shape(import, x);
  MCL_TRY(mcl_onnx_int(import, node, "start", 0, &start));
  MCL_TRY(mcl_onnx_int(import, node, "end", shape.rank, &end));
  if (start < 0) start += shape.rank;
  if (end < 0) end += shape.rank;
  for (int64_t i = start < 0 ? 0 : start; i < end && i < shape.rank; i++)
    numbers[count++] = shape.dim[i] < 0 ? ONNX_BATCH : shape.dim[i];
  return bind_list(import, node, numbers, count);
}

mcl_status mcl_onnx_gather(onnx_import *import, const onnx_node *node) {
  int64_t list[ONNX_LIST_MOST], indices[ONNX_LIST_MOST], taken[ONNX_LIST_MOST];
  int count, wanted;
  if (!is_list(import, node, 0))
    return mcl_onnx_node_fail(import, node, MCL_ERROR_UNSUPPORTED, "op Gather is supported of shapes alone");
  MCL_TRY(mcl_onnx_list(import, node, 0, list, &count));
  MCL_TRY(mcl_onnx_list(import, node, 1, indices, &wanted));
  for (int i = 0; i < wanted; i++) {
    int64_t index = indices[i] < 0 ? indices[i] + count : indices[i];
    if (index < 0 || index >= count)
      return mcl_onnx_node_fail(import, node, MCL_ERROR_FORMAT, "op Gather of element %lld of a shape of %d",
                                (long long)indices[i], count);
    taken[i] = list[index];
  }
  return bind_list(import, node, taken, wanted);
}

/* Of a list: starts, ends, axes (of which there is one) and steps of 1. */
mcl_status mcl_onnx_slice(onnx_import *import, const onnx_node *node) {
  int64_t list[ONNX_LIST_MOST], starts[ONNX_LIST_MOST], ends[ONNX_LIST_MOST], steps[ONNX_LIST_MOST];
  int count, start_count, end_count, step_count = 1;
  if (!is_list(import, node, 0))
    return mcl_onnx_node_fail(import, node, MCL_ERROR_UNSUPPORTED, "op Slice is supported of shapes alone");
  MCL_TRY(mcl_onnx_list(import, node, 0, list, &count));
  MCL_TRY(mcl_onnx_list(import, node, 1, starts, &start_count));
  MCL_TRY(mcl_onnx_list(import, node, 2, ends, &end_count));
  steps[0] = 1;
  if (mcl_onnx_input(import, node, 4)) MCL_TRY(mcl_onnx_list(import, node, 4, steps, &step_count));
  if (start_count != 1 || end_count != 1 || step_count != 1 || steps[0] != 1)
    return mcl_onnx_node_fail(import, node, MCL_ERROR_UNSUPPORTED,
                              "op Slice of a shape must have one start, one end and step 1");
  int64_t first = starts[0] < 0 ? starts[0] + count : starts[0], end = ends[0] < 0 ? ends[0] + count : ends[0];
  if (first < 0) first = 0;
  if (end > count) end = count;
  return bind_list(import, node, first < end ? list + first : list, first < end ? (int)(end - first) : 0);
}

/* ---- ReduceMean: of whole images ---- */

mcl_status mcl_onnx_reduce_mean(onnx_import *import, const onnx_node *node) {
  int64_t axes[ONNX_LIST_MOST], keeps;
  int x, count, value;
  bool marked[MCL_MAX_RANK] = {false};
  MCL_TRY(mcl_onnx_computed(import, node, 0, &x));
  MCL_TRY(mcl_onnx_int(import, node, "keepdims", 1, &keeps));
  MCL_TRY(read_axes(import, node, axes, &count));
  mcl_shape shape = mcl_onnx_shape(import, x);
  MCL_TRY(mark_axes(import, node, axes, count, shape.rank, marked));
  bool is_image = shape.rank >= 3 && !marked[0] && !marked[1];
  for (int i = 2; i < shape.rank; i++) is_image = is_image && marked[i];
  if (!is_image)
    return mcl_onnx_node_fail(
        import, node, MCL_ERROR_UNSUPPORTED,
        "op ReduceMean is supported over all dimensions after the first two, as the mean of an image");
  onnx_put put = mcl_onnx_op("global_average_pool");
  mcl_onnx_add_input(&put, x);
  if (keeps) return mcl_onnx_finish(import, node, &put);
  const int64_t dims[2] = {shape.dim[0] < 0 ? 0 : shape.dim[0], shape.dim[1]};
  MCL_TRY(mcl_onnx_place(import, node, &put, "pooled", &value));
  MCL_TRY(mcl_onnx_reshape(import, node, value, dims, 2, NULL, &value));
  mcl_onnx_bind(import, node, value);
  return MCL_OK;
}
