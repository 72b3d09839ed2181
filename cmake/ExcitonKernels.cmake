# exciton_kernels(COMPONENT file.cpp... [ONLY ISA...]): compiles kernel files once an instruction set
# (the first three below unless said), each time into a namespace of that name (EXCITON_TARGET);
# ops/simd/dispatch.cpp picks one at run time. Kernel files share no inline function with other
# translation units, so newer instructions cannot leak.
set(EXCITON_FLAGS_baseline "")
set(EXCITON_FLAGS_avx2 -mavx2 -mfma)
set(EXCITON_FLAGS_avx512 -mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma)
set(EXCITON_FLAGS_avx512bf16 ${EXCITON_FLAGS_avx512} -mavx512bf16)

function(exciton_kernels COMPONENT)
  cmake_parse_arguments(K "" "" ONLY ${ARGN})
  if(NOT K_ONLY)
    set(K_ONLY baseline avx2 avx512)
  endif()
  foreach(ISA ${K_ONLY})
    add_library(exciton_${COMPONENT}_${ISA} OBJECT ${K_UNPARSED_ARGUMENTS})
    set_target_properties(exciton_${COMPONENT}_${ISA} PROPERTIES UNITY_BUILD OFF)
    target_include_directories(exciton_${COMPONENT}_${ISA} PRIVATE ${EXCITON_INCLUDE_DIR})
    target_compile_definitions(exciton_${COMPONENT}_${ISA} PRIVATE EXCITON_TARGET=${ISA})
    # -O3 where speed counts: these loops are the product. The two warnings misfire on
    # vector types (a psABI note, and zeroed vector arrays taken for uninitialised).
    target_compile_options(exciton_${COMPONENT}_${ISA} PRIVATE $<$<CONFIG:Release>:-O3>
      ${EXCITON_FLAGS_${ISA}} -Wno-psabi $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
    target_link_libraries(exciton_${COMPONENT}_${ISA} PRIVATE exciton_options)
    target_sources(exciton_${COMPONENT} PRIVATE $<TARGET_OBJECTS:exciton_${COMPONENT}_${ISA}>)
  endforeach()
endfunction()
