/* The IDX format of MNIST and its kin, plain or gzipped: two zero bytes, a type, a rank, the dimensions and the elements,
 * big-endian. A gzip, of one member or several, is inflated straight into the tensor, in a size that its header gave and
 * its own size bounds. */
#define ZLIB_CONST
#include <zlib.h>

#include "formats/arrays.h"

#define HEADER_MOST (4 + 4 * MCL_MAX_RANK)

/* Where the file's bytes come from: memory as it is, or inflated on the way. */
typedef struct idx_source {
  mcl_context *ctx;
  const char *name;
  const uint8_t *at;
  size_t left;         /* in memory: bytes after `at`, compressed or not */
  bool gzipped, ended; /* ended: after the last member of a gzip */
  z_stream inflate;
} idx_source;

/* zlib's memory goes through the context, so that its limit holds. */
static void *zlib_alloc(void *ctx, unsigned count, unsigned size) {
  void *memory;
  return mcl_alloc_array(ctx, count, size, &memory) ? NULL : memory;
}
static void zlib_free(void *ctx, void *memory) { mcl_free(ctx, memory); }

static mcl_status ends_early(const idx_source *source, size_t wanted, size_t got) {
  return mcl_fail(source->ctx, MCL_ERROR_FORMAT, "%s: ends early: %zu bytes were wanted, %zu are there", source->name,
                  wanted, got);
}

static unsigned chunk_of(size_t size) { return size > (1u << 20) ? 1u << 20 : (unsigned)size; }

/* After a member's end: the next one, where one follows (RFC 1952, 2.2); zeros that fill up a block are no member. */
static mcl_status next_member(idx_source *source) {
  if (source->left >= 2 && source->at[0] == 0x1f && source->at[1] == 0x8b) {
    inflateReset(&source->inflate);
    return MCL_OK;
  }
  source->ended = true;
  for (size_t i = 0; i < source->left; i++)
    if (source->at[i])
      return mcl_fail(source->ctx, MCL_ERROR_FORMAT, "%s: %zu bytes that are no gzip follow its end", source->name,
                      source->left);
  return MCL_OK;
}

/* One step: at most `room` bytes into `to`. Nothing got and nothing used up: it is cut short. */
static mcl_status inflate_step(idx_source *source, uint8_t *to, size_t room, size_t *got, bool *is_cut) {
  z_stream *z = &source->inflate;
  unsigned space = chunk_of(room), given = chunk_of(source->left);
  z->next_out = to;
  z->avail_out = space;
  z->next_in = source->at;
  z->avail_in = given;
  int code = inflate(z, Z_NO_FLUSH);
  size_t used = given - z->avail_in;
  source->at += used;
  source->left -= used;
  *got = space - z->avail_out;
  *is_cut = !used && !*got && (code == Z_BUF_ERROR || code == Z_OK);
  if (code == Z_STREAM_END) return next_member(source);
  if (code == Z_MEM_ERROR) return mcl_fail(source->ctx, MCL_ERROR_MEMORY, "%s: no memory to inflate it", source->name);
  if (code != Z_OK && code != Z_BUF_ERROR)
    return mcl_fail(source->ctx, MCL_ERROR_FORMAT, "%s: the gzip is damaged: %s", source->name,
                    z->msg ? z->msg : "wrong data");
  return mcl_check_cancel(source->ctx);
}

static mcl_status inflate_bytes(idx_source *source, uint8_t *to, size_t size) {
  size_t got = 0, more;
  bool is_cut = false;
  while (got < size) {
    if (source->ended || is_cut) return ends_early(source, size, got);
    MCL_TRY(inflate_step(source, to + got, size - got, &more, &is_cut));
    got += more;
  }
  return MCL_OK;
}

static mcl_status source_read(idx_source *source, uint8_t *to, size_t size) {
  if (source->gzipped) return inflate_bytes(source, to, size);
  if (size > source->left) return ends_early(source, size, source->left);
  memcpy(to, source->at, size);
  source->at += size;
  source->left -= size;
  return MCL_OK;
}

/* The elements have been read: the file must end here, and a gzip's own checksums must be right. */
static mcl_status source_end(idx_source *source) {
  if (!source->gzipped) {
    if (source->left)
      return mcl_fail(source->ctx, MCL_ERROR_FORMAT, "%s: %zu bytes follow the last element", source->name,
                      source->left);
    return MCL_OK;
  }
  uint8_t extra;
  size_t got = 0;
  bool is_cut = false;
  while (!source->ended) {
    MCL_TRY(inflate_step(source, &extra, 1, &got, &is_cut));
    if (got) return mcl_fail(source->ctx, MCL_ERROR_FORMAT, "%s: bytes follow the last element", source->name);
    if (is_cut)
      return mcl_fail(source->ctx, MCL_ERROR_FORMAT, "%s: the gzip is damaged at its end: it is cut short",
                      source->name);
  }
  return MCL_OK;
}

