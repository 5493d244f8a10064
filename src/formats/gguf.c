/* GGUF, the files of ggml and llama.cpp: "GGUF", a version, two counts; metadata, each a key, a type and a value; of each
 * tensor a name, its dimensions with the innermost first, a type, a place; then the elements, each tensor's begin
 * aligned. It has weights and no graph. Read by mapping: tensors view the file but for those in blocks (Q4_0, Q8_0),
 * which become f32. Metadata is checked from end to end, and takes no memory but for the list of its keys. */
#include <stdio.h>

#include "base/threads.h"
#include "formats/arrays.h"

#define MAGIC 0x46554747u /* "GGUF" */
#define VERSION 3         /* as written; 2 has the same layout and is read too */
#define DEFAULT_ALIGNMENT 32
#define ALIGNMENT_LIMIT (1u << 20)
#define ALIGNMENT_KEY "general.alignment"
#define KEY_LIMIT 65535
#define NAME_READ_LIMIT 127 /* files with names that ggml itself would refuse are about */
#define NAME_LIMIT 63       /* as written: ggml keeps 64 bytes, the last of them zero */
#define RANK_LIMIT 4        /* as written */
#define ARRAY_DEPTH 4

/* ---- Types ---- */

#define BLOCK 32 /* elements of a block */
static void decode_q4_0(const uint8_t *block, float scale, float *out) {
  for (int i = 0; i < BLOCK / 2; i++) {
    out[i] = scale * (float)((block[2 + i] & 15) - 8);
    out[i + BLOCK / 2] = scale * (float)((block[2 + i] >> 4) - 8);
  }
}

static void decode_q8_0(const uint8_t *block, float scale, float *out) {
  for (int i = 0; i < BLOCK; i++) out[i] = scale * (float)(int8_t)block[2 + i];
}

/* ggml's types by their numbers; NULL: there is none, or none any more. */
static const char *const kind_names[] = {
    "F32",   "F16",    "Q4_0",  "Q4_1", NULL,   NULL,      "Q5_0",   "Q5_1",    "Q8_0",  "Q8_1",   "Q2_K",
    "Q3_K",  "Q4_K",   "Q5_K",  "Q6_K", "Q8_K", "IQ2_XXS", "IQ2_XS", "IQ3_XXS", "IQ1_S", "IQ4_NL", "IQ3_S",
    "IQ2_S", "IQ4_XS", "I8",    "I16",  "I32",  "I64",     "F64",    "IQ1_M",   "BF16",  NULL,     NULL,
    NULL,    "TQ1_0",  "TQ2_0", NULL,   NULL,   NULL,      "MXFP4",  "NVFP4",   "Q1_0"};

/* Those that are read. */
typedef struct ggml_kind {
  uint32_t type;
  mcl_dtype dtype;    /* as read */
  size_t block_bytes; /* in the file: of an element, or of a block of 32 where there is a decode */
  void (*decode)(const uint8_t *block, float scale, float *out); /* a block begins with its scale, an f16 */
} ggml_kind;

static const ggml_kind kinds[] = {{0, MCL_F32, 4, NULL},         {1, MCL_F16, 2, NULL},  {2, MCL_F32, 18, decode_q4_0},
                                  {8, MCL_F32, 34, decode_q8_0}, {24, MCL_I8, 1, NULL},  {25, MCL_I16, 2, NULL},
                                  {26, MCL_I32, 4, NULL},        {27, MCL_I64, 8, NULL}, {28, MCL_F64, 8, NULL},
                                  {30, MCL_BF16, 2, NULL}};

enum { VALUE_U32 = 4, VALUE_BOOL = 7, VALUE_STRING = 8, VALUE_ARRAY = 9, VALUE_TYPES = 13 };

/* Bytes that a value of metadata has, or for a string and an array, that it has at least. */
static const uint8_t value_bytes[VALUE_TYPES] = {1, 1, 2, 2, 4, 4, 4, 1, 8, 12, 8, 8, 8};

/* ---- Reading: strings and metadata ---- */

typedef struct string_view {
  const char *text; /* in the file; no zero ends it */
  size_t length;
} string_view;

static mcl_status fail_at(const mcl_reader *reader, size_t at, const char *what) {
  return mcl_fail(reader->ctx, MCL_ERROR_FORMAT, "%s: byte %zu: %s", reader->what, at, what);
}

