/* Containers that lie: one good file, made by hand from docs/format.md, and what becomes of it when one thing is untrue.
 * Each is refused by a message that names the place. Checksums are right unless they are the lie. */
#include "unit/check.h"

#include <stdlib.h>

#include "artifact/artifact.h"

/* ---- Making files ---- */

typedef struct bytes {
  const char *data; /* NULL: as in the good file */
  size_t size;
} bytes;

#define B(text)                                                                                                        \
  { text, sizeof(text) - 1 } /* a string literal, zero bytes and all */
#define SIX_FLOATS "\0\0\x80\x3f\0\0\0\x40\0\0\x40\x40\0\0\x80\x40\0\0\xa0\x40\0\0\xc0\x40" /* 1 … 6 */

typedef struct lie {
  const char *name, *message;
  mcl_status status; /* 0: MCL_ERROR_FORMAT */
  bytes start;       /* magic, versions, features: eight bytes */
  int alignment;     /* log2 */
  bytes sizes;       /* of the directory, as it is stored */
  bytes entries, input, weight, representation, list, node, outputs, sections;
  bytes directory; /* instead of all these */
  bytes streams;
  size_t padding;       /* of them that are padding */
  int cut, extra;       /* bytes at the end that are missing, or too many */
  int wrong;            /* 1 guard, 2 stored hash, 3 decoded hash, 4 hash of streams, 5 of decoded, 6 wrap's */
  int weights;          /* in the trailer; 0: one */
  bytes wrapped, frame; /* the header of a wrap, and what is in it; the rest is not used */
  bool verify;          /* refused only by mcl_artifact_verify */
} lie;

typedef struct out {
  uint8_t data[1 << 13];
  size_t size;
} out;

static void put(out *to, const void *data, size_t size) {
  assert_true(to->size + size <= sizeof to->data);
  memcpy(to->data + to->size, data, size);
  to->size += size;
}

static void put_u32(out *to, uint32_t value) {
  uint8_t data[4];
  mcl_store_u32(data, value);
  put(to, data, sizeof data);
}

static void put_u64(out *to, uint64_t value) {
  uint8_t data[8];
  mcl_store_u64(data, value);
  put(to, data, sizeof data);
}

static void put_varint(out *to, uint64_t value) {
  for (; value >= 0x80; value >>= 7) put(to, &(uint8_t){(uint8_t)(value | 0x80)}, 1);
  put(to, &(uint8_t){(uint8_t)value}, 1);
}

static void put_part(out *to, bytes part, bytes preset) {
  if (part.data)
    put(to, part.data, part.size);
  else
    put(to, preset.data, preset.size);
}

/* x[-1, 3] → linear "fc" with the weight "fc.weight"[2, 3], dense, raw. */
static void make_directory(const lie *l, out *to) {
  const bytes entries = B("\x03"), input = B("\0\x01x\x02\0\x04"),
              weight = B("\x09\x02"
                         "fc\x02\x03\x04");
  const bytes representation = B("\x01\0"), list = B("\x01\x19"), node = B("\x02\x20\x02\x02\x02\x01");
  const bytes outputs = B("\x01\x02"), none = B("");
  if (l->directory.data) {
    put(to, l->directory.data, l->directory.size);
    return;
  }
  put_part(to, l->entries, entries);
  put_part(to, l->input, input);
  put_part(to, l->weight, weight);
  put_varint(to, l->representation.data ? l->representation.size : representation.size);
  put_part(to, l->representation, representation);
  put_part(to, l->list, list);
  put_part(to, l->node, node);
  put_part(to, l->outputs, outputs);
  put_part(to, l->sections, none);
}

static void make_wrap(const lie *l, out *file) {
  mcl_hasher hasher;
  put(file, l->wrapped.data, l->wrapped.size);
  mcl_hasher_begin(&hasher);
  mcl_hasher_add(&hasher, file->data, file->size);
  mcl_hasher_add(&hasher, l->frame.data, l->frame.size);
  put_u64(file, mcl_hasher_end(&hasher) ^ (l->wrong == 6));
  put(file, l->frame.data, l->frame.size);
}

