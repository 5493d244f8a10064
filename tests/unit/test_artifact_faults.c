/* Memory that runs out: whichever allocation fails, opening, decoding and writing a container return MCL_ERROR_MEMORY, and
 * nothing is left behind. */
#include "unit/models.h"

#include "unit/faults.h"

static mcl_status read_and_write(mcl_context *context, const mcl_buffer *file) {
  mcl_model *model;
  mcl_artifact_info *info;
  mcl_buffer out = {.ctx = context};
  bool finished = false;
  size_t size;
  mcl_status status = mcl_model_open_memory(context, file->data, file->size, &model);
  while (!status && !finished) status = mcl_model_decode(model, 1, &finished);
  if (!status) status = mcl_artifact_size(model, NULL, &size);
  if (!status) status = mcl_artifact_encode(model, &(mcl_artifact_options){.zstd_level = 1}, &out);
  if (!status) status = mcl_artifact_write(model, &(mcl_artifact_options){.dense = true}, "faulty.bin");
  if (!status) status = mcl_artifact_verify(context, "faulty.bin");
  if (!status) status = mcl_artifact_inspect(context, "faulty.bin", &info);
  if (!status) mcl_artifact_info_free(context, info);
  mcl_buffer_free(&out);
  mcl_model_free(model);
  return status;
}

static void every_allocation_may_fail(void **state) {
  (void)state;
  mcl_model *model = zoo(5);
  mcl_buffer file = encoded(model, NULL);
  for (long fail_at = 1;; fail_at++) {
    counter held = {0};
    mcl_context *context;
    mcl_options options = {.user = &held, .allocate = counted_allocate, .release = counted_release, .threads = 1};
    assert_int_equal(mcl_context_new(&options, &context), MCL_OK);
    refuse_request(&held, fail_at);
    mcl_status status = read_and_write(context, &file);
    bool reached = held.calls >= fail_at;
    if (reached && status != MCL_ERROR_MEMORY)
      fail_msg("allocation %ld: %s: %s", fail_at, mcl_status_name(status), mcl_context_message(context));
    assert_int_equal(mcl_context_memory(context), 0); /* nothing is left behind */
    mcl_context_free(context);
    if (!reached) {
      print_message("%ld allocations failed in turn\n", fail_at - 1);
      assert_int_equal(status, MCL_OK);
      break;
    }
  }
  mcl_buffer_free(&file);
  mcl_model_free(model);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_allocation_may_fail),
  };
  return cmocka_run_group_tests(tests, make_context, free_context);
}