static mcl_status read_view(mcl_reader *reader, const char *what, size_t limit, string_view *out) {
  size_t start = reader->at;
  uint64_t length;
  const uint8_t *bytes;
  MCL_TRY(mcl_read_u64(reader, &length));
  if (length > limit)
    return mcl_fail(reader->ctx, MCL_ERROR_FORMAT, "%s: byte %zu: %s of %llu bytes, where at most %zu may be",
                    reader->what, start, what, (unsigned long long)length, limit);
  MCL_TRY(mcl_read_bytes(reader, (size_t)length, &bytes));
  *out = (string_view){(const char *)bytes, (size_t)length};
  return MCL_OK;
}

/* A key or a tensor's name: not empty, and no zero byte in it. */
static mcl_status read_name(mcl_reader *reader, const char *what, size_t limit, string_view *out) {
  size_t start = reader->at;
  MCL_TRY(read_view(reader, what, limit, out));
  if (!out->length || memchr(out->text, 0, out->length))
    return mcl_fail(reader->ctx, MCL_ERROR_FORMAT, "%s: byte %zu: %s that is empty or has a zero byte in it",
                    reader->what, start, what);
  return MCL_OK;
}

static mcl_status read_value_type(mcl_reader *reader, uint32_t *out) {
  size_t start = reader->at;
  MCL_TRY(mcl_read_u32(reader, out));
  if (*out < VALUE_TYPES) return MCL_OK;
  return mcl_fail(reader->ctx, MCL_ERROR_FORMAT, "%s: byte %zu: %u is no type of a value", reader->what, start, *out);
}

/* Checks `count` values of a type, and passes them. */
static mcl_status skip_values(mcl_reader *reader, uint32_t type, uint64_t count, int depth) {
  size_t start = reader->at, rest = reader->size - reader->at;
  const uint8_t *bytes;
  if (count > rest / value_bytes[type])
    return mcl_fail(reader->ctx, MCL_ERROR_FORMAT, "%s: byte %zu: %llu values where %zu bytes are left", reader->what,
                    start, (unsigned long long)count, rest);
  if (depth > ARRAY_DEPTH) return fail_at(reader, start, "arrays are nested too deeply");
  if (type != VALUE_STRING && type != VALUE_ARRAY) {
    MCL_TRY(mcl_read_bytes(reader, (size_t)count * value_bytes[type], &bytes));
    for (size_t i = 0; type == VALUE_BOOL && i < count; i++)
      if (bytes[i] > 1) return fail_at(reader, start + i, "a boolean that is neither 0 nor 1");
    return MCL_OK;
  }
  for (uint64_t i = 0; i < count; i++) {
    string_view text;
    uint32_t inner;
    uint64_t inner_count;
    if (i % 4096 == 0) MCL_TRY(mcl_check_cancel(reader->ctx));
    if (type == VALUE_STRING) {
      MCL_TRY(read_view(reader, "a string", SIZE_MAX, &text));
      continue;
    }
    MCL_TRY(read_value_type(reader, &inner));
    MCL_TRY(mcl_read_u64(reader, &inner_count));
    MCL_TRY(skip_values(reader, inner, inner_count, depth + 1));
  }
  return MCL_OK;
}

static bool is_named(string_view view, const char *name) {
  return view.length == strlen(name) && !memcmp(view.text, name, view.length);
}

static mcl_status read_pair(mcl_reader *reader, string_view *key, uint32_t *alignment) {
  size_t start;
  uint32_t type;
  MCL_TRY(read_name(reader, "a key", KEY_LIMIT, key));
  start = reader->at;
  MCL_TRY(read_value_type(reader, &type));
  if (!is_named(*key, ALIGNMENT_KEY)) return skip_values(reader, type, 1, 0);
  if (type != VALUE_U32) return fail_at(reader, start, ALIGNMENT_KEY " is not of type uint32");
  MCL_TRY(mcl_read_u32(reader, alignment));
  if (*alignment >= 8 && *alignment <= ALIGNMENT_LIMIT && !(*alignment & (*alignment - 1))) return MCL_OK;
  return mcl_fail(reader->ctx, MCL_ERROR_FORMAT,
                  "%s: byte %zu: " ALIGNMENT_KEY " is %u, not a power of two from 8 to %u", reader->what, start + 4,
                  *alignment, ALIGNMENT_LIMIT);
}

static int by_text(const void *a, const void *b) {
  const string_view *x = a, *y = b;
  int order = memcmp(x->text, y->text, x->length < y->length ? x->length : y->length);
  return order ? order : (x->length > y->length) - (x->length < y->length);
}

