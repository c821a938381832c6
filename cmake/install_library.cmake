# bitnet_install_library(TARGET PACKAGE DESCRIPTION): a static library as others find it, by
#   find_package(PACKAGE 0.1 REQUIRED)   and its target in bitnet::
#   cc main.c $(pkg-config --cflags --libs PACKAGE)
include(CMakePackageConfigHelpers)

function(bitnet_install_library target package description)
    set(cmake_dir ${CMAKE_INSTALL_LIBDIR}/cmake/${package})
    install(TARGETS ${target} EXPORT ${package} ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
    install(EXPORT ${package} NAMESPACE bitnet:: DESTINATION ${cmake_dir} FILE ${package}-targets.cmake)
    configure_package_config_file(cmake/package-config.cmake.in ${CMAKE_CURRENT_BINARY_DIR}/${package}-config.cmake
        INSTALL_DESTINATION ${cmake_dir} NO_SET_AND_CHECK_MACRO)
    write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/${package}-config-version.cmake
        COMPATIBILITY SameMinorVersion)
    install(FILES ${CMAKE_CURRENT_BINARY_DIR}/${package}-config.cmake
        ${CMAKE_CURRENT_BINARY_DIR}/${package}-config-version.cmake DESTINATION ${cmake_dir})

    # Paths relative to the .pc file, so that an installed tree may be moved.
    file(RELATIVE_PATH pc_prefix /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
    configure_file(cmake/package.pc.in ${CMAKE_CURRENT_BINARY_DIR}/${package}.pc @ONLY)
    install(FILES ${CMAKE_CURRENT_BINARY_DIR}/${package}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endfunction()
