/* Running block programs, and the two evaluations that keep every value.
 *
 * A block's inputs are pointers into the tensors where they can be; its instructions run one after the other over
 * registers that stay in the first cache. A result too large for the caches is written around them, so that memory is
 * not first read in order to be overwritten. */
#include <string.h>

#include "base/threads.h"
#include "tensor/program.h"

#define STRIDE (MCL_BLOCK + 16) /* floats from block to block: a cache line more, or all would meet in the same sets */
#define STREAM_BYTES ((int64_t)4 << 20) /* results from this size on are written around the caches */
#define SMALL ((int64_t)1 << 17)        /* elements that may well be in the second cache */
#define LINE 16                         /* floats */
#define LONG_CODE 512                   /* instructions over a block that may take 0.1 to 2 ms */

/* ---- Scratch ---- */

static void fill(float *block, float value) {
  for (int i = 0; i < MCL_BLOCK; i++) block[i] = value;
}

mcl_status mcl_program_scratch_new(const mcl_program *p, mcl_program_scratch *out) {
  int workers = mcl_context_threads(p->ctx);
  size_t slots = (size_t)p->slots, count;
  *out = (mcl_program_scratch){.ctx = p->ctx, .workers = workers};
  if (__builtin_mul_overflow(slots, (size_t)workers, &count))
    return mcl_fail(p->ctx, MCL_ERROR_MEMORY, "an expression of %zu values on %d threads is too large", slots, workers);
  mcl_status status = mcl_alloc_array(p->ctx, count, sizeof *out->values, &out->values);
  if (!status) status = mcl_alloc_array(p->ctx, count, STRIDE * sizeof *out->blocks, &out->blocks);
  if (status) {
    mcl_program_scratch_free(out);
    return status;
  }
  for (size_t i = 0; i < count; i++) out->values[i] = out->blocks + i * STRIDE;
  /* What is the same for all elements is written once; all workers read the first one's block. */
  for (int i = 0; i < p->constant_count; i++) fill(out->blocks + (size_t)i * STRIDE, p->constants[i]);
  for (int i = 0; i < p->input_count; i++) {
    const mcl_program_input *input = &p->inputs[i];
    float value;
    if (!input->is_scalar) continue;
    mcl_convert(input->tensor->dtype, input->tensor->data, MCL_F32, &value, 1);
    fill(out->blocks + (size_t)input->slot * STRIDE, value);
  }
  for (int worker = 1; worker < workers; worker++) {
    const float **values = out->values + (size_t)worker * slots;
    for (int i = 0; i < p->constant_count; i++) values[i] = out->values[i];
    for (int i = 0; i < p->input_count; i++)
      if (p->inputs[i].is_scalar) values[p->inputs[i].slot] = out->values[p->inputs[i].slot];
  }
  return MCL_OK;
}

void mcl_program_scratch_free(mcl_program_scratch *scratch) {
  mcl_free(scratch->ctx, scratch->values);
  mcl_free(scratch->ctx, scratch->blocks);
  scratch->values = NULL;
  scratch->blocks = NULL;
}

/* ---- Blocks ---- */

size_t mcl_program_block_size(const mcl_program *p, int64_t first, int64_t end) {
  int64_t n = end - first < MCL_BLOCK ? end - first : MCL_BLOCK;
  if (p->piece > 0) {
    int64_t inner = p->dim[p->rank - 1], at = first % inner, to_piece = p->piece - at % p->piece;
    if (n > inner - at) n = inner - at;
    if (n > to_piece) n = to_piece;
  }
  return (size_t)n;
}

/* n elements of an input from element `offset` on, as f32; stride 0: one for all. */
static void gather_run(const mcl_program_input *input, int64_t offset, int64_t stride, float *block, size_t n) {
  const mcl_tensor *t = input->tensor;
  const uint8_t *from = (const uint8_t *)t->data + (size_t)offset * mcl_dtype_size(t->dtype);
  if (stride != 0) {
    mcl_convert(t->dtype, from, MCL_F32, block, n);
    return;
  }
  float value;
  if (t->dtype == MCL_F32)
    value = *(const float *)(const void *)from;
  else
    mcl_convert(t->dtype, from, MCL_F32, &value, 1);
  for (size_t i = 0; i < n; i++) block[i] = value;
}

/* Where an element of the result lies in an input, and the way from one row of the last dimension to the next. */
typedef struct cursor {
  int64_t index[MCL_MAX_RANK], offset;
} cursor;

