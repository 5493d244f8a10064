# What a shared library shows: the functions that its public headers declare, and no inner name.

# The names of functions declared in headers, at the beginning of a line.
function(mcl_declared out)
  set(names "")
  foreach(header ${ARGN})
    file(STRINGS ${header} lines REGEX "^[a-z].*[ *](mcl_[a-z0-9_]+|luaopen_mcl)\\(")
    foreach(line IN LISTS lines)
      string(REGEX REPLACE "^[a-z][a-zA-Z0-9_ *]*[ *](mcl_[a-z0-9_]+|luaopen_mcl)\\(.*" "\\1" name "${line}")
      if(name MATCHES "^[a-z0-9_]+$")
        list(APPEND names ${name})
      endif()
    endforeach()
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${header})
  endforeach()
  set(${out} ${names} PARENT_SCOPE)
endfunction()

# Makes a library or module show these names alone.
function(mcl_show_only target)
  if(APPLE)
    list(TRANSFORM ARGN PREPEND "_" OUTPUT_VARIABLE lines)
    list(JOIN lines "\n" text)
    set(option "LINKER:-exported_symbols_list,")
  else()
    list(JOIN ARGN "; " text)
    set(text "{ global: ${text}; local: *; };")
    set(option "LINKER:--version-script=")
  endif()
  set(script ${CMAKE_CURRENT_BINARY_DIR}/${target}.exports)
  file(CONFIGURE OUTPUT ${script} CONTENT "${text}\n" @ONLY)
  target_link_options(${target} PRIVATE "${option}${script}")
  set_target_properties(${target} PROPERTIES LINK_DEPENDS ${script})
endfunction()

# With BUILD_SHARED_LIBS: NAME_shared beside the static library NAME, which the program and the tests, that look inside,
# are linked with; it is installed in its place, under its name.
function(mcl_add_shared name)
  cmake_parse_arguments(PARSE_ARGV 1 ARG "" "" "OBJECTS;LIBRARIES;HEADERS")
  list(TRANSFORM ARG_OBJECTS REPLACE "(.+)" "$<TARGET_OBJECTS:\\1>" OUTPUT_VARIABLE objects)
  add_library(${name}_shared SHARED ${objects})
  set_target_properties(${name}_shared PROPERTIES OUTPUT_NAME ${name} EXPORT_NAME ${name} VERSION ${PROJECT_VERSION}
    SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
  target_include_directories(${name}_shared PUBLIC $<BUILD_INTERFACE:${CMAKE_CURRENT_SOURCE_DIR}/include>
                                                   $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_link_libraries(${name}_shared PRIVATE ${ARG_LIBRARIES})
  mcl_declared(names ${ARG_HEADERS})
  mcl_show_only(${name}_shared ${names})
endfunction()