size_t mcl_deflate_bound(size_t compressed) {
  size_t bound;
  return mcl_mul_size(compressed, 1032, &bound) ? bound : SIZE_MAX;
}

static mcl_status read_header(idx_source *source, mcl_dtype *dtype, mcl_shape *shape, size_t *bytes) {
  static const struct {
    uint8_t code;
    mcl_dtype dtype;
  } types[] = {{0x08, MCL_U8}, {0x09, MCL_I8}, {0x0b, MCL_I16}, {0x0c, MCL_I32}, {0x0d, MCL_F32}, {0x0e, MCL_F64}};
  mcl_context *ctx = source->ctx;
  uint8_t header[HEADER_MOST];
  size_t size = source->left;
  MCL_TRY(source_read(source, header, 4));
  if (header[0] || header[1])
    return mcl_fail(ctx, MCL_ERROR_FORMAT, "%s: is not an idx file: its first two bytes are not zero", source->name);
  *dtype = MCL_DTYPE_COUNT;
  for (size_t i = 0; i < sizeof types / sizeof *types; i++)
    if (types[i].code == header[2]) *dtype = types[i].dtype;
  if (*dtype == MCL_DTYPE_COUNT)
    return mcl_fail(ctx, MCL_ERROR_FORMAT, "%s: element type 0x%02x is none of idx's", source->name, header[2]);
  if (header[3] > MCL_MAX_RANK)
    return mcl_fail(ctx, MCL_ERROR_UNSUPPORTED, "%s: %d dimensions; at most %d are read", source->name, header[3],
                    MCL_MAX_RANK);
  shape->rank = header[3];
  MCL_TRY(source_read(source, header, 4 * (size_t)shape->rank));
  for (int i = 0; i < shape->rank; i++) {
    const uint8_t *p = header + 4 * i;
    shape->dim[i] = (int64_t)((uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | (uint32_t)p[3]);
  }
  int64_t count;
  char text[MCL_SHAPE_TEXT];
  if (mcl_shape_count(ctx, *shape, &count) || !mcl_mul_size((size_t)count, mcl_dtype_size(*dtype), bytes))
    return mcl_fail(ctx, MCL_ERROR_FORMAT, "%s: shape %s is larger than any memory", source->name,
                    mcl_shape_text(*shape, text));
  size_t most = source->gzipped ? mcl_deflate_bound(size) : source->left;
  if (*bytes > most)
    return mcl_fail(ctx, MCL_ERROR_FORMAT,
                    "%s: shape %s of %s needs %zu bytes, the file can hold at most %zu: cut short?", source->name,
                    mcl_shape_text(*shape, text), mcl_dtype_name(*dtype), *bytes, most);
  return MCL_OK;
}

static void swap_elements(mcl_tensor *t) {
  size_t size = mcl_dtype_size(t->dtype);
  if (size == 1 || mcl_machine_is_big_endian()) return;
  uint8_t *p = t->data, element[8];
  for (int64_t i = 0; i < t->count; i++, p += size) {
    memcpy(element, p, size);
    mcl_copy_swapped(p, element, size, 1);
  }
}

mcl_status mcl_idx_read(mcl_context *ctx, const char *name, const uint8_t *data, size_t size, mcl_tensor **out) {
  *out = NULL;
  idx_source source = {.ctx = ctx, .name = name, .at = data, .left = size};
  source.gzipped = size >= 2 && data[0] == 0x1f && data[1] == 0x8b;
  if (source.gzipped) {
    source.inflate = (z_stream){.zalloc = zlib_alloc, .zfree = zlib_free, .opaque = ctx};
    if (inflateInit2(&source.inflate, 15 + 16) != Z_OK)
      return mcl_fail(ctx, MCL_ERROR_MEMORY, "%s: no memory to inflate it", name);
  }
  mcl_dtype dtype;
  mcl_shape shape;
  size_t bytes;
  mcl_tensor *t = NULL;
  mcl_status status = read_header(&source, &dtype, &shape, &bytes);
  if (!status) status = mcl_tensor_new_raw(ctx, dtype, shape, &t);
  if (!status) status = source_read(&source, t->data, bytes);
  if (!status) status = source_end(&source);
  if (source.gzipped) inflateEnd(&source.inflate);
  if (status) {
    mcl_tensor_release(t);
    return status;
  }
  swap_elements(t);
  *out = t;
  return MCL_OK;
}

mcl_status mcl_idx_load(mcl_context *ctx, const char *path, mcl_tensor **out) {
  mcl_file_map *map;
  *out = NULL;
  MCL_TRY(mcl_file_map_open(ctx, path, &map));
  mcl_status status = mcl_idx_read(ctx, path, map->data, map->size, out);
  mcl_file_map_release(map);
  return status;
}