/* Sorts the list. */
static mcl_status check_unique(const mcl_reader *reader, const char *what, string_view *list, size_t count) {
  MCL_TRY(mcl_sort(reader->ctx, list, count, sizeof *list, by_text));
  for (size_t i = 1; i < count; i++)
    if (!by_text(&list[i - 1], &list[i]))
      return mcl_fail(reader->ctx, MCL_ERROR_FORMAT, "%s: two %s are called \"%.*s\"", reader->what, what,
                      (int)(list[i].length < 200 ? list[i].length : 200), list[i].text);
  return MCL_OK;
}

static mcl_status read_metadata(mcl_reader *reader, uint64_t count, uint32_t *alignment) {
  string_view *keys;
  mcl_status status = MCL_OK;
  *alignment = DEFAULT_ALIGNMENT;
  if (count > (reader->size - reader->at) / 13) /* a key's length, a type and a byte */
    return fail_at(reader, 16, "more metadata than the file has room for");
  MCL_TRY(mcl_alloc_array(reader->ctx, (size_t)count, sizeof *keys, &keys));
  for (size_t i = 0; !status && i < count; i++) status = read_pair(reader, &keys[i], alignment);
  if (!status) status = check_unique(reader, "keys", keys, (size_t)count);
  mcl_free(reader->ctx, keys);
  return status;
}

/* ---- Reading: tensors ---- */

/* A tensor as the file says. */
typedef struct tensor_entry {
  string_view name;
  const ggml_kind *kind;
  mcl_shape shape;
  uint64_t offset; /* from where the elements of all begin */
  size_t size;     /* bytes in the file */
} tensor_entry;

static mcl_status entry_fail(const mcl_reader *reader, const tensor_entry *entry, const char *what) {
  return mcl_fail(reader->ctx, MCL_ERROR_FORMAT, "%s: tensor \"%.*s\": %s", reader->what, (int)entry->name.length,
                  entry->name.text, what);
}

static mcl_status read_kind(mcl_reader *reader, tensor_entry *entry) {
  uint32_t type;
  MCL_TRY(mcl_read_u32(reader, &type));
  if (type >= sizeof kind_names / sizeof *kind_names || !kind_names[type])
    return mcl_fail(reader->ctx, MCL_ERROR_FORMAT, "%s: tensor \"%.*s\": ggml has no type %u", reader->what,
                    (int)entry->name.length, entry->name.text, type);
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
    if (kinds[i].type == type) return entry->kind = &kinds[i], MCL_OK;
  return mcl_fail(reader->ctx, MCL_ERROR_UNSUPPORTED,
                  "%s: tensor \"%.*s\": ggml's type %s is not read, only F32, F16, BF16, F64, I8 to I64, Q4_0 and Q8_0",
                  reader->what, (int)entry->name.length, entry->name.text, kind_names[type]);
}

static mcl_status read_shape(mcl_reader *reader, tensor_entry *entry) {
  uint32_t rank;
  MCL_TRY(mcl_read_u32(reader, &rank));
  if (rank > MCL_MAX_RANK) return entry_fail(reader, entry, "has more than 8 dimensions");
  entry->shape.rank = (int)rank;
  for (uint32_t i = 0; i < rank; i++) {
    uint64_t dim;
    MCL_TRY(mcl_read_u64(reader, &dim));
    if (dim > INT64_MAX) return entry_fail(reader, entry, "its shape is larger than any memory");
    entry->shape.dim[rank - 1 - i] = (int64_t)dim; /* the file has the innermost first */
  }
  return MCL_OK;
}

static mcl_status read_entry(mcl_reader *reader, tensor_entry *entry) {
  int64_t count;
  memset(entry, 0, sizeof *entry);
  MCL_TRY(read_name(reader, "a tensor's name", NAME_READ_LIMIT, &entry->name));
  MCL_TRY(read_shape(reader, entry));
  MCL_TRY(read_kind(reader, entry));
  MCL_TRY(mcl_read_u64(reader, &entry->offset));
  int rank = entry->shape.rank;
  if (mcl_shape_count(reader->ctx, entry->shape, &count))
    return entry_fail(reader, entry, "its shape is larger than any memory");
  if (entry->kind->decode && (!rank || entry->shape.dim[rank - 1] % BLOCK))
    return entry_fail(reader, entry, "its rows are not whole blocks of 32");
  size_t blocks = (size_t)count / (entry->kind->decode ? BLOCK : 1), bytes;
  if (!mcl_mul_size(blocks, entry->kind->block_bytes, &entry->size) ||
      !mcl_mul_size((size_t)count, mcl_dtype_size(entry->kind->dtype), &bytes))
    return entry_fail(reader, entry, "its shape is larger than any memory");
  return MCL_OK;
}

