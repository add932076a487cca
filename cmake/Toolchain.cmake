# Compiler flags that hold for every target, the linker and the compiler cache. Targets get them by linking sightline_flags.

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # Paths are hashed relative to the source folder, so that build folders and checkouts share the cache.
  set(CMAKE_CXX_COMPILER_LAUNCHER
      ${CMAKE_COMMAND} -E env "CCACHE_BASEDIR=${CMAKE_SOURCE_DIR}" CCACHE_NOHASHDIR=1
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime ${CCACHE_PROGRAM})
  set(CMAKE_C_COMPILER_LAUNCHER ${CMAKE_CXX_COMPILER_LAUNCHER})
endif()

add_library(sightline_flags INTERFACE)
target_compile_options(sightline_flags INTERFACE
  -march=${SIGHTLINE_MARCH} -fno-omit-frame-pointer -fdiagnostics-color=auto
  $<$<COMPILE_LANGUAGE:CXX>:-Werror -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Wold-style-cast -Woverloaded-virtual
    -Wcast-qual -Wextra-semi -Wunused -Wimplicit-fallthrough>)
target_include_directories(sightline_flags INTERFACE "${CMAKE_SOURCE_DIR}/src" "${CMAKE_BINARY_DIR}/generated")

if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # Inlining makes GCC 12 see overflows and uninitialised values inside libstdc++ that are not there.
  target_compile_options(sightline_flags INTERFACE
    $<$<COMPILE_LANGUAGE:CXX>:-Wduplicated-cond -Wlogical-op -Wno-maybe-uninitialized -Wno-stringop-overflow -Wno-stringop-overread
      -Wno-array-bounds -Wno-restrict>)
endif()

if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  # GCC is the judge of warnings. Clang, which only fuzzes, warns inside GCC 12's standard library.
  target_compile_options(sightline_flags INTERFACE -Wno-error)
endif()

if(SIGHTLINE_SANITIZE)
  target_compile_options(sightline_flags INTERFACE -fsanitize=${SIGHTLINE_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(sightline_flags INTERFACE -fsanitize=${SIGHTLINE_SANITIZE})
  target_compile_definitions(sightline_flags INTERFACE SIGHTLINE_SANITIZED=1)
  if(SIGHTLINE_SANITIZE MATCHES "thread" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # atomic_thread_fence is not modelled by ThreadSanitizer, and libstdc++'s shared_ptr does not need it to be.
    target_compile_options(sightline_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wno-tsan>)
  endif()
endif()

if(SIGHTLINE_LIBFUZZER)
  target_compile_options(sightline_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

find_program(MOLD_PROGRAM mold)
if(MOLD_PROGRAM)
  add_link_options(-fuse-ld=mold)
endif()
add_link_options(-Wl,--as-needed)
