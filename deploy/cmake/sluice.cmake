# The one wrapper every folder uses, so that a folder's CMakeLists.txt is two or three lines.
include_guard()

find_program(SLUICE_CCACHE ccache)
if(SLUICE_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # Paths below the source root do not enter the hash: a fresh clone hits the same cache.
  set(launcher ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} CCACHE_NOHASHDIR=1
    ${SLUICE_CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${launcher})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${launcher})
endif()
find_program(SLUICE_MOLD mold)
if(SLUICE_MOLD)
  add_link_options(-fuse-ld=mold)
endif()

# Flags for our own code only; generated code is compiled without warnings or debug information.
add_library(sluice_flags INTERFACE)
target_include_directories(sluice_flags INTERFACE ${PROJECT_SOURCE_DIR} ${CMAKE_BINARY_DIR}/generated)
target_compile_options(sluice_flags INTERFACE
  -Wall -Wextra -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual -Wno-missing-field-initializers)
if(SLUICE_SANITIZE)
  target_compile_options(sluice_flags INTERFACE -fsanitize=${SLUICE_SANITIZE} -fno-omit-frame-pointer
    -fno-sanitize-recover=all)
  target_link_options(sluice_flags INTERFACE -fsanitize=${SLUICE_SANITIZE})
  target_compile_definitions(sluice_flags INTERFACE SLUICE_SANITIZED)
endif()
if(SLUICE_SANITIZE STREQUAL "thread")
  # Under this macro protobuf's headers give a map two more members, which the library we link, built without
  # it, does not have: every message with a map would be read at the wrong place.
  target_compile_options(sluice_flags INTERFACE -U__SANITIZE_THREAD__)
  target_compile_definitions(sluice_flags INTERFACE SLUICE_THREAD_SANITIZED)
endif()

# What `tests/run` builds when it does not need everything.
add_custom_target(unit_tests)
add_custom_target(fuzzers)

# sluice_one_piece(OUT NAME ALONE file...): sets OUT to what target NAME compiles. With
# SLUICE_ONE_PIECE that is one file that includes the others, and those in the list ALONE; else all of
# them. Its includes start at the source root, so that its text is the same in every clone and ccache
# knows it: CMake's own unity files have absolute paths.
function(sluice_one_piece out name alone)
  set(together ${ARGN})
  list(REMOVE_ITEM together ${alone})
  list(LENGTH together count)
  if(NOT SLUICE_ONE_PIECE OR count LESS 2)
    set(${out} ${ARGN} PARENT_SCOPE)
    return()
  endif()
  set(apart ${ARGN})
  list(REMOVE_ITEM apart ${together})
  file(RELATIVE_PATH folder ${PROJECT_SOURCE_DIR} ${CMAKE_CURRENT_SOURCE_DIR})
  list(TRANSFORM together REPLACE "(.+)" "#include \"${folder}/\\1\"\n")
  list(JOIN together "" text)
  set(piece ${CMAKE_CURRENT_BINARY_DIR}/${name}_one_piece.cc)
  file(CONFIGURE OUTPUT ${piece} CONTENT "${text}" @ONLY)
  set(${out} ${piece} ${apart} PARENT_SCOPE)
endfunction()

# sluice_library(NAME [DEPS lib...] [PRIVATE_DEPS lib...] [TEST_DEPS lib...] [TEST_LABELS label...]
#                [EXCLUDE file...] [ALONE file...])
#
# Makes library NAME from this folder's *.cc, test binary NAME_test from its *_test.cc (one ctest
# entry, label "unit" unless TEST_LABELS says otherwise), and with SLUICE_FUZZ one fuzzer per
# x_fuzz.cc, named x_fuzz. Files in EXCLUDE belong to another target (a main, say). With
# SLUICE_ONE_PIECE those in ALONE stay apart: their names meet others'.
function(sluice_library name)
  cmake_parse_arguments(arg "" "" "DEPS;PRIVATE_DEPS;TEST_DEPS;TEST_LABELS;EXCLUDE;ALONE" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS RELATIVE ${CMAKE_CURRENT_SOURCE_DIR} *.cc)
  set(tests ${sources})
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  set(fuzzers ${sources})
  list(FILTER fuzzers INCLUDE REGEX "_fuzz\\.cc$")
  list(REMOVE_ITEM sources ${tests} ${fuzzers} ${arg_EXCLUDE})
  if(sources)
    sluice_one_piece(sources ${name} "${arg_ALONE}" ${sources})
    add_library(${name} STATIC ${sources})
    target_link_libraries(${name} PUBLIC sluice_flags fmt::fmt Threads::Threads ${arg_DEPS}
      PRIVATE ${arg_PRIVATE_DEPS})
  else()
    add_library(${name} INTERFACE)
    target_link_libraries(${name} INTERFACE sluice_flags fmt::fmt Threads::Threads ${arg_DEPS})
  endif()
  if(tests)
    sluice_test(${name}_test SOURCES ${tests} DEPS ${name} ${arg_PRIVATE_DEPS} ${arg_TEST_DEPS}
      ALONE ${arg_ALONE} LABELS ${arg_TEST_LABELS})
  endif()
  if(SLUICE_FUZZ AND fuzzers)
    # Coverage guides a fuzzer through the code it feeds; elsewhere it only costs.
    if(sources)
      target_compile_options(${name} PRIVATE -fsanitize=fuzzer-no-link)
    endif()
    foreach(file ${fuzzers})
      get_filename_component(fuzzer ${file} NAME_WE)
      sluice_fuzzer(${fuzzer} ${file} ${name} ${arg_PRIVATE_DEPS})
    endforeach()
  endif()
