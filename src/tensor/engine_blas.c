/* The engine's context: the runtime's. */
#include <mcl/mcl.h>

mcl_status mcl_engine_new(const mcl_options *options, mcl_context **out) { return mcl_context_new(options, out); }