static int by_place(const void *a, const void *b) {
  const tensor_entry *x = a, *y = b;
  if (x->offset != y->offset) return x->offset < y->offset ? -1 : 1;
  return x->size == y->size ? by_text(&x->name, &y->name) : x->size < y->size ? -1 : 1;
}

static size_t align(size_t at, size_t alignment) { return (at + alignment - 1) & ~(alignment - 1); }

/* Sorts the entries by their places, which must follow each other; *begin is where the first one's is. */
static mcl_status place_entries(const mcl_reader *reader, tensor_entry *entries, size_t count, uint32_t alignment,
                                size_t *begin) {
  *begin = align(reader->at, alignment);
  size_t data_size = reader->size > *begin ? reader->size - *begin : 0, end = 0;
  MCL_TRY(mcl_sort(reader->ctx, entries, count, sizeof *entries, by_place));
  for (size_t i = 0; i < count; i++) {
    const tensor_entry *entry = &entries[i];
    if (entry->offset % alignment) return entry_fail(reader, entry, "its offset is not aligned");
    if (entry->offset > data_size || entry->size > data_size - entry->offset)
      return entry_fail(reader, entry, "its elements are not within the file");
    if (entry->offset != end) return entry_fail(reader, entry, "overlaps another, or leaves a hole before it");
    end = align((size_t)entry->offset + entry->size, alignment);
  }
  if (data_size > end)
    return mcl_fail(reader->ctx, MCL_ERROR_FORMAT, "%s: %zu bytes follow the last tensor", reader->what,
                    data_size - end);
  return MCL_OK;
}

static mcl_status read_entries(mcl_reader *reader, tensor_entry *entries, size_t count) {
  string_view *names;
  mcl_status status = MCL_OK;
  MCL_TRY(mcl_alloc_array(reader->ctx, count, sizeof *names, &names));
  for (size_t i = 0; !status && i < count; i++) {
    status = read_entry(reader, &entries[i]);
    names[i] = entries[i].name;
  }
  if (!status) status = check_unique(reader, "tensors", names, count);
  mcl_free(reader->ctx, names);
  return status;
}

/* ---- Reading: elements ---- */

#define CHUNK 1024 /* blocks */

typedef struct block_job {
  mcl_context *ctx;
  const ggml_kind *kind;
  const uint8_t *from;
  float *to;
  int64_t blocks;
} block_job;

static mcl_status decode_chunk(void *arg, int64_t chunk, int worker) {
  const block_job *job = arg;
  int64_t begin = chunk * CHUNK, count = job->blocks - begin < CHUNK ? job->blocks - begin : CHUNK;
  const uint8_t *from = job->from + (size_t)begin * job->kind->block_bytes;
  uint16_t halves[CHUNK];
  float scales[CHUNK];
  (void)worker;
  MCL_TRY(mcl_check_cancel(job->ctx));
  for (int64_t i = 0; i < count; i++) {
    const uint8_t *block = from + (size_t)i * job->kind->block_bytes;
    halves[i] = (uint16_t)(block[0] | block[1] << 8);
  }
  mcl_convert(MCL_F16, halves, MCL_F32, scales, (size_t)count);
  for (int64_t i = 0; i < count; i++)
    job->kind->decode(from + (size_t)i * job->kind->block_bytes, scales[i], job->to + (begin + i) * BLOCK);
  return MCL_OK;
}

static mcl_status make_tensor(mcl_context *ctx, const tensor_entry *entry, const uint8_t *data, size_t offset,
                              mcl_file_map *map, mcl_tensor **out) {
  const ggml_kind *kind = entry->kind;
  size_t size = mcl_dtype_size(kind->dtype);
  bool is_plain = map && !mcl_machine_is_big_endian() && !kind->decode && entry->size > 0;
  if (is_plain && offset % size == 0) return mcl_tensor_map(ctx, kind->dtype, entry->shape, map, offset, out);
  MCL_TRY(mcl_tensor_new_raw(ctx, kind->dtype, entry->shape, out));
  if (kind->decode) {
    block_job job = {ctx, kind, data + offset, mcl_tensor_f32(*out), (*out)->count / BLOCK};
    return mcl_parallel(ctx, (job.blocks + CHUNK - 1) / CHUNK, decode_chunk, &job);
  }
  if (mcl_machine_is_big_endian())
    mcl_copy_swapped((*out)->data, data + offset, size, (size_t)(*out)->count);
  else if (entry->size)
    memcpy((*out)->data, data + offset, entry->size);
  return MCL_OK;
}