endfunction()

# sluice_program(NAME MAIN.cc LIB...): what is shipped. What nothing calls is left out: code comes into
# memory in pieces of 64 kB, together with its neighbours.
function(sluice_program name main)
  add_executable(${name} ${main})
  target_link_libraries(${name} PRIVATE ${ARGN})
  target_link_options(${name} PRIVATE -Wl,--gc-sections ${SLUICE_PROGRAM_LINK_OPTIONS})
endfunction()

# sluice_test(NAME SOURCES file... [DEPS lib...] [ALONE file...] [LABELS label...] [TIMEOUT seconds])
function(sluice_test name)
  cmake_parse_arguments(arg "" "TIMEOUT" "SOURCES;DEPS;ALONE;LABELS" ${ARGN})
  if(NOT arg_LABELS)
    set(arg_LABELS unit)
  endif()
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 300)
  endif()
  sluice_one_piece(sources ${name} "${arg_ALONE}" ${arg_SOURCES})
  add_executable(${name} ${sources})
  target_link_libraries(${name} PRIVATE sluice_flags ${arg_DEPS} GTest::gmock GTest::gtest_main)
  # Tests' own code is half of all there is to compile: hardly optimised, as what it tests is, and
  # without debug information but in the debug preset. (-O0 is no cheaper to compile than -Og, and its
  # copies of what is inline in headers would stand for the library's.)
  target_compile_options(${name} PRIVATE $<$<CONFIG:Release>:-Og>
    $<$<BOOL:${SLUICE_ONE_PIECE}>:-g0>)
  add_test(NAME ${name} COMMAND ${name} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  if("unit" IN_LIST arg_LABELS)
    add_dependencies(unit_tests ${name})
  endif()
  set_tests_properties(${name} PROPERTIES LABELS "${arg_LABELS}" TIMEOUT ${arg_TIMEOUT}
    ENVIRONMENT "SLUICE_BUILD_DIR=${CMAKE_BINARY_DIR};TSAN_OPTIONS=suppressions=${PROJECT_SOURCE_DIR}/tests/tsan.supp")
endfunction()

# sluice_fuzzer(NAME FILE LIB...): corpus in tests/fuzz/corpus/NAME (kept), label "fuzz".
function(sluice_fuzzer name file)
  add_executable(${name} ${file})
  target_link_libraries(${name} PRIVATE sluice_flags ${ARGN})
  target_link_options(${name} PRIVATE -fsanitize=fuzzer)
  add_test(NAME ${name} COMMAND ${PROJECT_SOURCE_DIR}/tests/fuzz/run ${CMAKE_BINARY_DIR}/bin/${name})
  set_tests_properties(${name} PROPERTIES LABELS fuzz TIMEOUT 1200)
  add_dependencies(fuzzers ${name})
endfunction()

# sluice_proto(NAME [GRPC] PROTOS file... [DEPS lib...]): C++ from .proto files named from the source
# root; with GRPC also a NAME_grpc library with the stubs. Headers: #include "path/to/x.pb.h".
function(sluice_proto name)
  cmake_parse_arguments(arg "GRPC" "" "PROTOS;DEPS" ${ARGN})
  set(out ${CMAKE_BINARY_DIR}/generated)
  file(MAKE_DIRECTORY ${out})
  foreach(proto ${arg_PROTOS})
    string(REGEX REPLACE "\\.proto$" "" stem ${proto})
    add_custom_command(OUTPUT ${out}/${stem}.pb.cc ${out}/${stem}.pb.h
      COMMAND protobuf::protoc -I${PROJECT_SOURCE_DIR} --cpp_out=${out} ${proto}
      DEPENDS ${PROJECT_SOURCE_DIR}/${proto} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR} VERBATIM)
    list(APPEND messages ${out}/${stem}.pb.cc)
    if(arg_GRPC)
      add_custom_command(OUTPUT ${out}/${stem}.grpc.pb.cc ${out}/${stem}.grpc.pb.h
        COMMAND protobuf::protoc -I${PROJECT_SOURCE_DIR} --grpc_out=generate_mock_code=false:${out}
          --plugin=protoc-gen-grpc=$<TARGET_FILE:gRPC::grpc_cpp_plugin> ${proto}
        DEPENDS ${PROJECT_SOURCE_DIR}/${proto} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR} VERBATIM)
      list(APPEND stubs ${out}/${stem}.grpc.pb.cc)
    endif()
  endforeach()
  add_library(${name} STATIC ${messages})
  target_include_directories(${name} PUBLIC ${out})
  target_compile_options(${name} PRIVATE -O1 -g0 -w)
  target_link_libraries(${name} PUBLIC protobuf::libprotobuf Threads::Threads ${arg_DEPS})
  if(arg_GRPC)
    add_library(${name}_grpc STATIC ${stubs})
    target_compile_options(${name}_grpc PRIVATE -O1 -g0 -w)
    target_link_libraries(${name}_grpc PUBLIC ${name} gRPC::grpc++)
  endif()
endfunction()