static void make_file(const lie *l, out *file) {
  const bytes start = B("MCL\x1a\x01\0\0\0"), streams = B("\0" SIX_FLOATS);
  out directory = {.size = 0};
  file->size = 0;
  if (l->wrapped.data) {
    make_wrap(l, file);
    return;
  }
  make_directory(l, &directory);
  put_part(file, l->start, start);
  put(file, &(uint8_t){(uint8_t)l->alignment}, 1);
  if (l->sizes.data)
    put(file, l->sizes.data, l->sizes.size);
  else
    put_varint(file, directory.size);
  put(file, directory.data, directory.size);
  put_u64(file, mcl_hash(file->data, file->size) ^ (l->wrong == 1));
  size_t at = file->size;
  put_part(file, l->streams, streams);
  const uint8_t *stored = file->data + at;
  size_t size = file->size - at;
  uint64_t decoded = mcl_hash(SIX_FLOATS, 24), all = mcl_hash(stored, size);
  uint64_t weight = mcl_hash(stored + l->padding, size - l->padding);
  uint8_t little_endian[8];
  mcl_store_u64(little_endian, decoded);
  for (int w = 0; w < (l->weights ? l->weights : 1); w++) {
    put_u32(file, (uint32_t)weight ^ (l->wrong == 2));
    put_u32(file, (uint32_t)decoded ^ (l->wrong == 3));
  }
  put_u64(file, all ^ (l->wrong == 4));
  put_u64(file, mcl_hash(little_endian, 8) ^ (l->wrong == 5));
  file->size -= (size_t)l->cut;
  for (int i = 0; i < l->extra; i++) put(file, "", 1);
}

/* ---- Trying them ---- */

static mcl_status open_and_load(mcl_context *ctx, const out *file, bool in_slices) {
  mcl_model *model;
  uint8_t *exact = malloc(file->size + 1); /* of its own size, so that a read past it is seen */
  memcpy(exact, file->data, file->size);
  mcl_status status = mcl_model_open_memory(ctx, exact, file->size, &model);
  for (bool finished = false; in_slices && !status && !finished;) status = mcl_model_decode(model, 1, &finished);
  for (int w = 0; !status && w < model->weight_count; w++) status = mcl_weight_load(model, w);
  mcl_model_free(model);
  free(exact);
  return status;
}

static mcl_status verify(mcl_context *ctx, const out *file) {
  FILE *disk = fopen("lie.mcl", "wb");
  assert_non_null(disk);
  assert_int_equal(fwrite(file->data, 1, file->size, disk), file->size);
  fclose(disk);
  return mcl_artifact_verify(ctx, "lie.mcl");
}

static void try_lies(mcl_context *ctx, const lie *lies, size_t count) {
  out file;
  for (size_t i = 0; i < count; i++) {
    const lie *l = &lies[i];
    make_file(l, &file);
    mcl_status wanted = l->status ? l->status : MCL_ERROR_FORMAT;
    mcl_status status = open_and_load(ctx, &file, true);
    if (status != (l->verify ? MCL_OK : wanted)) fail_msg("%s: in slices: %s", l->name, mcl_context_message(ctx));
    status = open_and_load(ctx, &file, false);
    if (l->verify) assert_ok(ctx, status);
    if (l->verify) status = verify(ctx, &file);
    if (status != wanted)
      fail_msg("%s: %s: %s", l->name, mcl_status_name(status), status ? mcl_context_message(ctx) : "accepted");
    if (!strstr(mcl_context_message(ctx), l->message))
      fail_msg("%s: the message has no \"%s\": %s", l->name, l->message, mcl_context_message(ctx));
    assert_int_equal(verify(ctx, &file), wanted); /* and so does verify, by the path */
    if (!l->verify && !strstr(mcl_context_message(ctx), "lie.mcl"))
      fail_msg("%s: the message does not name the file: %s", l->name, mcl_context_message(ctx));
  }
  print_message("%zu lies\n", count);
}
#define TRY(ctx, lies) try_lies((ctx), (lies), sizeof(lies) / sizeof *(lies))

