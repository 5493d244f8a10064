/* What the processor can do, asked once. MCL_KERNELS=portable|avx2|avx512 in the environment lowers it, for tests. */
#ifndef MCL_BASE_CPU_H
#define MCL_BASE_CPU_H

typedef enum mcl_isa { MCL_ISA_PORTABLE = 0, MCL_ISA_AVX2, MCL_ISA_AVX512 } mcl_isa;

/* AVX2 stands for AVX2 with FMA and F16C; AVX512 for F, BW, DQ, VL besides. */
mcl_isa mcl_cpu_isa(void);

#endif
