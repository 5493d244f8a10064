/* Inside coding: what the files of coders share. A coder works on one block of at most MCL_STREAM_BLOCK elements. */
#ifndef MCL_CODING_CODERS_H
#define MCL_CODING_CODERS_H

#include "coding/bits.h"
#include "coding/coding.h"

extern const mcl_coder mcl_coder_raw, mcl_coder_bitpack, mcl_coder_huffman, mcl_coder_planes;

/* The refusal of a coder: "huffman: what". */
#define mcl_coder_refuses(ctx, coder, what) mcl_fail((ctx), MCL_ERROR_FORMAT, "%s: %s", (coder)->name, (what))

/* Every element of out is below the alphabet (0: anything goes). */
bool mcl_symbols_are_below(const void *elements, size_t count, uint8_t width, uint32_t alphabet);

/* ---- The engine's half ---- */

/* fits: the coder can hold the stream at all. size: exact bytes of a block. encode: appends exactly those. */
typedef struct mcl_coder_encode {
  uint8_t id;
  bool (*fits)(const mcl_stream *block);
  mcl_status (*size)(mcl_context *ctx, const mcl_stream *block, size_t *out);
  mcl_status (*encode)(mcl_context *ctx, const mcl_stream *block, mcl_buffer *out);
} mcl_coder_encode;

extern const mcl_coder_encode mcl_encode_raw, mcl_encode_bitpack, mcl_encode_huffman, mcl_encode_planes;

#endif
