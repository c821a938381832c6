# Install rules. The library is static: a model runtime is linked into its program, and its symbols
# stay its own. What a user of it needs: headers, libbitnet.a, and a pkg-config file or CMake package.
#   cmake --install build/native --prefix /usr/local
#   cc main.c $(pkg-config --cflags --libs bitnet)
#   find_package(bitnet 0.1 REQUIRED)   target_link_libraries(app PRIVATE bitnet::core)
include(CMakePackageConfigHelpers)

set(bitnet_cmake_dir ${CMAKE_INSTALL_LIBDIR}/cmake/bitnet)

install(TARGETS bitnet_core EXPORT bitnet ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY core/include/bitnet DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
        FILES_MATCHING PATTERN "*.h" PATTERN "*.def")
install(TARGETS bitnet RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
# The page, when it has been built (scripts/build_js.mjs); asked at install time, not at configure time.
install(DIRECTORY build/web/ DESTINATION ${CMAKE_INSTALL_DATADIR}/libbitnet/web OPTIONAL)
# What `bitnet doctor --reference` runs (docs/reference.md).
install(DIRECTORY tests/reference/bitnet_ref DESTINATION ${CMAKE_INSTALL_DATADIR}/libbitnet/reference
        FILES_MATCHING PATTERN "*.py")
install(FILES LICENSE README.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES models/bitnet-tales/MODEL.md DESTINATION ${CMAKE_INSTALL_DOCDIR}/bitnet-tales)

install(EXPORT bitnet NAMESPACE bitnet:: DESTINATION ${bitnet_cmake_dir} FILE bitnet-targets.cmake)
configure_package_config_file(cmake/bitnet-config.cmake.in ${CMAKE_CURRENT_BINARY_DIR}/bitnet-config.cmake
    INSTALL_DESTINATION ${bitnet_cmake_dir} NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/bitnet-config-version.cmake
    COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/bitnet-config.cmake
    ${CMAKE_CURRENT_BINARY_DIR}/bitnet-config-version.cmake DESTINATION ${bitnet_cmake_dir})

# Paths relative to the .pc file, so that an installed tree may be moved.
file(RELATIVE_PATH bitnet_pc_prefix /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
configure_file(cmake/bitnet.pc.in ${CMAKE_CURRENT_BINARY_DIR}/bitnet.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/bitnet.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
