/* Huffman lanes for any processor: the reference of huffman_avx2.c. */
#include "coding/huffman_lanes.h"

void mcl_huffman_lanes_portable(const mcl_huffman_table *table, mcl_huffman_lane *lanes) {
  decode_lanes(table, lanes, MCL_HUFFMAN_LANES);
}
void mcl_huffman_lane_portable(const mcl_huffman_table *table, mcl_huffman_lane *lane) { decode_lanes(table, lane, 1); }
