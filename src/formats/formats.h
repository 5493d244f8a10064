/* File formats: one file each, one row each in formats.c. */
#ifndef MCL_FORMATS_FORMATS_H
#define MCL_FORMATS_FORMATS_H

#include "artifact/artifact.h"

typedef struct mcl_format {
  const char *name;
  const char *extensions; /* "onnx", "mcl bin": by which a path is known, in letters of either case */
  mcl_status (*load_model)(mcl_context *ctx, const char *path, mcl_model **out); /* NULL: written only */
  mcl_status (*save_model)(mcl_model *model, const char *path,
                           const mcl_artifact_options *options); /* NULL: read only */
  bool is_container; /* the project's own: its directory can be read alone (mcl_artifact_inspect) */
  bool is_coded;     /* an artifact is written: options say how. Others take none */
} mcl_format;

typedef enum mcl_format_use { MCL_FORMAT_READ, MCL_FORMAT_WRITTEN } mcl_format_use;

extern const mcl_format mcl_formats[];
extern const int mcl_format_count;
/* ".mcl .bin …": the extensions of what is read, or written. */
const char *mcl_format_extensions(mcl_format_use use, char text[128]);
/* The format that the path's extension names, for this use; else an error that says what there is for it. */
mcl_status mcl_format_of_path(mcl_context *ctx, const char *path, mcl_format_use use, const mcl_format **out);
mcl_status mcl_load_model(mcl_context *ctx, const char *path, mcl_model **out);
/* options: NULL for the presets; those that the format does not know are refused. */
mcl_status mcl_save_model(mcl_model *model, const char *path, const mcl_artifact_options *options);

/* Tensors without a graph: npy, npz, safetensors, GGUF, idx, idx.gz. */
mcl_status mcl_npy_load(mcl_context *ctx, const char *path, mcl_tensor **out); /* maps where it can */
mcl_status mcl_npy_save(mcl_tensor *t, const char *path);
/* The tensors of a .npz, in the order of the file; the caller frees names and list with mcl_tensor_list_free. */
typedef struct mcl_named_tensor {
  char *name;
  mcl_tensor *tensor;
  size_t file_bytes; /* of its elements as the file holds them */
} mcl_named_tensor;
mcl_status mcl_npz_load(mcl_context *ctx, const char *path, mcl_named_tensor **out, int *count);
/* The same; of members that `wanted`, a list ended by NULL, does not name, the name is given and no tensor (NULL): what they
 * hold is not judged. wanted NULL: all. */
mcl_status mcl_npz_load_some(mcl_context *ctx, const char *path, const char *const *wanted, mcl_named_tensor **out,
                             int *count);
mcl_status mcl_npz_save(mcl_context *ctx, const char *path, const mcl_named_tensor *tensors, int count, bool compress);
/* The same of safetensors; tensors view the mapped file where it is aligned. */
mcl_status mcl_safetensors_load(mcl_context *ctx, const char *path, mcl_named_tensor **out, int *count);
mcl_status mcl_safetensors_save(mcl_context *ctx, const char *path, const mcl_named_tensor *tensors, int count);
/* The same of GGUF, in the order of their elements; Q4_0 and Q8_0 become f32, ggml's other blocks are refused. */
mcl_status mcl_gguf_load(mcl_context *ctx, const char *path, mcl_named_tensor **out, int *count);
void mcl_tensor_list_free(mcl_context *ctx, mcl_named_tensor *list, int count);
mcl_status mcl_idx_load(mcl_context *ctx, const char *path, mcl_tensor **out); /* .gz or not, by its first bytes */

#endif