static void the_good_file_is_good(void **state) {
  out file;
  mcl_model *model;
  mcl_tensor *values;
  make_file(&(lie){.name = "good"}, &file);
  assert_ok(*state, open_and_load(*state, &file, false));
  assert_ok(*state, verify(*state, &file));
  assert_ok(*state, mcl_model_open_memory(*state, file.data, file.size, &model));
  assert_ok(*state, mcl_weight_values(model, mcl_model_find_weight(model, "fc.weight"), &values));
  assert_memory_equal(values->data, SIX_FLOATS, 24);
  mcl_model_free(model);
  make_file(&(lie){.name = "good, with what a later minor version may add",
                   .start = B("MCL\x1a\x01\x07\0\xff"),
                   .sections = B("\x05\x02hi\x06\0")},
            &file);
  assert_ok(*state, open_and_load(*state, &file, false));
}

/* ---- The lies ---- */

static void headers_that_lie_are_refused(void **state) {
  static const lie lies[] = {
      {"another magic", "does not begin with the magic", .start = B("MCM\x1a\x01\0\0\0")},
      {"a major version to come", "format version 2.0", MCL_ERROR_UNSUPPORTED, .start = B("MCL\x1a\x02\0\0\0")},
      {"a major version that never was", "format version 0.0", MCL_ERROR_UNSUPPORTED, .start = B("MCL\x1a\0\0\0\0")},
      {"features to come", "needs features 0x84", MCL_ERROR_UNSUPPORTED, .start = B("MCL\x1a\x01\0\x84\0")},
      {"an alignment of a megabyte", "an alignment of 2^20", .alignment = 20},
      {"a directory larger than the file", "the directory's size is 16383", .sizes = B("\xff\x7f")},
      {"a directory longer than it is", "the directory is damaged", .sizes = B("\x1d")},
      {"a size that is not a varint", "not a valid varint", .sizes = B("\x80\x00")},
      {"a size of more than 64 bits", "not a valid varint", .sizes = B("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f")},
      {"a guard that differs", "its checksum at byte", .wrong = 1},
      {"a zstd directory that is none", "directory: zstd", .start = B("MCL\x1a\x01\0\x01\0"), .sizes = B("\x20\x1b")},
      {"a zstd directory of petabytes", "the directory's size is", .start = B("MCL\x1a\x01\0\x01\0"),
       .sizes = B("\xff\xff\xff\xff\xff\xff\x01\x1b")},
      {"a wrap that is damaged", "the zstd wrap is damaged", .wrapped = B("MCL\x1a\x01\0\x02\0\x20"), .frame = B("abc"),
       .wrong = 6},
      {"a wrap of no frame", "the zstd wrap: zstd", .wrapped = B("MCL\x1a\x01\0\x02\0\x20"), .frame = B("abcd")},
      {"a wrap of petabytes", "the unwrapped size is", .wrapped = B("MCL\x1a\x01\0\x02\0\xff\xff\xff\xff\xff\xff\x01"),
       .frame = B("abcd")},
      {"a wrap of what is not a container", "within the zstd wrap", .wrapped = B("MCL\x1a\x01\0\x02\0\x03"),
       .frame = B("\x20\x03\x19\0\0abc")}, /* one block of zstd, raw: three bytes */
      {"a wrap within a wrap", "a zstd wrap within a zstd wrap", .wrapped = B("MCL\x1a\x01\0\x02\0\x08"),
       .frame = B("\x20\x08\x41\0\0MCL\x1a\x01\0\x02\0")},
      {"the end missing", "20 bytes after the last stream", .cut = 4},
      {"all but the streams", "is it cut off", .cut = 40},
      {"bytes at the end", "25 bytes after the last stream", .extra = 1},
      {"a trailer of two weights", "32 bytes after the last stream", .weights = 2},
  };
  TRY(*state, lies);
  out file = {.size = 0};
  assert_fails(*state, MCL_ERROR_FORMAT, "does not begin with the magic", open_and_load(*state, &file, false));
  put(&file, "MCL\x1a\x01", 5);
  assert_fails(*state, MCL_ERROR_FORMAT, "ends within its header, at byte 5", open_and_load(*state, &file, false));
}

