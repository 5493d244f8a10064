/* What a representation is, from its header alone: the tree is built hollow, without symbols or values, so that each kind
 * gives its own text, and each stream is noted with its alphabet and count. Nothing of the streams is touched, so inspecting
 * a file takes no longer where it is large. Headers are as each kind's file says (docs/format.md). */
#include "artifact/container.h"
#include "coding/bits.h"
#include "repr/affine.h"
#include "repr/sparse_positions.h"

typedef struct mcl_hollow {
  mcl_repr_reader *reader;
  mcl_description *out;
} mcl_hollow;

static mcl_status read_hollow(mcl_hollow *hollow, mcl_shape shape, mcl_repr **out);

/* In the order of the streams; those without elements are not stored. */
static void note_stream(mcl_hollow *hollow, uint32_t alphabet, uint8_t width, uint64_t count) {
  mcl_description *out = hollow->out;
  uint64_t bits = alphabet ? (uint64_t)mcl_bits_for(alphabet) : 8u * width;
  if (count == 0) return;
  out->packed_bytes += (size_t)(count / 8 * bits + (count % 8 * bits + 7) / 8);
  if (out->streams && out->stream_count < out->stream_capacity)
    out->streams[out->stream_count] = (mcl_stream_shape){alphabet, width, (size_t)count};
  out->stream_count++;
}

static void note_positions(mcl_hollow *hollow, const mcl_sparse *sparse, uint8_t layout) {
  mcl_description *out = hollow->out;
  if (sparse->nonzeros == 0) return;
  if (out->positions && out->positions_count < out->stream_capacity)
    out->positions[out->positions_count] =
        (mcl_positions_shape){sparse->base.shape, sparse->nonzeros, layout, out->stream_count};
  out->positions_count++;
}

static mcl_status read_dense(mcl_hollow *hollow, mcl_shape shape, mcl_repr **out) {
  static _Alignas(64) uint8_t nothing[64]; /* an address for the tensor; it is not read */
  mcl_context *ctx = hollow->reader->ctx;
  mcl_tensor *values;
  uint8_t dtype;
  MCL_TRY(mcl_read_u8(&hollow->reader->header, &dtype));
  if (dtype > MCL_F64)
    return mcl_fail(ctx, MCL_ERROR_FORMAT, "%s: dense values of an unknown type %d", hollow->reader->header.what,
                    dtype);
  MCL_TRY(mcl_tensor_wrap(ctx, (mcl_dtype)dtype, shape, nothing, &values));
  mcl_status status = mcl_dense_new(values, out);
  size_t size = mcl_dtype_size((mcl_dtype)dtype); /* f64 goes as pairs of u32 */
  if (!status) note_stream(hollow, 0, size > 4 ? 4 : (uint8_t)size, (uint64_t)values->count * (size > 4 ? 2 : 1));
  mcl_tensor_release(values);
  return status;
}

static mcl_status read_sparse(mcl_hollow *hollow, mcl_sparse *sparse) {
  mcl_reader *header = &hollow->reader->header;
  uint64_t nonzeros, symbols = 0;
  uint8_t layout = 0;
  MCL_TRY(mcl_read_count(header, (uint64_t)sparse->base.count, "the number of nonzeros", &nonzeros));
  sparse->nonzeros = (int64_t)nonzeros;
  if (nonzeros) MCL_TRY(mcl_read_u8(header, &layout));
  int shift = layout >> MCL_SPARSE_SHIFT & 7;
  if (layout & MCL_SPARSE_BITMAP)
    symbols = ((uint64_t)sparse->base.count + 7) / 8;
  else if (nonzeros)
    MCL_TRY(mcl_read_count(header, (uint64_t)sparse->base.count, "the number of gap symbols", &symbols));
  note_positions(hollow, sparse, layout);
  note_stream(hollow, 256, 1, symbols);
  if (shift) note_stream(hollow, 1u << shift, 1, nonzeros);
  return read_hollow(hollow, mcl_shape_1(sparse->nonzeros), &sparse->values);
}

static mcl_status read_palette(mcl_hollow *hollow, mcl_palette *palette) {
  uint8_t last, flags;
  MCL_TRY(mcl_read_u8(&hollow->reader->header, &last));
  MCL_TRY(mcl_read_u8(&hollow->reader->header, &flags));
  palette->entries = last + 1;
  palette->half = flags & 1;
  palette->bits = mcl_bits_for((uint32_t)palette->entries);
  note_stream(hollow, 0, palette->half ? 2 : 4, (uint64_t)palette->entries);
  if (last) note_stream(hollow, (uint32_t)palette->entries, 1, (uint64_t)palette->base.count);
  return MCL_OK;
}

