/* What the array formats (npy, npz, idx) share: each read from memory, so that files, members of an archive and
 * the fuzz targets go the same way. `name` is for messages: the file, or the file and its member. */
#ifndef MCL_FORMATS_ARRAYS_H
#define MCL_FORMATS_ARRAYS_H

#include "base/bytes.h"
#include "formats/formats.h"

/* `map`, if given, is the file that `data` lies in: the tensor then views it where layout and alignment allow. */
mcl_status mcl_npy_read(mcl_context *ctx, const char *name, const uint8_t *data, size_t size, mcl_file_map *map,
                        mcl_tensor **out);
/* The bytes that precede the elements of `t` in a .npy file. bf16, which NumPy does not know, is not for it. */
mcl_status mcl_npy_header(const mcl_tensor *t, mcl_buffer *out);
/* Retains t, or an f32 copy of it where its dtype is unknown to NumPy. */
mcl_status mcl_npy_storable(mcl_tensor *t, mcl_tensor **out);

/* What a .npy header says, checked: sizes fit the memory that is to hold the elements. */
typedef struct mcl_npy_info {
  mcl_dtype dtype;     /* of the tensor */
  char kind;           /* of the file: 'f', 'i', 'u' or 'b' */
  size_t element_size; /* in the file */
  bool swapped;        /* elements are in the other byte order than this machine's */
  bool fortran;        /* column-major */
  mcl_shape shape;
  size_t count, offset; /* elements; where they begin */
} mcl_npy_info;
/* size: of what is at data, at least the header; total: of the whole array file. */
mcl_status mcl_npy_parse(mcl_context *ctx, const char *name, const uint8_t *data, size_t size, size_t total,
                         mcl_npy_info *out);
/* The elements are in memory as a tensor's own would be. Booleans are not: any byte but 0 and 1 would be a lie. */
static inline bool mcl_npy_is_plain(const mcl_npy_info *info) {
  return !info->swapped && !(info->fortran && info->shape.rank > 1) && info->kind != 'b' &&
         info->element_size == mcl_dtype_size(info->dtype) && !(info->kind == 'u' && info->element_size == 8);
}
/* Elements in file order → a tensor: swapped, transposed, widened as needed. */
mcl_status mcl_npy_elements(mcl_context *ctx, const char *name, const mcl_npy_info *info, const uint8_t *elements,
                            mcl_tensor **out);

mcl_status mcl_npz_read(mcl_context *ctx, const char *name, const uint8_t *data, size_t size, const char *const *wanted,
                        mcl_named_tensor **out, int *count);
mcl_status mcl_npz_save_model(mcl_model *model, const char *path, const mcl_artifact_options *options);
mcl_status mcl_safetensors_read(mcl_context *ctx, const char *name, const uint8_t *data, size_t size, mcl_file_map *map,
                                mcl_named_tensor **out, int *count);
mcl_status mcl_safetensors_save_model(mcl_model *model, const char *path, const mcl_artifact_options *options);
mcl_status mcl_gguf_read(mcl_context *ctx, const char *name, const uint8_t *data, size_t size, mcl_file_map *map,
                         mcl_named_tensor **out, int *count);
/* Models without a graph (weights.c). */
mcl_status mcl_npz_load_model(mcl_context *ctx, const char *path, mcl_model **out);
mcl_status mcl_safetensors_load_model(mcl_context *ctx, const char *path, mcl_model **out);
mcl_status mcl_gguf_load_model(mcl_context *ctx, const char *path, mcl_model **out);
mcl_status mcl_gguf_save_model(mcl_model *model, const char *path, const mcl_artifact_options *options);
mcl_status mcl_header_save_model(mcl_model *model, const char *path, const mcl_artifact_options *options);
mcl_status mcl_idx_read(mcl_context *ctx, const char *name, const uint8_t *data, size_t size, mcl_tensor **out);

/* Copies `count` elements of `size` bytes, each with its bytes reversed. */
void mcl_copy_swapped(void *to, const void *from, size_t size, size_t count);
static inline bool mcl_machine_is_big_endian(void) { return __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__; }

/* Deflate cannot shrink below 1/1032: what a compressed size may at most grow to, or SIZE_MAX. */
size_t mcl_deflate_bound(size_t compressed);

#endif