static mcl_status copy_name(mcl_context *ctx, string_view view, char **out) {
  MCL_TRY(mcl_alloc(ctx, view.length + 1, out));
  memcpy(*out, view.text, view.length);
  (*out)[view.length] = 0;
  return MCL_OK;
}

static mcl_status read_tensors(mcl_reader *reader, size_t found, uint32_t alignment, mcl_file_map *map,
                               mcl_named_tensor **out, int *count) {
  mcl_context *ctx = reader->ctx;
  tensor_entry *entries;
  mcl_named_tensor *list = NULL;
  size_t begin = 0;
  int made = 0;
  MCL_TRY(mcl_alloc_array(ctx, found, sizeof *entries, &entries));
  mcl_status status = read_entries(reader, entries, found);
  if (!status) status = place_entries(reader, entries, found, alignment, &begin);
  if (!status) status = mcl_alloc_zero(ctx, found * sizeof *list, &list);
  for (; !status && made < (int)found; made++) {
    const tensor_entry *entry = &entries[made];
    status = copy_name(ctx, entry->name, &list[made].name);
    if (!status) status = make_tensor(ctx, entry, reader->data, begin + (size_t)entry->offset, map, &list[made].tensor);
    list[made].file_bytes = entry->size;
  }
  mcl_free(ctx, entries);
  if (status) {
    mcl_tensor_list_free(ctx, list, made);
    return status;
  }
  *out = list;
  *count = (int)found;
  return MCL_OK;
}

static mcl_status check_version(const mcl_reader *reader, uint32_t version) {
  if (version == 2 || version == VERSION) return MCL_OK;
  if (!(version & 0xffff)) return fail_at(reader, 4, "is big-endian; only little-endian files are read");
  return mcl_fail(reader->ctx, MCL_ERROR_UNSUPPORTED, "%s: is of version %u; 2 and 3 are read", reader->what, version);
}

mcl_status mcl_gguf_read(mcl_context *ctx, const char *path, const uint8_t *data, size_t size, mcl_file_map *map,
                         mcl_named_tensor **out, int *count) {
  mcl_reader reader = {.ctx = ctx, .data = data, .size = size, .what = path};
  uint32_t magic, version, alignment;
  uint64_t found, pairs;
  *out = NULL;
  *count = 0;
  if (size < 4 || mcl_load_u32(data) != MAGIC)
    return mcl_fail(ctx, MCL_ERROR_FORMAT, "%s: is not a GGUF file: it does not begin so", path);
  MCL_TRY(mcl_read_u32(&reader, &magic));
  MCL_TRY(mcl_read_u32(&reader, &version));
  MCL_TRY(check_version(&reader, version));
  MCL_TRY(mcl_read_u64(&reader, &found));
  MCL_TRY(mcl_read_u64(&reader, &pairs));
  MCL_TRY(read_metadata(&reader, pairs, &alignment));
  if (found > INT32_MAX || found > (size - reader.at) / 25) /* a name of a byte, no dimensions, a type, an offset */
    return fail_at(&reader, 8, "more tensors than the file has room for");
  return read_tensors(&reader, (size_t)found, alignment, map, out, count);
}

mcl_status mcl_gguf_load(mcl_context *ctx, const char *path, mcl_named_tensor **out, int *count) {
  mcl_file_map *map;
  *out = NULL;
  *count = 0;
  MCL_TRY(mcl_file_map_open(ctx, path, &map));
  mcl_status status = mcl_gguf_read(ctx, path, map->data, map->size, map, out, count);
  mcl_file_map_release(map);
  return status;
}

/* ---- Writing ---- */

static mcl_status put_string(mcl_buffer *head, const char *text) {
  size_t length = strlen(text);
  MCL_TRY(mcl_buffer_u64(head, length));
  return mcl_buffer_append(head, text, length);
}

static mcl_status put_string_pair(mcl_buffer *head, const char *key, const char *value) {
  MCL_TRY(put_string(head, key));
  MCL_TRY(mcl_buffer_u32(head, VALUE_STRING));
  return put_string(head, value);
}

static mcl_status put_u32_pair(mcl_buffer *head, const char *key, uint32_t value) {
  MCL_TRY(put_string(head, key));
  MCL_TRY(mcl_buffer_u32(head, VALUE_U32));
  return mcl_buffer_u32(head, value);
}