static cursor cursor_at(const mcl_program *p, const mcl_program_input *input, int64_t first) {
  cursor c = {.offset = 0};
  for (int axis = p->rank - 1; axis > 0; axis--) {
    c.index[axis] = first % p->dim[axis];
    first /= p->dim[axis];
    c.offset += c.index[axis] * input->stride[axis];
  }
  c.index[0] = first;
  c.offset += first * input->stride[0];
  return c;
}

static void advance(const mcl_program *p, const mcl_program_input *input, cursor *c, int64_t run) {
  int last = p->rank - 1;
  c->index[last] += run;
  c->offset += run * input->stride[last];
  for (int axis = last; axis > 0 && c->index[axis] == p->dim[axis]; axis--) {
    c->offset += input->stride[axis - 1] - c->index[axis] * input->stride[axis];
    c->index[axis] = 0;
    c->index[axis - 1]++;
  }
}

/* Short rows, run after run over their ends. A row that is the same in all of them is gathered once, then doubled. */
static void gather_rows(const mcl_program *p, const mcl_program_input *input, int64_t first, float *block, size_t n) {
  int last = p->rank - 1;
  cursor c = cursor_at(p, input, first);
  size_t period = (size_t)p->dim[last], gathered = p->rank == 2 && input->stride[0] == 0 && n > period ? period : n;
  for (size_t done = 0; done < gathered;) {
    size_t run = period - (size_t)c.index[last];
    if (run > gathered - done) run = gathered - done;
    gather_run(input, c.offset, input->stride[last], block + done, run);
    done += run;
    advance(p, input, &c, (int64_t)run);
  }
  for (size_t done = gathered; done < n; done *= 2)
    memcpy(block + done, block, (n - done < done ? n - done : done) * sizeof *block);
}

static const float *read_input(const mcl_program *p, const mcl_program_input *input, int64_t first, float *block,
                               size_t n) {
  if (!input->is_dense && p->rank > 1 && p->piece == 0) {
    gather_rows(p, input, first, block, n);
    return block;
  }
  int64_t offset = input->is_dense ? first : cursor_at(p, input, first).offset;
  int64_t stride = input->is_dense ? 1 : input->stride[p->rank - 1];
  if (input->tensor->dtype == MCL_F32 && stride == 1) return (const float *)input->tensor->data + offset;
  gather_run(input, offset, stride, block, n);
  return block;
}

/* Part `part` of `parts` of what the block three further on will read of the large inputs. The processor's own
 * prefetching loses its way where a pass over an input is interrupted by passes over registers and rows; asking for a few
 * lines at a time, into the second cache, keeps memory busy throughout, and nearly doubles what one thread gets. */
static void prefetch(const mcl_program *p, const float *const *values, const float *blocks, size_t n, size_t part,
                     size_t parts) {
  for (int i = 0; i < p->input_count; i++) {
    const mcl_program_input *input = &p->inputs[i];
    const float *block = values[input->slot];
    if (input->tensor->count < SMALL || block == blocks + (size_t)input->slot * STRIDE) continue;
    uintptr_t ahead = (uintptr_t)block + 3 * n * sizeof(float); /* maybe beyond the end: it is only a hint */
    for (size_t at = n * part / parts / LINE * LINE; at < n * (part + 1) / parts; at += LINE)
      __builtin_prefetch((const void *)(ahead + at * sizeof(float)), 0, 2);
  }
}

const float *mcl_program_block(const mcl_program *p, mcl_program_scratch *scratch, int worker, int64_t first,
                               size_t n) {
  const float **values = scratch->values + (size_t)worker * (size_t)p->slots;
  float *blocks = scratch->blocks + (size_t)worker * (size_t)p->slots * STRIDE;
  for (int i = 0; i < p->input_count; i++) {
    const mcl_program_input *input = &p->inputs[i];
    if (!input->is_scalar) values[input->slot] = read_input(p, input, first, blocks + (size_t)input->slot * STRIDE, n);
  }
  for (int i = 0; i < p->code_count; i++) {
    if (i % LONG_CODE == LONG_CODE - 1 && mcl_check_cancel(p->ctx)) break; /* what asks next ends the whole */
    const mcl_instruction *code = &p->code[i];
    const float *args[3] = {values[code->args[0]], values[code->args[1]], values[code->args[2]]};
    p->kernels->apply[code->op](blocks + (size_t)code->out * STRIDE, args, n);
    prefetch(p, values, blocks, n, (size_t)i, (size_t)p->code_count);
  }
  return values[p->result];
}

