/* Block programs: what an expression becomes when numbers are needed.
 *
 * A program is a list of instructions over slots. A slot is a block of up to MCL_BLOCK floats: an input, a constant, or
 * a register. Equal sub-expressions have become one instruction, constants are folded, and registers are used again as
 * soon as their value is dead, so a program's blocks stay in the first cache whatever the size of the tensors.
 *
 * The result's dimensions are merged as far as every input's layout allows: most programs have one (all inputs alike) or
 * two (a row or a column beside a matrix). An f32 input whose elements lie next to each other in a block is used where it
 * lies; the others are gathered, and converted, into a block of their own.
 *
 * Blocks, and chunks of MCL_CHUNK elements that one thread takes, depend on shapes alone, so reductions that add block by
 * block, and chunk by chunk in order, do not depend on the threads. */
#ifndef MCL_TENSOR_PROGRAM_H
#define MCL_TENSOR_PROGRAM_H

#include "tensor/expression.h"
#include "tensor/kernels/elementwise.h"

#define MCL_BLOCK 1024               /* floats */
#define MCL_CHUNK ((int64_t)1 << 16) /* elements, a multiple of MCL_BLOCK */

struct mcl_expression {
  mcl_context *ctx;
  int references;
  enum { MCL_NODE_TENSOR, MCL_NODE_SCALAR, MCL_NODE_APPLY } kind;
  mcl_elementwise op;
  mcl_expression *args[3];
  mcl_tensor *tensor;
  float value;
  mcl_shape shape;
  int64_t number;            /* in the walk that is under way; MCL_NO_NUMBER otherwise */
  mcl_expression *next_dead; /* links nodes that are being freed */
};

#define MCL_NO_NUMBER (-1)

int mcl_elementwise_arity(mcl_elementwise op);
/* A constant of a shape: what a seed or a sum over broadcast elements needs. */
mcl_status mcl_expression_constant(mcl_context *ctx, double value, mcl_shape shape, mcl_expression **out);
/* All nodes below e, arguments first, numbered in that order; *nodes is the caller's to free after mcl_walk_end. */
mcl_status mcl_walk_begin(mcl_expression *e, mcl_expression ***nodes, int64_t *count);
void mcl_walk_end(mcl_context *ctx, mcl_expression **nodes, int64_t count);

typedef struct mcl_program_input {
  mcl_tensor *tensor; /* retained */
  int64_t stride[MCL_MAX_RANK];
  bool is_scalar; /* one element for all: read when a run begins */
  bool is_dense;  /* laid out as the result is */
  int slot;
} mcl_program_input;

typedef struct mcl_instruction {
  mcl_elementwise op;
  int out, args[3]; /* slots */
} mcl_instruction;

typedef struct mcl_program {
  mcl_context *ctx;
  const mcl_elementwise_table *kernels;
  mcl_shape shape; /* of the result */
  int64_t count;
  int rank; /* merged dimensions, at least 1 */
  int64_t dim[MCL_MAX_RANK];
  int64_t piece; /* blocks end at multiples of it within the last dimension; 0: they may cross its ends */
  mcl_program_input *inputs;
  int input_count;
  float *constants; /* slots 0 … constant_count-1; then inputs, then registers */
  int constant_count;
  mcl_instruction *code;
  int code_count;
  int slots, result; /* the slot of the result */
} mcl_program;

mcl_status mcl_program_compile(mcl_expression *e, mcl_program *out);
void mcl_program_free(mcl_program *program); /* one that is all zero is fine */

/* The blocks of one worker; room for all workers is taken at once. */
typedef struct mcl_program_scratch {
  mcl_context *ctx;
  int workers;
  const float **values; /* workers × slots */
  float *blocks;        /* workers × slots × MCL_BLOCK */
} mcl_program_scratch;

mcl_status mcl_program_scratch_new(const mcl_program *program, mcl_program_scratch *out);
void mcl_program_scratch_free(mcl_program_scratch *scratch);

/* Elements of the block that begins at `first`; it ends at `end` at the latest. */
size_t mcl_program_block_size(const mcl_program *program, int64_t first, int64_t end);
/* Computes a block; valid until this worker's next. n is at most what mcl_program_block_size said. */
const float *mcl_program_block(const mcl_program *program, mcl_program_scratch *scratch, int worker, int64_t first,
                               size_t n);

static inline int64_t mcl_chunks(int64_t count) { return count / MCL_CHUNK + (count % MCL_CHUNK != 0); }

/* fn for each chunk; in this thread where there is but one. */
mcl_status mcl_program_parallel(mcl_context *ctx, int64_t chunks,
                                mcl_status (*fn)(void *arg, int64_t chunk, int worker), void *arg);

#endif
