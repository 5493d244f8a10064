# The runtime's edge shows in file names: in these folders, x.c is the runtime's; x_grad.c, x_fit.c, x_encode.c,
# x_write.c and x_blas.c are the engine's half.
set(MCL_ENGINE_HALF "_(grad|fit|encode|write|blas)\\.c$")
file(GLOB MCL_RUNTIME_SOURCES CONFIGURE_DEPENDS RELATIVE ${CMAKE_CURRENT_SOURCE_DIR}
     src/base/*.c src/tensor/*.c src/tensor/kernels/*.c src/coding/*.c src/repr/*.c src/graph/*.c src/artifact/*.c)
set(MCL_ENGINE_SOURCES ${MCL_RUNTIME_SOURCES})
list(FILTER MCL_RUNTIME_SOURCES EXCLUDE REGEX ${MCL_ENGINE_HALF})
list(FILTER MCL_ENGINE_SOURCES INCLUDE REGEX ${MCL_ENGINE_HALF})
file(GLOB MCL_UPPER_SOURCES CONFIGURE_DEPENDS RELATIVE ${CMAKE_CURRENT_SOURCE_DIR}
     src/compress/*.c src/train/*.c src/formats/*.c bindings/lua/*.c)
list(APPEND MCL_ENGINE_SOURCES ${MCL_UPPER_SOURCES})
# Kernels for one instruction set are compiled for it, and chosen at run time (base/cpu.h).
file(GLOB MCL_AVX2_SOURCES CONFIGURE_DEPENDS src/*/*_avx2.c src/*/kernels/*_avx2.c)
file(GLOB MCL_AVX512_SOURCES CONFIGURE_DEPENDS src/*/*_avx512.c src/*/kernels/*_avx512.c)
set_source_files_properties(${MCL_AVX2_SOURCES} PROPERTIES COMPILE_OPTIONS "-mavx2;-mfma;-mf16c;-mbmi2")
set_source_files_properties(${MCL_AVX512_SOURCES} PROPERTIES COMPILE_OPTIONS
  "-mavx512f;-mavx512bw;-mavx512dq;-mavx512vl;-mavx2;-mfma;-mf16c;-mbmi2;-mprefer-vector-width=512")
file(GLOB MCL_LUA_SOURCES CONFIGURE_DEPENDS RELATIVE ${CMAKE_CURRENT_SOURCE_DIR} lua/mcl/*.lua lua/mcl/*/*.lua recipes/*.lua)