mcl_status mcl_program_parallel(mcl_context *ctx, int64_t chunks, mcl_chunk_fn fn, void *arg) {
  if (chunks > 1)
    MCL_TRY(mcl_parallel(ctx, chunks, fn, arg));
  else if (chunks == 1)
    MCL_TRY(fn(arg, 0, 0));
  return mcl_check_cancel(ctx); /* the last block may have been left unfinished */
}

/* ---- Keeping every value ---- */

typedef struct evaluation {
  const mcl_program *program;
  mcl_program_scratch *scratch;
  mcl_tensor *out;
  bool streams;
} evaluation;

static mcl_status evaluate_chunk(void *arg, int64_t chunk, int worker) {
  evaluation *run = arg;
  const mcl_program *p = run->program;
  int64_t first = chunk * MCL_CHUNK, end = first + MCL_CHUNK < p->count ? first + MCL_CHUNK : p->count;
  size_t size = mcl_dtype_size(run->out->dtype);
  MCL_TRY(mcl_check_cancel(p->ctx));
  while (first < end) {
    size_t n = mcl_program_block_size(p, first, end);
    const float *block = mcl_program_block(p, run->scratch, worker, first, n);
    void *to = (uint8_t *)run->out->data + (size_t)first * size;
    if (run->streams)
      p->kernels->stream(to, block, n);
    else if (to != (const void *)block) /* x = x: nothing to do, and no overlapping copy */
      mcl_convert(MCL_F32, block, run->out->dtype, to, n);
    first += (int64_t)n;
  }
  return MCL_OK;
}

static mcl_status evaluate_program(const mcl_program *p, mcl_tensor *out) {
  mcl_program_scratch scratch;
  MCL_TRY(mcl_program_scratch_new(p, &scratch));
  evaluation run = {p, &scratch, out, out->dtype == MCL_F32 && p->count * 4 >= STREAM_BYTES};
  mcl_status status = mcl_program_parallel(p->ctx, mcl_chunks(p->count), evaluate_chunk, &run);
  mcl_program_scratch_free(&scratch);
  return status;
}

mcl_status mcl_expression_evaluate(mcl_expression *e, mcl_tensor **out) {
  mcl_program program;
  *out = NULL;
  MCL_TRY(mcl_program_compile(e, &program));
  mcl_status status = mcl_tensor_new_raw(e->ctx, MCL_F32, program.shape, out);
  if (!status) status = evaluate_program(&program, *out);
  if (status) {
    mcl_tensor_release(*out);
    *out = NULL;
  }
  mcl_program_free(&program);
  return status;
}

/* Would a write to `out` change what is still to be read? Not where an input lies exactly where its result goes. */
static bool must_not_overwrite(const mcl_program *p, const mcl_tensor *out) {
  uintptr_t begin = (uintptr_t)out->data, end = begin + (size_t)out->count * mcl_dtype_size(out->dtype);
  for (int i = 0; i < p->input_count; i++) {
    const mcl_tensor *t = p->inputs[i].tensor;
    uintptr_t input_begin = (uintptr_t)t->data, input_end = input_begin + (size_t)t->count * mcl_dtype_size(t->dtype);
    if (input_begin >= end || input_end <= begin || p->inputs[i].is_scalar) continue;
    bool in_place = input_begin == begin && t->count == out->count && t->dtype == out->dtype;
    if (!in_place) return true;
  }
  return false;
}

mcl_status mcl_expression_evaluate_into(mcl_expression *e, mcl_tensor *out) {
  mcl_program program;
  mcl_tensor *apart = NULL;
  if (!mcl_shape_equal(e->shape, out->shape)) {
    char from[MCL_SHAPE_TEXT], to[MCL_SHAPE_TEXT];
    return mcl_fail(e->ctx, MCL_ERROR_ARGUMENT, "an expression of shape %s does not go into a tensor of %s",
                    mcl_shape_text(e->shape, from), mcl_shape_text(out->shape, to));
  }
  MCL_TRY(mcl_program_compile(e, &program));
  mcl_status status = MCL_OK;
  if (must_not_overwrite(&program, out)) {
    status = mcl_tensor_new_raw(e->ctx, out->dtype, out->shape, &apart);
    if (!status) status = evaluate_program(&program, apart);
    if (!status) status = mcl_copy(e->ctx, out->data, apart->data, (size_t)out->count * mcl_dtype_size(out->dtype));
  } else {
    status = evaluate_program(&program, out);
  }
  mcl_tensor_release(apart);
  mcl_program_free(&program);
  return status;
}