static void directories_that_lie_are_refused(void **state) {
  static const lie lies[] = {
      {"more entries than bytes", "the number of entries is 100", .entries = B("\x64")},
      {"more entries than there are", "directory", .entries = B("\x05")},
      {"fewer entries than there are", "directory", .entries = B("\x02")},
      {"an entry of kind 3", "byte 1: an unknown kind of entry", .input = B("\x03\x01x\x02\0\x04")},
      {"an entry with an unknown flag", "byte 1: an unknown kind of entry", .input = B("\x20\x01x\x02\0\x04")},
      {"an input that is a state", "byte 1: an unknown kind of entry", .input = B("\x04\x01x\x02\0\x04")},
      {"a name that shares what is not there", "a name that shares more", .input = B("\0\x21x\x02\0\x04")},
      {"a name with an unknown suffix", "an unknown suffix",
       .weight = B("\x19\x02"
                   "fc\x02\x03\x04")},
      {"a name with a zero byte", "a name with a zero byte", .input = B("\0\x02x\0\x02\0\x04")},
      {"a name of 4000 bytes", "a name's length is 3985", .input = B("\0\x0f\x91\x1fx\x02\0\x04")},
      {"a name of 1030 bytes", "a name longer than 1023", .input = B("\0\x0f\xf7\x07x\x02\0\x04")},
      {"a name that goes on past the end", "directory: ends at byte",
       .node = B("\x02\x0f\xc8\x01"
                 "abc")},
      {"an entry without a name", "byte 1: memory: a input without a name", .input = B("\0\0\x02\0\x04")},
      {"two of one name", "\"x\": the name is taken already", .weight = B("\x01\x10\x02\x03\x04")},
      {"nine dimensions", "the number of dimensions is 9", .input = B("\0\x01x\x09\0\x02\x02\x02\x02\x02\x02\x02\x02")},
      {"a weight of the batch's size", "every dimension must be at least 1",
       .weight = B("\x09\x02"
                   "fc\x02\0\x04")},
      {"a dimension of nothing", "every dimension must be at least 1",
       .weight = B("\x09\x02"
                   "fc\x02\x01\x04")},
      {"the batch as second dimension", "every dimension must be at least 1", .input = B("\0\x01x\x02\x04\0")},
      {"more elements than an address has", "weight \"fc.weight\"",
       .weight = B("\x09\x02"
                   "fc\x02\x80\x80\x80\x80\x80\x80\x80\x40\x80\x80\x80\x80\x80\x80\x80\x40")},
      {"a dimension of 2^64 - 1", "a dimension is 18446744073709551615",
       .weight = B("\x09\x02"
                   "fc\x02\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x04")},
      {"a header larger than the directory", "the size of a representation's header is 112",
       .directory = B("\x03\0\x01x\x02\0\x04\x09\x02"
                      "fc\x02\x03\x04p\x01\0")},
      {"more streams than bytes", "the number of streams is 100", .list = B("\x64\x19")},
      {"a stream larger than the file", "a stream's size is 300", .list = B("\x01\xac\x02")},
      {"a stream that passes the end", "weight \"fc.weight\": stream 0 of 80 bytes passes the end",
       .list = B("\x01\x50")},
      {"an op to come", "node \"fc\" is of the op 200", MCL_ERROR_UNSUPPORTED, .node = B("\x02\x20\xc8\x02\x02\x01")},
      {"attributes that the op has not", "the set of attributes is 1", .node = B("\x06\x20\x02\x01\x02\x02\x01")},
      {"an attribute out of range", "tanh holds 5", .node = B("\x06\x20\x0c\x01\x0a\x01\x02")},
      {"an attribute that is not a number", "alpha is nan", .node = B("\x06\x20\x07\x01\0\0\0\0\0\0\xf8\x7f\x01\x02")},
      {"an attribute of nine numbers", "the numbers of an attribute is 9", .node = B("\x06\x20\x18\x01\x09\x01\x02")},
      {"an op of 127 inputs", "a node's inputs is 127", .node = B("\x02\x20\x02\x7f")},
      {"an input before the first value", "the place of an input is 3", .node = B("\x02\x20\x02\x02\x03\x01")},
      {"an input left out that is needed", "node \"fc\"", .node = B("\x02\x20\x02\x02\x02\0")},
      {"one input too few", "linear takes 2 to 3 inputs, not 1", .node = B("\x02\x20\x02\x01\x02")},
      {"shapes that do not fit", "node \"fc\"", .input = B("\0\x01x\x02\0\x05")},
      {"an output that is not there", "an output that is not a value", .outputs = B("\x01\x03")},
      {"an output that is a weight", "output \"fc.weight\" is a weight", .outputs = B("\x01\x01")},
      {"more outputs than values", "the number of outputs is 4", .outputs = B("\x04\x02\x02\x02\x02")},
      {"a section that passes the end", "a section's size is 99", .sections = B("\x01\x63x")},
      {"a section cut off", "directory: ends at byte", .sections = B("\x01\x05x")},
  };
  TRY(*state, lies);
}

