/* The container: graph and coded representations in one file. docs/format.md is its specification. */
#ifndef MCL_ARTIFACT_ARTIFACT_H
#define MCL_ARTIFACT_ARTIFACT_H

#include "graph/graph.h"

/* What a reader of a directory finds, without touching the streams. */
typedef struct mcl_artifact_weight {
  const char *name, *node, *op, *coder; /* node: the layer that uses it; coder: of its largest stream */
  char representation[128];
  mcl_shape shape;
  int64_t nonzeros;
  size_t dense_bytes;  /* 4 × count */
  size_t packed_bytes; /* the streams at fixed bits a symbol, without entropy coding */
  size_t coded_bytes;  /* the streams as they stand in the file */
  size_t file_bytes;   /* with this weight's share of the directory */
} mcl_artifact_weight;

typedef struct mcl_artifact_info {
  size_t bytes, dense_bytes, overhead_bytes; /* the whole file; 4 × parameters; all but coded streams */
  int version_major, version_minor, alignment;
  bool zstd_wrapped;
  int weights;
  mcl_artifact_weight *weight;
  int64_t parameters;
} mcl_artifact_info;

mcl_status mcl_artifact_inspect(mcl_context *ctx, const char *path, mcl_artifact_info **out);
void mcl_artifact_info_free(mcl_context *ctx, mcl_artifact_info *info);
/* Every checksum, every stream decoded. The message names the weight, the stream and the place. */
mcl_status mcl_artifact_verify(mcl_context *ctx, const char *path);
bool mcl_artifact_is(const uint8_t *data, size_t size); /* by its magic */

/* ---- The engine's half (artifact_write.c) ---- */

typedef struct mcl_artifact_options {
  bool dense;        /* .bin: weights as f32, aligned to 64, no entropy coding */
  bool keep;         /* with dense: keep representations, only leave their streams raw (checkpoints) */
  int zstd_level;    /* an outer wrap, where it makes the file smaller; 0: none */
  bool portable;     /* nothing that a runtime without zstd could not open: the directory as it is */
  const char *coder; /* wanted for symbol streams; NULL: the smallest for each */
} mcl_artifact_options;

/* Exact size of the file that write will write. options may be NULL. */
mcl_status mcl_artifact_size(mcl_model *model, const mcl_artifact_options *options, size_t *bytes);
mcl_status mcl_artifact_write(mcl_model *model, const mcl_artifact_options *options, const char *path);
mcl_status mcl_artifact_encode(mcl_model *model, const mcl_artifact_options *options, mcl_buffer *out);

#endif
