/* What is in a file, from its directory alone. */
#include "artifact/container.h"

void mcl_artifact_info_free(mcl_context *ctx, mcl_artifact_info *info) {
  if (!info) return;
  for (int i = 0; info->weight && i < info->weights; i++) {
    mcl_free(ctx, (void *)(uintptr_t)info->weight[i].name);
    mcl_free(ctx, (void *)(uintptr_t)info->weight[i].node);
  }
  mcl_free(ctx, info->weight);
  mcl_free(ctx, info);
}

/* Its share of a directory that may be compressed, and of the trailer. */
static size_t directory_share(const mcl_container *container, const mcl_container_weight *entry) {
  double share = container->directory_size ? (double)entry->directory_bytes / (double)container->directory_size : 0;
  return (size_t)(share * (double)container->directory_stored + 0.5) + MCL_TRAILER_WEIGHT;
}

static mcl_status inspect_weight(const mcl_container *container, const mcl_model *model, int w,
                                 mcl_artifact_weight *out) {
  mcl_context *ctx = container->ctx;
  const mcl_container_weight *entry = &container->weights[w];
  const mcl_weight *weight = &model->weights[w];
  mcl_repr_reader reader = {.ctx = ctx, .header = {ctx, entry->header, entry->header_size, 0, weight->name}};
  mcl_description description = {.streams = NULL};
  int node = mcl_model_weight_node(model, w, NULL);
  int64_t count;
  mcl_status status = mcl_describe(&reader, weight->shape, &description);
  if (status) return mcl_fail_where(ctx, status, "%s: weight", container->what);
  MCL_TRY(mcl_shape_count(ctx, weight->shape, &count));
  char *name;
  MCL_TRY(mcl_strdup(ctx, weight->name, &name));
  out->name = name;
  MCL_TRY(mcl_strdup(ctx, node >= 0 ? model->nodes[node].name : "", &name));
  out->node = name;
  out->op = node >= 0 ? model->nodes[node].op->name : "";
  out->shape = weight->shape;
  memcpy(out->representation, description.text, sizeof out->representation);
  out->nonzeros = description.nonzeros;
  out->dense_bytes = (size_t)count * 4;
  out->packed_bytes = description.packed_bytes;
  const mcl_coded_stream *largest = NULL;
  for (int i = 0; i < entry->streams; i++) {
    const mcl_coded_stream *stream = &container->streams[entry->first_stream + i];
    out->coded_bytes += stream->size;
    if (!largest || stream->size > largest->size) largest = stream;
  }
  out->coder = largest ? mcl_stream_coder(largest->data, largest->size) : "none";
  out->file_bytes = out->coded_bytes + directory_share(container, entry);
  return MCL_OK;
}

static mcl_status inspect_model(mcl_model *model, mcl_artifact_info *info) {
  const mcl_container *container = mcl_container_of(model);
  size_t coded = 0;
  info->bytes = container->file_size;
  info->version_major = container->version_major;
  info->version_minor = container->version_minor;
  info->alignment = container->alignment;
  info->zstd_wrapped = container->is_wrapped;
  MCL_TRY(mcl_alloc_zero(model->ctx, (size_t)model->weight_count * sizeof *info->weight, &info->weight));
  info->weights = model->weight_count;
  for (int w = 0; w < model->weight_count; w++) {
    MCL_TRY(inspect_weight(container, model, w, &info->weight[w]));
    coded += info->weight[w].coded_bytes;
    info->dense_bytes += info->weight[w].dense_bytes;
  }
  info->parameters = (int64_t)(info->dense_bytes / 4);
  info->overhead_bytes = info->bytes > coded ? info->bytes - coded : 0; /* a wrap may make the whole smaller */
  return MCL_OK;
}

mcl_status mcl_artifact_inspect(mcl_context *ctx, const char *path, mcl_artifact_info **out) {
  mcl_artifact_info *info = NULL;
  mcl_model *model = NULL;
  *out = NULL;
  mcl_status status = mcl_model_open(ctx, path, &model);
  if (!status) status = mcl_alloc_zero(ctx, sizeof *info, &info);
  if (!status) status = inspect_model(model, info);
  mcl_model_free(model);
  if (status) {
    mcl_artifact_info_free(ctx, info);
    return status;
  }
  *out = info;
  return MCL_OK;
}
