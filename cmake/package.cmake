# Install rules. The library is static: a model runtime is linked into its program, and its symbols
# stay its own. What a user of it needs: headers, libbitnet.a, and a pkg-config file or CMake package.
#   cmake --install build/native --prefix /usr/local
#   cc main.c $(pkg-config --cflags --libs bitnet)
#   find_package(bitnet 0.1 REQUIRED)   target_link_libraries(app PRIVATE bitnet::core)
include(install_library)

bitnet_install_library(bitnet_core bitnet "${PROJECT_DESCRIPTION}")
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
