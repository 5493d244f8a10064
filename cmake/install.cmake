# cmake --install: headers, libraries, program, Lua module, pkg-config and CMake package files.
include(CMakePackageConfigHelpers)

# What is installed may be moved: its files find each other from where they are.
file(RELATIVE_PATH MCL_PC_TO_PREFIX /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
set(MCL_PACKAGE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/mcl)

if(BUILD_SHARED_LIBS)
  set(MCL_KIND _shared) # cmake/exports.cmake
endif()

install(FILES include/mcl/mcl_runtime.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/mcl)
install(TARGETS mcl_runtime${MCL_KIND} EXPORT mcl-targets DESTINATION ${CMAKE_INSTALL_LIBDIR})
set(MCL_RUNTIME_PRIVATE_LIBS "-lpthread -lm")
set(MCL_ZSTD_MODULE "")
if(MCL_WITH_ZSTD)
  string(APPEND MCL_RUNTIME_PRIVATE_LIBS " -lzstd")
  set(MCL_ZSTD_MODULE " libzstd")
endif()
configure_file(cmake/mcl_runtime.pc.in mcl_runtime.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/mcl_runtime.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

if(NOT MCL_RUNTIME_ONLY)
  install(FILES include/mcl/mcl.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/mcl)
  install(TARGETS mcl${MCL_KIND} EXPORT mcl-targets DESTINATION ${CMAKE_INSTALL_LIBDIR})
  install(TARGETS mcl_program RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  install(TARGETS mcl_module LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/lua/5.4)
  install(FILES lua/mcl.d.lua DESTINATION ${CMAKE_INSTALL_DATADIR}/mcl OPTIONAL)
  install(DIRECTORY recipes DESTINATION ${CMAKE_INSTALL_DATADIR}/mcl)
  install(DIRECTORY examples/models DESTINATION ${CMAKE_INSTALL_DATADIR}/mcl)
  if(NOT CMAKE_CROSSCOMPILING) # the program writes its own manual and completions, from its parsers
    add_custom_command(OUTPUT shell/mcl.1 shell/mcl shell/_mcl shell/mcl.fish
      COMMAND ${CMAKE_COMMAND} -E make_directory shell
      COMMAND mcl_program manual > shell/mcl.1
      COMMAND mcl_program completion bash > shell/mcl
      COMMAND mcl_program completion zsh > shell/_mcl
      COMMAND mcl_program completion fish > shell/mcl.fish
      DEPENDS mcl_program)
    add_custom_target(mcl_shell ALL DEPENDS shell/mcl.1 shell/mcl shell/_mcl shell/mcl.fish)
    set(MCL_SHELL ${CMAKE_CURRENT_BINARY_DIR}/shell)
    install(FILES ${MCL_SHELL}/mcl.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
    install(FILES ${MCL_SHELL}/mcl DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
    install(FILES ${MCL_SHELL}/_mcl DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
    install(FILES ${MCL_SHELL}/mcl.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
  endif()
  configure_file(cmake/mcl.pc.in mcl.pc @ONLY)
  install(FILES ${CMAKE_CURRENT_BINARY_DIR}/mcl.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endif()

install(EXPORT mcl-targets NAMESPACE mcl:: DESTINATION ${MCL_PACKAGE_DIR})
configure_package_config_file(cmake/mcl-config.cmake.in mcl-config.cmake INSTALL_DESTINATION ${MCL_PACKAGE_DIR})
write_basic_package_version_file(mcl-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/mcl-config.cmake ${CMAKE_CURRENT_BINARY_DIR}/mcl-config-version.cmake
        DESTINATION ${MCL_PACKAGE_DIR})
