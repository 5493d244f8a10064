/* Positions of a sparse representation, as sparse.c describes them: the layout byte, and reading. */
#ifndef MCL_REPR_SPARSE_POSITIONS_H
#define MCL_REPR_SPARSE_POSITIONS_H

#include "base/threads.h"
#include "repr/repr.h"

enum {
  MCL_SPARSE_COLUMN_MAJOR = 1,
  MCL_SPARSE_SHIFT = 1, /* the bit at which the shift of gaps begins; three bits */
  MCL_SPARSE_BITMAP = 16,
  MCL_SPARSE_ESCAPE = 255
};

/* Positions under way: symbols become one list of ascending positions in the stored order, and that becomes compressed rows.
 * A step does some 130,000 entries, so that decoding can stop between. */
typedef struct mcl_positions {
  mcl_context *ctx;
  const char *what; /* for messages */
  mcl_shape shape;
  int64_t count, nonzeros; /* values; entries */
  uint8_t layout;
  const uint8_t *symbols, *low; /* the caller's; low NULL: no shift */
  size_t symbol_count;
  uint64_t *position;           /* [nonzeros], freed by the last step */
  uint32_t *column, *row_start; /* the result: [nonzeros], and [rows + 2] */
  int phase;                    /* private: symbols, counting, adding up, placing */
  size_t next;
  uint64_t at;
  int64_t found;
} mcl_positions;

/* ctx … symbol_count are set. */
mcl_status mcl_positions_begin(mcl_positions *p);
mcl_status mcl_positions_step(mcl_positions *p, bool *done);
void mcl_positions_free(mcl_positions *p); /* what was not taken */

/* Fills column and row_start of a sparse representation whose shape and nonzeros are set; what it took is freed with
 * the representation. */
mcl_status mcl_sparse_read_positions(mcl_repr_reader *reader, mcl_sparse *sparse);

#endif
