# Programs carry gRPC, Protobuf, Abseil, OpenSSL, fmt and the C++ library with them instead of loading
# some sixty shared libraries: a start is spared their relocations and a process the pages of what it
# never calls (ADR 0241). The C library stays shared: names are resolved by what the system configures.
#
# Not under sanitizers: ThreadSanitizer's suppressions name the libraries (tests/tsan.supp). Where a
# distribution ships no archive its shared library stays in use.
include_guard()

# Before find_package(OpenSSL).
set(OPENSSL_USE_STATIC_LIBS ON)
set(SLUICE_PROGRAM_LINK_OPTIONS -static-libstdc++ -static-libgcc)
set(CMAKE_SKIP_BUILD_RPATH ON)  # nothing of ours is a shared library

function(sluice_use_archive target)
  foreach(property IMPORTED_LOCATION_NONE IMPORTED_LOCATION_RELEASE IMPORTED_LOCATION)
    get_target_property(shared ${target} ${property})
    if(NOT shared)
      continue()
    endif()
    string(REGEX REPLACE "\\.so[.0-9]*$" ".a" archive ${shared})
    if(EXISTS ${archive})
      set_target_properties(${target} PROPERTIES ${property} ${archive})
    endif()
  endforeach()
endfunction()

# The imported targets of this folder that belong to gRPC or come with it.
function(sluice_use_archives)
  get_property(targets DIRECTORY PROPERTY IMPORTED_TARGETS)
  list(FILTER targets INCLUDE REGEX "^(gRPC|absl|re2|c-ares|protobuf)::")
  foreach(target ${targets})
    get_target_property(type ${target} TYPE)
    if(type MATCHES "^(SHARED|UNKNOWN)_LIBRARY$")
      sluice_use_archive(${target})
    endif()
  endforeach()
  find_library(SLUICE_RE2_ARCHIVE libre2.a)  # its target says "-lre2"
  if(SLUICE_RE2_ARCHIVE)
    set_target_properties(re2::re2 PROPERTIES INTERFACE_LINK_LIBRARIES
      "${SLUICE_RE2_ARCHIVE};Threads::Threads")
  endif()
endfunction()

# There is none of fmt: it is compiled from its headers, once.
function(sluice_use_fmt_archive)
  set(folder ${CMAKE_BINARY_DIR}/lib)
  add_library(sluice_fmt STATIC ${PROJECT_SOURCE_DIR}/deploy/cmake/fmt_archive.cc)
  set_target_properties(sluice_fmt PROPERTIES ARCHIVE_OUTPUT_DIRECTORY ${folder})
  set_target_properties(fmt::fmt PROPERTIES IMPORTED_LOCATION_NONE ${folder}/libsluice_fmt.a)
  add_dependencies(fmt::fmt sluice_fmt)
endfunction()
