# cmake --install: headers, libraries, program, Lua module, pkg-config and CMake package files.
