# Included at project(llama_cpp) of llama-cpp-python's CMakeLists, through
# CMAKE_ARGS="-DCMAKE_PROJECT_llama_cpp_INCLUDE=<this file>": builds only what the Python package loads.

# The package forces LLAMA_BUILD_COMMON=ON in the cache. A normal variable hides a cache entry, so this leaves
# out llama-common and cpp-httplib, and their install rules with them; libllama and libmtmd need neither.
set(LLAMA_BUILD_COMMON OFF)

# mtmd has about 45 small graph builders that all parse the same headers: compile them in a few bundles, as
# llama.cpp itself does with src/models. Runs at the end of the project, when the target exists.
function(magicvl_bundle_mtmd_graphs)
    if(NOT TARGET mtmd)
        return()
    endif()
    get_target_property(folder mtmd SOURCE_DIR)
    get_target_property(sources mtmd SOURCES)
    list(FILTER sources EXCLUDE REGEX "^models/")
    list(TRANSFORM sources PREPEND "${folder}/")
    set_source_files_properties(${sources} DIRECTORY ${folder} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
    set_target_properties(mtmd PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 12)
endfunction()
cmake_language(DEFER CALL magicvl_bundle_mtmd_graphs)

# On processors with AMX, what GCC 12 makes of llama.cpp's tile configuration crashes at the first quantised matrix
# (ggml-org/llama.cpp, issue 20824 and pull request 26954): the rest of AVX-512 does its work without.
include(CheckCXXCompilerFlag)
function(magicvl_leave_out_amx)
    check_cxx_compiler_flag(-mno-amx-int8 MAGICVL_KNOWS_AMX)
    if(TARGET ggml-cpu AND MAGICVL_KNOWS_AMX)
        target_compile_options(ggml-cpu PRIVATE -mno-amx-int8)
    endif()
endfunction()
cmake_language(DEFER CALL magicvl_leave_out_amx)
