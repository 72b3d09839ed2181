# Networks of PyTorch with random weights, and what is made of their files here.
#   cmake -DPYTHON=... -DTEST=test_interop -DSOURCE=... -DFOLDER=... -P pytorch.cmake
execute_process(COMMAND ${PYTHON} ${SOURCE}/torch_cases.py ${FOLDER} RESULT_VARIABLE RESULT)
if(RESULT EQUAL 77)
  message("PyTorch is not installed")
  return()
endif()
if(RESULT EQUAL 0)
  execute_process(COMMAND ${CMAKE_COMMAND} -E env EXCITON_TORCH_CASES=${FOLDER} ${TEST}
                          --gtest_filter=Sources.ComputeWhatPyTorchDoes RESULT_VARIABLE RESULT)
endif()
file(REMOVE_RECURSE ${FOLDER})
if(NOT RESULT EQUAL 0)
  message(FATAL_ERROR "failed: ${RESULT}")
endif()