#define WEIGHT(text) .representation = B(text)

static void representations_that_lie_are_refused(void **state) {
  static const lie lies[] = {
      {"an unknown kind", "weight \"fc.weight\": unknown kind of representation 99", WEIGHT("\x63\0")},
      {"no kind at all", "weight \"fc.weight\"", WEIGHT("")},
      {"an unknown dtype", "dense values of an unknown type 9", WEIGHT("\x01\x09")},
      {"a dtype of integers", "dense values of an unknown type 4", WEIGHT("\x01\x04")},
      {"bytes after the header", "2 bytes after its representation's header", WEIGHT("\x01\0\0\0")},
      {"a stream too many", "2 streams, of which its representation has only 1", .list = B("\x02\x19\0")},
      {"a stream too few", "more than the 0 streams", .list = B("\0"), .streams = B("")},
      {"sums of sums of sums …", "nested deeper than 8",
       WEIGHT("\x06\x02\x06\x02\x06\x02\x06\x02\x06\x02\x06\x02\x06\x02\x06\x02\x06\x02\x06\x02")},
      {"a sum of one part", "a sum of 1 parts", WEIGHT("\x06\x01\x01\0")},
      {"a sum of five parts", "a sum of 5 parts", WEIGHT("\x06\x05\x01\0\x01\0\x01\0\x01\0\x01\0")},
      {"a rank of nothing", "a rank of 0", WEIGHT("\x05\0\x01\0\x01\0")},
      {"a rank above both sides", "the rank is 3", WEIGHT("\x05\x03\x01\0\x01\0")},
      {"more nonzeros than values", "the number of nonzeros is 7", WEIGHT("\x02\x07\0\x07\x01\0")},
      {"an unknown layout", "an unknown layout", WEIGHT("\x02\x01\x40\x01\x01\0")},
      {"a bitmap with a shift", "an unknown layout", WEIGHT("\x02\x01\x12\x01\0")},
      {"more gaps than can be", "the number of gap symbols is 9", WEIGHT("\x02\x01\0\x09\x01\0")},
      {"a gap that leads outside", "a gap leads outside", WEIGHT("\x02\x01\0\x01\x01\0"), .list = B("\x02\x02\x05"),
       .streams = B("\0\x06\0\0\0\x80\x3f")},
      {"fewer gaps than nonzeros", "fewer entries than", WEIGHT("\x02\x02\0\x01\x01\0"), .list = B("\x02\x02\x09"),
       .streams = B("\0\x01\0\0\0\x80\x3f\0\0\x80\x3f")},
      {"a bitmap of too many bits", "more entries than", WEIGHT("\x02\x01\x10\x01\0"), .list = B("\x02\x02\x05"),
       .streams = B("\0\x03\0\0\0\x80\x3f")},
      {"a bitmap with a bit outside", "a bit lies outside", WEIGHT("\x02\x01\x10\x01\0"), .list = B("\x02\x02\x05"),
       .streams = B("\0\x80\0\0\0\x80\x3f")},
      {"an unknown flag of a palette", "unknown flags 2 of a palette", WEIGHT("\x03\x01\x02")},
      {"a code beyond the codebook", "stream 1: raw: a symbol outside of its alphabet", WEIGHT("\x03\x01\0"),
       .list = B("\x02\x09\x07"), .streams = B("\0\0\0\x80\x3f\0\0\0\x40\0\x01\0\x01\0\x02\0")},
      {"an unknown flag of an affine", "unknown flags 32", WEIGHT("\x04\x20\0")},
      {"a group longer than a row", "the group of values a scale is 4", WEIGHT("\x04\x0b\x04")},
  };
  TRY(*state, lies);
}

