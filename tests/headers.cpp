// Empty: what is wanted are the precompiled headers of its target (CMakeLists.txt), which all tests
// share.
