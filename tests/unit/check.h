/* What every C test includes: cmocka in the order it wants, a context to work with, and short checks. */
#ifndef MCL_TESTS_CHECK_H
#define MCL_TESTS_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/context.h"

/* The call succeeds; else its message is shown. */
#define assert_ok(ctx, call)                                                                                           \
  do {                                                                                                                 \
    mcl_status check_status = (call);                                                                                  \
    if (check_status) fail_msg("%s: %s: %s", #call, mcl_status_name(check_status), mcl_context_message(ctx));          \
  } while (0)

/* The call fails with this status and a message that contains this text. */
#define assert_fails(ctx, status, text, call)                                                                          \
  do {                                                                                                                 \
    mcl_status check_status = (call);                                                                                  \
    if (check_status != (status))                                                                                      \
      fail_msg("%s: %s, not %s: %s", #call, mcl_status_name(check_status), mcl_status_name(status),                    \
               mcl_context_message(ctx));                                                                              \
    if (!strstr(mcl_context_message(ctx), text))                                                                       \
      fail_msg("%s: the message has no \"%s\": %s", #call, text, mcl_context_message(ctx));                            \
  } while (0)

#define assert_close(a, b, tolerance)                                                                                  \
  do {                                                                                                                 \
    double check_a = (double)(a), check_b = (double)(b), check_gap = check_a - check_b;                                \
    if (!(check_gap <= (tolerance) && -check_gap <= (tolerance)))                                                      \
      fail_msg("%s is %.9g, not %.9g (line %d)", #a, check_a, check_b, __LINE__);                                      \
  } while (0)

/* A cmocka setup and teardown: *state is a context of two threads. Leaks are the sanitizer build's to find. */
static inline int setup_context(void **state) {
  mcl_options options = {.threads = 2};
  return mcl_context_new(&options, (mcl_context **)state);
}

static inline int teardown_context(void **state) {
  mcl_context_free(*state);
  return 0;
}

#define context_test(fn) cmocka_unit_test_setup_teardown(fn, setup_context, teardown_context)

#endif
