# Included at project("llama.cpp") through -DCMAKE_PROJECT_llama.cpp_INCLUDE=<this file>.

# Much of llama.cpp is small files that all parse the same large headers: compile them in a few bundles, as llama.cpp
# itself does with src/models. Of mtmd only the graph builders; what is left alone is named by a pattern.
function(magicvl_bundle target alone size)
    if(NOT TARGET ${target})
        return()
    endif()
    get_target_property(folder ${target} SOURCE_DIR)
    get_target_property(sources ${target} SOURCES)
    list(FILTER sources INCLUDE REGEX "${alone}")
    list(TRANSFORM sources PREPEND "${folder}/" REGEX "^[^/]")
    set_source_files_properties(${sources} DIRECTORY ${folder} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE ${size})
endfunction()

# At the end of the project, when the targets exist. json.cpp specialises templates that others have used before it.
cmake_language(DEFER CALL magicvl_bundle mtmd "^[^/]*$" 12)
cmake_language(DEFER CALL magicvl_bundle llama-common "^json\\.cpp$" 14)
cmake_language(DEFER CALL magicvl_bundle server-context "^$" 5)
