# The engine: libmcl, the program mcl, the Lua module mcl.so.

# The Lua half and the recipes are embedded, as text, in a generated C file.
set(MCL_EMBEDDED ${CMAKE_CURRENT_BINARY_DIR}/embedded.c)
list(TRANSFORM MCL_LUA_SOURCES PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/ OUTPUT_VARIABLE MCL_LUA_PATHS)
add_custom_command(
  OUTPUT ${MCL_EMBEDDED}
  COMMAND ${CMAKE_COMMAND} -DROOT=${CMAKE_CURRENT_SOURCE_DIR} "-DSOURCES=${MCL_LUA_SOURCES}" -DOUT=${MCL_EMBEDDED}
          -DLIBRARIES=${MCL_ARGPARSE} -P ${CMAKE_CURRENT_SOURCE_DIR}/cmake/embed.cmake
  DEPENDS ${MCL_LUA_PATHS} ${MCL_ARGPARSE} cmake/embed.cmake
  VERBATIM)

add_library(mcl_engine_objects OBJECT ${MCL_ENGINE_SOURCES} ${MCL_EMBEDDED})
target_include_directories(mcl_engine_objects PRIVATE include src bindings)
target_link_libraries(mcl_engine_objects PUBLIC mcl_runtime_objects mcl_openblas mcl_lapacke mcl_zlib mcl_libzip mcl_jansson)
target_include_directories(mcl_engine_objects SYSTEM PRIVATE ${LUA_INCLUDE_DIRS}) # headers only: the host brings Lua

set(MCL_ENGINE_LIBRARIES mcl_openblas mcl_lapacke mcl_zlib mcl_libzip mcl_jansson Threads::Threads m)
if(MCL_WITH_ZSTD)
  list(APPEND MCL_ENGINE_LIBRARIES mcl_zstd)
endif()

add_library(mcl STATIC $<TARGET_OBJECTS:mcl_runtime_objects> $<TARGET_OBJECTS:mcl_engine_objects>)
target_include_directories(mcl PUBLIC $<BUILD_INTERFACE:${CMAKE_CURRENT_SOURCE_DIR}/include>
                                      $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_link_libraries(mcl PUBLIC $<BUILD_INTERFACE:${MCL_ENGINE_LIBRARIES}>)

if(BUILD_SHARED_LIBS)
  mcl_add_shared(mcl OBJECTS mcl_runtime_objects mcl_engine_objects LIBRARIES ${MCL_ENGINE_LIBRARIES}
                 HEADERS ${MCL_RUNTIME_HEADERS} include/mcl/mcl.h)
endif()

file(GLOB MCL_CLI_SOURCES CONFIGURE_DEPENDS src/cli/*.c)
add_executable(mcl_program ${MCL_CLI_SOURCES})
set_target_properties(mcl_program PROPERTIES OUTPUT_NAME mcl)
target_include_directories(mcl_program PRIVATE src bindings)
target_link_libraries(mcl_program PRIVATE mcl mcl_lua mcl_xxhash)

# For a stock lua5.4: `require "mcl"`. Lua's own symbols come from the program that loads it.
add_library(mcl_module MODULE $<TARGET_OBJECTS:mcl_runtime_objects> $<TARGET_OBJECTS:mcl_engine_objects>)
set_target_properties(mcl_module PROPERTIES OUTPUT_NAME mcl PREFIX "" LIBRARY_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/lua)
target_link_libraries(mcl_module PRIVATE ${MCL_ENGINE_LIBRARIES})
mcl_show_only(mcl_module luaopen_mcl)
