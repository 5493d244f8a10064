/* Which kernels this processor runs: detected by cpuid, lowered by MCL_KERNELS. */
#include "base/cpu.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[] = {
    [MCL_ISA_PORTABLE] = "portable", [MCL_ISA_AVX2] = "avx2", [MCL_ISA_AVX512] = "avx512"};

static mcl_isa detect(void) {
#if defined(__x86_64__) && defined(__GNUC__)
  __builtin_cpu_init(); /* asks the system too, whether it saves the wide registers */
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") || !__builtin_cpu_supports("bmi2"))
    return MCL_ISA_PORTABLE;
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl"))
    return MCL_ISA_AVX512;
  return MCL_ISA_AVX2; /* every processor with AVX2 converts f16 as well */
#else
  return MCL_ISA_PORTABLE;
#endif
}

mcl_isa mcl_cpu_isa(void) {
  static atomic_int known = -1; /* a fact about the machine: threads that race to find it find the same */
  int isa = atomic_load_explicit(&known, memory_order_relaxed);
  if (isa >= 0) return (mcl_isa)isa;
  isa = (int)detect();
  const char *wish = getenv("MCL_KERNELS");
  for (int lower = 0; wish && lower < isa; lower++)
    if (!strcmp(wish, names[lower])) isa = lower;
  atomic_store_explicit(&known, isa, memory_order_relaxed);
  return (mcl_isa)isa;
}
