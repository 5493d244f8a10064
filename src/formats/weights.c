/* Files of weights alone, safetensors, GGUF and npz, as models without a graph: they can be compressed, compared and written, and
 * say so where they would have to run. */
#include <stdio.h>

#include "formats/arrays.h"

typedef mcl_status (*load_fn)(mcl_context *ctx, const char *path, mcl_named_tensor **out, int *count);

/* Weights are arithmetic's f32, or keep their float type; integers are converted. What has no elements is no weight. */
static mcl_status add_tensor(mcl_model *model, const mcl_named_tensor *named) {
  char what[1024];
  snprintf(what, sizeof what, "%.700s: weight \"%.200s\"", model->name, named->name);
  if (!named->tensor->count) {
    char text[MCL_SHAPE_TEXT];
    mcl_log(model->ctx, MCL_LOG_WARNING, "%s of shape %s has no elements: it is left out", what,
            mcl_shape_text(named->tensor->shape, text));
    return MCL_OK;
  }
  mcl_dtype dtype = mcl_tensor_dtype(named->tensor);
  bool is_float = dtype == MCL_F32 || dtype == MCL_F16 || dtype == MCL_BF16;
  mcl_tensor *values = NULL;
  mcl_repr *repr = NULL;
  int value;
  mcl_status status = mcl_tensor_narrow(named->tensor, is_float ? dtype : MCL_F32, what, &values);
  if (!status) status = mcl_dense_new(values, &repr);
  if (!status) status = mcl_model_add_weight(model, named->name, repr, false, &value);
  if (!status) model->weights[model->weight_count - 1].file_bytes = named->file_bytes;
  mcl_repr_release(repr);
  mcl_tensor_release(values);
  return status;
}

static mcl_status load(mcl_context *ctx, const char *path, load_fn read, mcl_model **out) {
  mcl_named_tensor *list = NULL;
  mcl_model *model = NULL;
  int count = 0;
  *out = NULL;
  mcl_status status = read(ctx, path, &list, &count);
  if (!status) status = mcl_model_new(ctx, path, &model);
  for (int i = 0; !status && i < count; i++) status = add_tensor(model, &list[i]);
  mcl_tensor_list_free(ctx, list, count);
  if (status) {
    mcl_model_free(model);
    return status;
  }
  *out = model;
  return MCL_OK;
}

mcl_status mcl_safetensors_load_model(mcl_context *ctx, const char *path, mcl_model **out) {
  return load(ctx, path, mcl_safetensors_load, out);
}

mcl_status mcl_gguf_load_model(mcl_context *ctx, const char *path, mcl_model **out) {
  return load(ctx, path, mcl_gguf_load, out);
}

mcl_status mcl_npz_load_model(mcl_context *ctx, const char *path, mcl_model **out) {
  return load(ctx, path, mcl_npz_load, out);
}
