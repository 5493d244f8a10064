/* Inside coding: the shape of a Huffman block, shared by its two halves (docs/format.md, "Huffman").
 *
 * Bits:  last       the largest symbol that occurs, in mcl_bits_for(alphabet) bits
 *        single     1: no other symbol occurs, and the block ends here
 *        lengths    of the codes of symbols 0 … last, each told by how it differs from the one before
 *        payload    fewer than MCL_HUFFMAN_LANES_FROM symbols: codes follow at once; else, from the next whole byte on,
 *                   the varint sizes of all lanes but the last, then the lanes, each decodable alone. */
#ifndef MCL_CODING_HUFFMAN_H
#define MCL_CODING_HUFFMAN_H

#include "coding/bits.h"

#define MCL_HUFFMAN_MAX_BITS 11      /* of a code */
#define MCL_HUFFMAN_LANES 6          /* as many as keep sixteen registers busy */
#define MCL_HUFFMAN_LANES_FROM 16384 /* symbols in a block */

/* A step of decoding: the next 11 bits give up to six symbols at once.
 * From the lowest byte: the bits taken, how many symbols, the symbols. */
#define MCL_HUFFMAN_STEP_SYMBOLS 6

typedef struct mcl_huffman_table {
  uint64_t step[1 << MCL_HUFFMAN_MAX_BITS];
  uint8_t length[256]; /* of each symbol's code; 0: does not occur */
  int bits;            /* of an index into step; the fast loops want MCL_HUFFMAN_MAX_BITS */
} mcl_huffman_table;

/* One lane as it is decoded. Precondition of the fast loops: nothing; they stop before either end is near. */
typedef struct mcl_huffman_lane {
  const uint8_t *in, *in_end; /* in: the byte that holds the next bit */
  int skip;                   /* bits of it that are taken: 0 … 7 */
  uint8_t *out, *out_end;
} mcl_huffman_lane;

/* Decodes all lanes, or one, as long as none is within a few bytes of an end. The fast twin is chosen at run time. */
typedef void (*mcl_huffman_lanes_fn)(const mcl_huffman_table *table, mcl_huffman_lane *lanes);
void mcl_huffman_lanes_portable(const mcl_huffman_table *table, mcl_huffman_lane *lanes);
void mcl_huffman_lanes_avx2(const mcl_huffman_table *table, mcl_huffman_lane *lanes);
void mcl_huffman_lane_portable(const mcl_huffman_table *table, mcl_huffman_lane *lane);
void mcl_huffman_lane_avx2(const mcl_huffman_table *table, mcl_huffman_lane *lane);

#endif