static mcl_status read_affine(mcl_hollow *hollow, mcl_affine *affine) {
  mcl_shape shape = affine->base.shape;
  uint8_t flags;
  uint64_t group;
  MCL_TRY(mcl_read_u8(&hollow->reader->header, &flags));
  MCL_TRY(mcl_read_count(&hollow->reader->header, (uint64_t)mcl_affine_row_length(shape), "the group of values a scale",
                         &group));
  affine->bits = (flags & 7) + 1;
  affine->symmetric = flags & 8;
  affine->half = flags & 16;
  affine->group = (int64_t)group;
  affine->groups = mcl_affine_groups(shape, affine->base.count, affine->group);
  note_stream(hollow, 0, affine->half ? 2 : 4, (uint64_t)affine->groups);
  if (!affine->symmetric) note_stream(hollow, 1u << affine->bits, 1, (uint64_t)affine->groups);
  note_stream(hollow, 1u << affine->bits, 1, (uint64_t)affine->base.count);
  return MCL_OK;
}

static mcl_status read_lowrank(mcl_hollow *hollow, mcl_lowrank *lowrank) {
  int64_t rows = mcl_shape_rows(lowrank->base.shape), cols = mcl_shape_cols(lowrank->base.shape);
  uint64_t rank;
  MCL_TRY(mcl_read_count(&hollow->reader->header, (uint64_t)(rows < cols ? rows : cols), "the rank", &rank));
  lowrank->rank = (int64_t)rank;
  MCL_TRY(read_hollow(hollow, mcl_shape_2(rows, lowrank->rank), &lowrank->left));
  return read_hollow(hollow, mcl_shape_2(lowrank->rank, cols), &lowrank->right);
}

static mcl_status read_sum(mcl_hollow *hollow, mcl_sum *sum) {
  uint8_t parts;
  MCL_TRY(mcl_read_u8(&hollow->reader->header, &parts));
  if (parts < 2 || parts > MCL_REPR_MOST_PARTS)
    return mcl_fail(hollow->reader->ctx, MCL_ERROR_FORMAT, "%s: a sum of %d parts, not of 2 to %d",
                    hollow->reader->header.what, parts, MCL_REPR_MOST_PARTS);
  for (; sum->parts < parts; sum->parts++) MCL_TRY(read_hollow(hollow, sum->base.shape, &sum->part[sum->parts]));
  return MCL_OK;
}

static mcl_status read_kind(mcl_hollow *hollow, uint8_t id, mcl_shape shape, mcl_repr **out) {
  mcl_context *ctx = hollow->reader->ctx;
  if (id == mcl_dense_kind.id) return read_dense(hollow, shape, out);
  const mcl_repr_kind *kind = NULL;
  for (int i = 0; i < mcl_repr_kind_count; i++)
    if (mcl_repr_kinds[i]->id == id) kind = mcl_repr_kinds[i];
  if (!kind)
    return mcl_fail(ctx, MCL_ERROR_FORMAT, "%s: unknown kind of representation %d", hollow->reader->header.what, id);
  MCL_TRY(mcl_repr_new(ctx, kind, shape, out));
  if (kind == &mcl_sparse_kind) return read_sparse(hollow, (mcl_sparse *)*out);
  if (kind == &mcl_palette_kind) return read_palette(hollow, (mcl_palette *)*out);
  if (kind == &mcl_affine_kind) return read_affine(hollow, (mcl_affine *)*out);
  if (kind == &mcl_lowrank_kind) return read_lowrank(hollow, (mcl_lowrank *)*out);
  if (kind == &mcl_sum_kind) return read_sum(hollow, (mcl_sum *)*out);
  return mcl_fail(ctx, MCL_ERROR_UNSUPPORTED, "%s: a %s is not described yet", hollow->reader->header.what, kind->name);
}

static mcl_status read_hollow(mcl_hollow *hollow, mcl_shape shape, mcl_repr **out) {
  mcl_repr_reader *reader = hollow->reader;
  uint8_t id;
  *out = NULL;
  MCL_TRY(mcl_read_u8(&reader->header, &id));
  if (reader->depth >= MCL_REPR_MAX_DEPTH)
    return mcl_fail(reader->ctx, MCL_ERROR_FORMAT, "%s: representations nested deeper than %d", reader->header.what,
                    MCL_REPR_MAX_DEPTH);
  reader->depth++;
  mcl_status status = read_kind(hollow, id, shape, out);
  reader->depth--;
  if (status) {
    mcl_repr_release(*out);
    *out = NULL;
  }
  return status;
}

mcl_status mcl_describe(mcl_repr_reader *reader, mcl_shape shape, mcl_description *out) {
  mcl_hollow hollow = {reader, out};
  mcl_repr *repr;
  out->packed_bytes = 0;
  out->stream_count = out->positions_count = 0;
  MCL_TRY(read_hollow(&hollow, shape, &repr));
  mcl_repr_text(repr, out->text, sizeof out->text);
  out->nonzeros = mcl_repr_nonzeros(repr);
  mcl_repr_release(repr);
  return MCL_OK;
}
