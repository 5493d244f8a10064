/* The weights of a model by number and by name, for hosts (mcl_runtime.h): each can be read alone. */
#include "graph/graph.h"

static const mcl_weight *weight_at(const mcl_model *model, int index) {
  return index >= 0 && index < model->weight_count ? &model->weights[index] : NULL;
}

int mcl_model_weights(const mcl_model *model) { return model->weight_count; }

const char *mcl_model_weight_name(const mcl_model *model, int index) {
  const mcl_weight *weight = weight_at(model, index);
  return weight ? weight->name : NULL;
}

mcl_shape mcl_model_weight_shape(const mcl_model *model, int index) {
  const mcl_weight *weight = weight_at(model, index);
  return weight ? weight->shape : (mcl_shape){0};
}

int mcl_model_weight_index(const mcl_model *model, const char *name) { return mcl_model_find_weight(model, name); }

static mcl_status check_index(const mcl_model *model, int index) {
  if (weight_at(model, index)) return MCL_OK;
  return mcl_fail(model->ctx, MCL_ERROR_ARGUMENT, "%s: there is no weight %d; it has %d, counted from 0", model->name,
                  index, model->weight_count);
}

mcl_status mcl_model_weight_read(mcl_model *model, int index, float *values, size_t count) {
  MCL_TRY(check_index(model, index));
  mcl_weight *weight = &model->weights[index];
  bool was_coded = !weight->repr;
  int64_t has;
  MCL_TRY(mcl_shape_count(model->ctx, weight->shape, &has));
  if (count != (size_t)has)
    return mcl_fail(model->ctx, MCL_ERROR_ARGUMENT, "%s: weight \"%s\" has %lld values, and there is room for %zu",
                    model->name, weight->name, (long long)has, count);
  MCL_TRY(mcl_weight_load(model, index));
  mcl_status status = mcl_repr_decode_all(weight->repr, values);
  if (was_coded) { /* it stays so: what is read once takes no memory for good */
    mcl_repr_release(weight->repr);
    weight->repr = NULL;
  }
  return status;
}

mcl_status mcl_model_weight_values(mcl_model *model, int index, const float **values) {
  mcl_tensor *dense;
  *values = NULL;
  MCL_TRY(check_index(model, index));
  MCL_TRY(mcl_weight_values(model, index, &dense));
  *values = mcl_tensor_f32(dense);
  return MCL_OK;
}
