/* Huffman lanes with BMI2's shifts and LZCNT, which every processor with AVX2 has. */
#include "coding/huffman_lanes.h"

#define LZCNT __attribute__((target("lzcnt")))

LZCNT void mcl_huffman_lanes_avx2(const mcl_huffman_table *table, mcl_huffman_lane *lanes) {
  decode_lanes(table, lanes, MCL_HUFFMAN_LANES);
}
LZCNT void mcl_huffman_lane_avx2(const mcl_huffman_table *table, mcl_huffman_lane *lane) {
  decode_lanes(table, lane, 1);
}