/* Describes a weight; its elements follow those before it. */
static mcl_status put_weight(mcl_buffer *head, const char *path, const mcl_weight *weight, size_t *end) {
  int rank = weight->shape.rank;
  size_t bytes = sizeof(float);
  if (rank > RANK_LIMIT)
    return mcl_fail(head->ctx, MCL_ERROR_UNSUPPORTED,
                    "%s: weight \"%.200s\" has %d dimensions and GGUF at most 4; save a .safetensors", path,
                    weight->name, rank);
  if (strlen(weight->name) > NAME_LIMIT)
    return mcl_fail(head->ctx, MCL_ERROR_UNSUPPORTED,
                    "%s: the name of weight \"%.200s\" has %zu bytes and GGUF's at most 63; save a .safetensors", path,
                    weight->name, strlen(weight->name));
  MCL_TRY(put_string(head, weight->name));
  MCL_TRY(mcl_buffer_u32(head, (uint32_t)rank));
  for (int i = rank - 1; i >= 0; i--) {
    bytes *= (size_t)weight->shape.dim[i];
    MCL_TRY(mcl_buffer_u64(head, (uint64_t)weight->shape.dim[i]));
  }
  MCL_TRY(mcl_buffer_u32(head, 0)); /* F32 */
  MCL_TRY(mcl_buffer_u64(head, *end));
  *end = align(*end + bytes, DEFAULT_ALIGNMENT);
  return MCL_OK;
}

static mcl_status put_head(mcl_buffer *head, const char *path, const mcl_model *model) {
  size_t end = 0;
  MCL_TRY(mcl_buffer_u32(head, MAGIC));
  MCL_TRY(mcl_buffer_u32(head, VERSION));
  MCL_TRY(mcl_buffer_u64(head, (uint64_t)model->weight_count));
  MCL_TRY(mcl_buffer_u64(head, 4));
  MCL_TRY(put_string_pair(head, "general.architecture", "mcl"));
  MCL_TRY(put_string_pair(head, "general.name", model->name));
  MCL_TRY(put_u32_pair(head, ALIGNMENT_KEY, DEFAULT_ALIGNMENT));
  MCL_TRY(put_u32_pair(head, "general.file_type", 0)); /* all f32 */
  for (int i = 0; i < model->weight_count; i++) MCL_TRY(put_weight(head, path, &model->weights[i], &end));
  return MCL_OK;
}

static mcl_status write_padding(mcl_file_writer *writer) {
  static const uint8_t zeros[DEFAULT_ALIGNMENT];
  size_t at = mcl_file_written(writer);
  return mcl_file_write(writer, zeros, align(at, DEFAULT_ALIGNMENT) - at);
}

static mcl_status write_elements(mcl_file_writer *writer, mcl_tensor *t) {
  uint8_t swapped[sizeof(float)];
  if (!mcl_machine_is_big_endian()) return mcl_file_write(writer, t->data, (size_t)t->count * sizeof(float));
  for (int64_t i = 0; i < t->count; i++) {
    mcl_copy_swapped(swapped, mcl_tensor_f32(t) + i, sizeof swapped, 1);
    MCL_TRY(mcl_file_write(writer, swapped, sizeof swapped));
  }
  return MCL_OK;
}

/* Decoded one at a time. */
static mcl_status write_weight(mcl_file_writer *writer, mcl_model *model, int index) {
  mcl_tensor *values = NULL;
  MCL_TRY(mcl_check_cancel(model->ctx));
  MCL_TRY(mcl_weight_load(model, index));
  MCL_TRY(mcl_repr_values(model->weights[index].repr, &values));
  mcl_status status = write_elements(writer, values);
  mcl_tensor_release(values);
  return status ? status : write_padding(writer);
}

mcl_status mcl_gguf_save_model(mcl_model *model, const char *path, const mcl_artifact_options *options) {
  mcl_context *ctx = model->ctx;
  mcl_file_writer *writer = NULL;
  mcl_buffer head = {.ctx = ctx};
  (void)options;
  mcl_status status = put_head(&head, path, model);
  if (!status) status = mcl_file_writer_open(ctx, path, &writer);
  if (!status) status = mcl_file_write(writer, head.data, head.size);
  if (!status) status = write_padding(writer);
  for (int i = 0; !status && i < model->weight_count; i++) status = write_weight(writer, model, i);
  mcl_buffer_free(&head);
  if (!status) return mcl_file_commit(writer);
  mcl_file_abandon(writer);
  return status;
}