static void streams_that_lie_are_refused(void **state) {
  static const lie lies[] = {
      {"an unknown coder", "stream 0: unknown coder 9", .streams = B("\x09" SIX_FLOATS)},
      {"floats, bit-packed", "bitpack", .streams = B("\x01" SIX_FLOATS)},
      {"floats, by Huffman", "huffman", .streams = B("\x02" SIX_FLOATS)},
      {"planes that are none", "raw: the size is not", .streams = B("\x03" SIX_FLOATS)},
      {"a value too few", "raw: 6 elements take 24 bytes, not 20", .list = B("\x01\x15"),
       .streams = B("\0\0\0\x80\x3f\0\0\0\x40\0\0\x40\x40\0\0\x80\x40\0\0\xa0\x40")},
      {"an empty stream for values", "no bytes for a stream of 6", .list = B("\x01\0"), .streams = B("")},
      {"a terabyte in 25 bytes", "raw: 1099511627776 elements", .input = B("\0\x01x\x02\0\x81\x80\x80\x02"),
       .weight = B("\x09\x02"
                   "fc\x02\x81\x80\x10\x81\x80\x80\x02")},
      {"a terabyte of one symbol", "a block's size is 3", WEIGHT("\x03\x01\0"),
       .input = B("\0\x01x\x02\0\x81\x80\x80\x02"),
       .weight = B("\x09\x02"
                   "fc\x02\x81\x80\x10\x81\x80\x80\x02"),
       .list = B("\x02\x09\x07"), .streams = B("\0\0\0\x80\x3f\0\0\0\x40\x02\x03\x03\x03\x03\x03\x03")},
      {"stored bytes of another checksum", "weight \"fc.weight\" is damaged", .wrong = 2},
      {"values of another checksum", "weight \"fc.weight\" decodes to other values", .wrong = 3, .verify = true},
      {"a checksum of all streams", "the checksum of all streams, bytes", .wrong = 4, .verify = true},
      {"a checksum of all values", "the checksum of all weights' values", .wrong = 5, .verify = true},
      {"padding that is not zero", "the padding before stream 0", .alignment = 6, .verify = true, .padding = 18,
       .streams = B("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0" SIX_FLOATS)},
  };
  TRY(*state, lies);
}

/* A host that takes files for what they say: so that what is refused is refused by each check itself. */
static int trusting_context(void **state) {
  mcl_options options = {.threads = 2, .dense_limit = SIZE_MAX};
  return mcl_context_new(&options, (mcl_context **)state);
}
#define trusting_test(fn) cmocka_unit_test_setup_teardown(fn, trusting_context, teardown_context)

int main(void) {
  const struct CMUnitTest tests[] = {
      trusting_test(the_good_file_is_good),
      trusting_test(headers_that_lie_are_refused),
      trusting_test(directories_that_lie_are_refused),
      trusting_test(representations_that_lie_are_refused),
      trusting_test(streams_that_lie_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
