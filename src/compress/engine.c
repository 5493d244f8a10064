/* The engine's context is the runtime's; hosts of the engine ask for it by this name, so that it may hold more. */
#include <mcl/mcl.h>

mcl_status mcl_engine_new(const mcl_options *options, mcl_context **out) { return mcl_context_new(options, out); }
