/* Entropy coding. A stream is a run of symbols of one alphabet, or plain bytes; a coder turns it into bytes and back.
 * A coder is a file and a row of coders.c (decode) and coders_encode.c (encode, exact size). Formats: docs/format.md. */
#ifndef MCL_CODING_CODING_H
#define MCL_CODING_CODING_H

#include "base/bytes.h"

/* A stream as held in memory. Symbols of alphabets up to 256 are u8; wider data (u16, u32, f32) goes by `width` bytes
 * an element, little-endian, and only coders that say so take it. */
typedef struct mcl_stream {
  const void *data;
  size_t count;      /* elements */
  uint8_t width;     /* bytes an element in memory: 1, 2, 4 */
  uint32_t alphabet; /* symbols are below it; 0: plain values, any bit pattern */
} mcl_stream;

/* The part that a reader needs: how to turn bytes back. Never trusts a size: `out` has room for exactly
 * count × width bytes, and the caller has bounded count before it allocated. */
typedef struct mcl_coder {
  uint8_t id; /* in the file format, for ever */
  const char *name;
  bool fixed; /* least_size is the size: the blocks of a stream follow each other without a table of sizes */
  /* Decodes exactly `count` elements from exactly `size` bytes; anything else is MCL_ERROR_FORMAT. */
  mcl_status (*decode)(mcl_context *ctx, const uint8_t *data, size_t size, uint32_t alphabet, uint8_t width, void *out,
                       size_t count);
  /* The fewest bytes that `count` elements can take, so that a lying count is refused before memory is taken. */
  size_t (*least_size)(uint32_t alphabet, uint8_t width, size_t count);
} mcl_coder;

extern const mcl_coder *const mcl_coders[]; /* by id */
extern const int mcl_coder_count;
const mcl_coder *mcl_coder_by_id(uint8_t id); /* NULL: unknown */
const mcl_coder *mcl_coder_by_name(const char *name);

/* A coded stream is cut into blocks of at most MCL_STREAM_BLOCK elements, each decodable alone:
 *   u8 coder | sizes of the blocks but the last, where the coder is not fixed | blocks (docs/format.md)
 * and no bytes at all where it has no elements. These are all that other modules call to read one. */
#define MCL_STREAM_BLOCK ((size_t)1 << 18)
mcl_status mcl_stream_decode(mcl_context *ctx, const uint8_t *data, size_t size, uint32_t alphabet, uint8_t width,
                             void *out, size_t count);
/* Bounds check before allocation: MCL_ERROR_FORMAT where `size` bytes cannot hold count elements by that coder. */
mcl_status mcl_stream_check(mcl_context *ctx, const uint8_t *data, size_t size, uint32_t alphabet, uint8_t width,
                            size_t count);

/* The same in steps: blocks 0 … mcl_stream_block_count-1, in any order. `out` is that of the whole stream, and the check has
 * been made. A block takes some 100 µs. */
size_t mcl_stream_block_count(size_t count);
mcl_status mcl_stream_decode_block(mcl_context *ctx, const uint8_t *data, size_t size, uint32_t alphabet, uint8_t width,
                                   void *out, size_t count, size_t block);

/* Where the elements stand in `data` just as they are in memory (raw, and this machine is little-endian): their
 * address, to be used in place if it is aligned enough. NULL otherwise, or where the size does not fit. */
const void *mcl_stream_plain(const uint8_t *data, size_t size, uint8_t width, size_t count);
/* The coder's name, for reports; "none" of an empty stream, "unknown". */
const char *mcl_stream_coder(const uint8_t *data, size_t size);

/* ---- The engine's half (coders_encode.c and *_encode.c) ---- */

/* Exact bytes that mcl_stream_encode will append, without writing; coder NULL: the smallest of those that fit the
 * stream (the choice is deterministic: ties go to the lower id). */
mcl_status mcl_stream_size(mcl_context *ctx, const mcl_stream *stream, const mcl_coder *coder, size_t *out);
mcl_status mcl_stream_encode(mcl_context *ctx, const mcl_stream *stream, const mcl_coder *coder, mcl_buffer *out);

/* zstd on metadata and as an outer wrap; MCL_ERROR_UNSUPPORTED in a runtime built without it. */
mcl_status mcl_zstd_decompress(mcl_context *ctx, const uint8_t *data, size_t size, uint8_t *out, size_t out_size);
mcl_status mcl_zstd_compress(mcl_context *ctx, const uint8_t *data, size_t size, int level, mcl_buffer *out);
uint64_t mcl_hash(const void *data, size_t size); /* XXH3-64 */

/* The same of bytes that come in pieces. Plain data; needs no end. */
typedef struct mcl_hasher {
  _Alignas(64) uint8_t state[576];
} mcl_hasher;
void mcl_hasher_begin(mcl_hasher *hasher);
void mcl_hasher_add(mcl_hasher *hasher, const void *data, size_t size);
uint64_t mcl_hasher_end(const mcl_hasher *hasher);
/* mcl_hash of much, asking now and then whether to stop. */
mcl_status mcl_hash_long(mcl_context *ctx, const void *data, size_t size, uint64_t *out);

#endif
