# Every network as an ONNX file, by ONNX Runtime. It is found in NODE_PATH, or above the tests' folder:
#   npm install --ignore-scripts onnxruntime-node
#   cmake -DNODE=... -DTEST=test_interop -DSOURCE=... -DFOLDER=... -P onnxruntime.cmake
execute_process(COMMAND ${NODE} -e "require(require.resolve('onnxruntime-node', {paths: [process.cwd()]}))"
                RESULT_VARIABLE RESULT OUTPUT_QUIET ERROR_QUIET)
if(NOT RESULT EQUAL 0)
  message("onnxruntime-node is not installed")
  return()
endif()
file(REMOVE_RECURSE ${FOLDER})
file(MAKE_DIRECTORY ${FOLDER})
execute_process(COMMAND ${CMAKE_COMMAND} -E env EXCITON_ONNX_DIR=${FOLDER} ${TEST} --gtest_filter=*Onnx*
                RESULT_VARIABLE RESULT OUTPUT_QUIET)
if(RESULT EQUAL 0)
  execute_process(COMMAND ${NODE} ${SOURCE}/onnxruntime.js ${FOLDER} RESULT_VARIABLE RESULT)
endif()
file(REMOVE_RECURSE ${FOLDER})
if(NOT RESULT EQUAL 0)
  message(FATAL_ERROR "failed: ${RESULT}")
endif()
