# Run in a build of the course's unsolved exercises: fails unless every test of every exercise fails,
# and says so as a test does (one that does not start, or crashes, is not red but broken). NAMES is
# the folder of the exercises, named as their programs.
file(GLOB EXERCISES ${NAMES}/*.hpp)
list(LENGTH EXERCISES COUNT)
if(NOT COUNT EQUAL 10)
  message(FATAL_ERROR "${NAMES}: ${COUNT} exercises, wants 10")
endif()
foreach(EXERCISE ${EXERCISES})
  cmake_path(GET EXERCISE STEM NAME)
  execute_process(COMMAND ./${NAME} RESULT_VARIABLE RESULT OUTPUT_VARIABLE OUTPUT)
  if(NOT RESULT EQUAL 1 OR NOT OUTPUT MATCHES "is not written yet" OR
     NOT OUTPUT MATCHES "\\[  FAILED  \\]" OR OUTPUT MATCHES "\\[       OK \\]")
    message(SEND_ERROR "${NAME} is not red throughout (exit status ${RESULT}):\n${OUTPUT}")
  endif()
endforeach()
